//! Table: the kinds of the core group.

use super::{cells, row::Package};
use crate::{
    kind::{Generation, Kind},
    rules::names,
};

const CORE: Package = Package { group: "", version: "v1", definitions: "io.k8s.api.core.v1." };

const ALL_METHODS: &[&str] = &["create", "delete", "get", "patch", "update"];
const CONNECT: &[&str] = &["create", "get"];
const PATCH_PUT: &[&str] = &["get", "patch", "update"];

/// The rows.
pub(super) fn rows() -> Vec<Kind> {
    vec![
        CORE.kind("Binding", "bindings").review().done(),
        CORE.kind("ComponentStatus", "componentstatuses").cluster().short(&["cs"]).read_only().done(),
        CORE.kind("ConfigMap", "configmaps")
            .short(&["cm"])
            .columns(&[("Data", "string", "", 0, cells::data_count), ("Age", "string", "", 0, cells::age)])
            .rules(&crate::rules::config::ConfigMapRules)
            .done(),
        endpoints(),
        event(),
        CORE.kind("LimitRange", "limitranges")
            .short(&["limits"])
            .columns(&[("Created At", "date", "", 0, cells::created)])
            .rules(&crate::rules::policy::RangeRules)
            .done(),
        namespace(),
        node(),
        CORE.kind("PersistentVolumeClaim", "persistentvolumeclaims")
            .short(&["pvc"])
            .status()
            .columns(CLAIM)
            .rules(&crate::rules::storage::ClaimRules)
            .done(),
        CORE.kind("PersistentVolume", "persistentvolumes")
            .cluster()
            .short(&["pv"])
            .status()
            .columns(VOLUME)
            .rules(&crate::rules::storage::VolumeRules)
            .done(),
        pod(),
        CORE.kind("PodTemplate", "podtemplates")
            .generation(Generation::Content)
            .rules(&crate::rules::workload::TemplateRules)
            .done(),
        CORE.kind("ReplicationController", "replicationcontrollers")
            .short(&["rc"])
            .in_all()
            .status()
            .scale()
            .select(&[("status.replicas", "0")])
            .columns(super::apps::REPLICA_SET)
            .rules(&crate::rules::workload::ReplicationRules)
            .done(),
        CORE.kind("ResourceQuota", "resourcequotas")
            .short(&["quota"])
            .status()
            .generation(Generation::Never)
            .rules(&crate::rules::policy::QuotaRules)
            .done(),
        CORE.kind("Secret", "secrets")
            .select(&[("type", "")])
            .columns(&[
                ("Type", "string", "", 0, cells::kind_of),
                ("Data", "string", "", 0, cells::data_count),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&crate::rules::config::SecretRules)
            .done(),
        CORE.kind("ServiceAccount", "serviceaccounts")
            .short(&["sa"])
            .action("token", &["create"], Some(("authentication.k8s.io", "v1", "TokenRequest")))
            .done(),
        service(),
    ]
}

const CLAIM: &[(&str, &str, &str, i32, super::row::CellOf)] = &[
    ("Status", "string", "", 0, cells::claim_phase),
    ("Volume", "string", "", 0, |o, _| cells::text(o, &["spec", "volumeName"])),
    ("Capacity", "string", "", 0, |o, _| cells::text(o, &["status", "capacity", "storage"])),
    ("Access Modes", "string", "", 0, |o, _| cells::access_modes(o, &["status", "accessModes"])),
    ("StorageClass", "string", "", 0, |o, _| cells::text(o, &["spec", "storageClassName"])),
    ("VolumeAttributesClass", "string", "", 0, |o, _| cells::or(o, &["spec", "volumeAttributesClassName"], "<unset>")),
    ("Age", "string", "", 0, cells::age),
    ("VolumeMode", "string", "", 1, |o, _| cells::text(o, &["spec", "volumeMode"])),
];

const VOLUME: &[(&str, &str, &str, i32, super::row::CellOf)] = &[
    ("Capacity", "string", "", 0, |o, _| cells::text(o, &["spec", "capacity", "storage"])),
    ("Access Modes", "string", "", 0, |o, _| cells::access_modes(o, &["spec", "accessModes"])),
    ("Reclaim Policy", "string", "", 0, |o, _| cells::text(o, &["spec", "persistentVolumeReclaimPolicy"])),
    ("Status", "string", "", 0, cells::claim_phase),
    ("Claim", "string", "", 0, cells::claim_of_volume),
    ("StorageClass", "string", "", 0, |o, _| cells::text(o, &["spec", "storageClassName"])),
    ("VolumeAttributesClass", "string", "", 0, |o, _| cells::or(o, &["spec", "volumeAttributesClassName"], "<unset>")),
    ("Reason", "string", "", 0, |o, _| cells::text(o, &["status", "reason"])),
    ("Age", "string", "", 0, cells::age),
    ("VolumeMode", "string", "", 1, |o, _| cells::text(o, &["spec", "volumeMode"])),
];

fn endpoints() -> Kind {
    CORE.kind("Endpoints", "endpoints")
        .short(&["ep"])
        .columns(&[("Endpoints", "string", "", 0, cells::endpoints), ("Age", "string", "", 0, cells::age)])
        .with(|kind| {
            kind.list_kind = "EndpointsList".into();
            kind.versions[0].deprecated =
                Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".into());
        })
        .rules(&crate::rules::network::EndpointsRules)
        .done()
}

/// Events; `events.k8s.io` serves the same ones.
fn event() -> Kind {
    CORE.kind("Event", "events")
        .short(&["ev"])
        .create_on_update()
        .select(&[
            ("involvedObject.kind", ""),
            ("involvedObject.namespace", ""),
            ("involvedObject.name", ""),
            ("involvedObject.uid", ""),
            ("involvedObject.apiVersion", ""),
            ("involvedObject.resourceVersion", ""),
            ("involvedObject.fieldPath", ""),
            ("reason", ""),
            ("reportingComponent", ""),
            ("source", ""),
            ("type", ""),
        ])
        .select_at("source", "source.component", "reportingComponent")
        .columns(&[
            ("Last Seen", "string", "", 0, cells::last_seen),
            ("Type", "string", "", 0, cells::kind_of),
            ("Reason", "string", "", 0, |o, _| cells::text(o, &["reason"])),
            ("Object", "string", "", 0, cells::involved),
            ("Message", "string", "", 0, |o, _| cells::text(o, &["message"])),
            ("Count", "integer", "", 1, |o, _| cells::number(o, &["count"])),
        ])
        .done()
}

fn namespace() -> Kind {
    CORE.kind("Namespace", "namespaces")
        .cluster()
        .short(&["ns"])
        .no_collection_delete()
        .named(names::dns_label)
        .status()
        .generation(Generation::Never)
        .fields("finalize", &["update"])
        .select(&[("status.phase", "")])
        .columns(&[
            ("Status", "string", "", 0, |o, _| cells::text(o, &["status", "phase"])),
            ("Age", "string", "", 0, cells::age),
        ])
        .rules(&crate::rules::namespace::NamespaceRules)
        .done()
}

fn node() -> Kind {
    CORE.kind("Node", "nodes")
        .cluster()
        .short(&["no"])
        .status()
        .generation(Generation::Never)
        .action("proxy", ALL_METHODS, Some(("", "v1", "NodeProxyOptions")))
        .select(&[("spec.unschedulable", "false")])
        .columns(&[
            ("Status", "string", "", 0, cells::node_status),
            ("Roles", "string", "", 0, cells::node_roles),
            ("Age", "string", "", 0, cells::age),
            ("Version", "string", "", 0, |o, _| cells::text(o, &["status", "nodeInfo", "kubeletVersion"])),
            ("Internal-IP", "string", "", 1, |o, _| cells::node_address(o, "InternalIP")),
            ("External-IP", "string", "", 1, |o, _| cells::node_address(o, "ExternalIP")),
            ("OS-Image", "string", "", 1, |o, _| cells::or(o, &["status", "nodeInfo", "osImage"], "<unknown>")),
            ("Kernel-Version", "string", "", 1, |o, _| cells::or(o, &["status", "nodeInfo", "kernelVersion"], "<unknown>")),
            ("Container-Runtime", "string", "", 1, |o, _| {
                cells::or(o, &["status", "nodeInfo", "containerRuntimeVersion"], "<unknown>")
            }),
        ])
        .rules(&crate::rules::node::NodeRules)
        .done()
}

fn pod() -> Kind {
    CORE.kind("Pod", "pods")
        .short(&["po"])
        .in_all()
        .status()
        .fields("ephemeralcontainers", PATCH_PUT)
        .fields("resize", PATCH_PUT)
        .action("binding", &["create"], Some(("", "v1", "Binding")))
        .action("eviction", &["create"], Some(("policy", "v1", "Eviction")))
        .action("log", &["get"], None)
        .action("exec", CONNECT, Some(("", "v1", "PodExecOptions")))
        .action("attach", CONNECT, Some(("", "v1", "PodAttachOptions")))
        .action("portforward", CONNECT, Some(("", "v1", "PodPortForwardOptions")))
        .action("proxy", ALL_METHODS, Some(("", "v1", "PodProxyOptions")))
        .select(&[
            ("spec.nodeName", ""),
            ("spec.restartPolicy", ""),
            ("spec.schedulerName", ""),
            ("spec.serviceAccountName", ""),
            ("spec.hostNetwork", "false"),
            ("status.phase", ""),
            ("status.podIP", ""),
            ("status.nominatedNodeName", ""),
        ])
        .columns(&[
            ("Ready", "string", "", 0, cells::pod_ready),
            ("Status", "string", "", 0, cells::pod_status),
            ("Restarts", "string", "", 0, cells::pod_restarts),
            ("Age", "string", "", 0, cells::age),
            ("IP", "string", "", 1, |o, _| cells::or(o, &["status", "podIP"], "<none>")),
            ("Node", "string", "", 1, |o, _| cells::or(o, &["spec", "nodeName"], "<none>")),
            ("Nominated Node", "string", "", 1, |o, _| cells::or(o, &["status", "nominatedNodeName"], "<none>")),
            ("Readiness Gates", "string", "", 1, cells::readiness_gates),
        ])
        .with(|kind| kind.graceful_deletion = true)
        .rules(&crate::rules::pod::PodRules)
        .done()
}

fn service() -> Kind {
    CORE.kind("Service", "services")
        .short(&["svc"])
        .in_all()
        .named(names::dns_1035_label)
        .status()
        .generation(Generation::Never)
        .action("proxy", ALL_METHODS, Some(("", "v1", "ServiceProxyOptions")))
        .select(&[("spec.clusterIP", ""), ("spec.type", "")])
        .columns(&[
            ("Type", "string", "", 0, |o, _| cells::text(o, &["spec", "type"])),
            ("Cluster-IP", "string", "", 0, |o, _| cells::or(o, &["spec", "clusterIP"], "<none>")),
            ("External-IP", "string", "", 0, cells::service_external),
            ("Port(s)", "string", "", 0, cells::service_ports),
            ("Age", "string", "", 0, cells::age),
            ("Selector", "string", "", 1, |o, _| cells::selector(o, &["spec", "selector"])),
        ])
        .rules(&crate::rules::service::ServiceRules)
        .done()
}

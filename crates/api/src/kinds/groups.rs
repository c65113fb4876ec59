//! Table: the kinds of every group but core and `apps`, in upstream's order.

use super::{
    cells,
    row::{CellOf, Package},
    served_twice,
};
use crate::{
    kind::{Generation, Kind},
    rules::{certificates, names},
};

type Columns = &'static [(&'static str, &'static str, &'static str, i32, CellOf)];

const fn package(group: &'static str, version: &'static str, definitions: &'static str) -> Package {
    Package { group, version, definitions }
}

const BATCH: Package = package("batch", "v1", "io.k8s.api.batch.v1.");
const AUTOSCALING: Package = package("autoscaling", "v2", "io.k8s.api.autoscaling.v2.");
const DISCOVERY: Package = package("discovery.k8s.io", "v1", "io.k8s.api.discovery.v1.");
const EVENTS: Package = package("events.k8s.io", "v1", "io.k8s.api.events.v1.");
const POLICY: Package = package("policy", "v1", "io.k8s.api.policy.v1.");
const STORAGE: Package = package("storage.k8s.io", "v1", "io.k8s.api.storage.v1.");
const RBAC: Package = package("rbac.authorization.k8s.io", "v1", "io.k8s.api.rbac.v1.");
const COORDINATION: Package = package("coordination.k8s.io", "v1", "io.k8s.api.coordination.v1.");
const EXTENSIONS: Package = package("apiextensions.k8s.io", "v1", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.");
const AUTHENTICATION: Package = package("authentication.k8s.io", "v1", "io.k8s.api.authentication.v1.");
const AUTHORIZATION: Package = package("authorization.k8s.io", "v1", "io.k8s.api.authorization.v1.");
const CERTIFICATES: Package = package("certificates.k8s.io", "v1", "io.k8s.api.certificates.v1.");
const SCHEDULING: Package = package("scheduling.k8s.io", "v1", "io.k8s.api.scheduling.v1.");
const NETWORKING: Package = package("networking.k8s.io", "v1", "io.k8s.api.networking.v1.");
const NODE: Package = package("node.k8s.io", "v1", "io.k8s.api.node.v1.");

const STATUS_WRITE: &[&str] = &["get", "patch", "update"];

/// The rows.
pub(super) fn rows() -> Vec<Kind> {
    let mut rows = Vec::new();
    rows.extend(access());
    rows.extend(certificates());
    rows.extend(workloads());
    rows.extend(steering());
    rows.extend(network());
    rows.extend(cluster());
    rows
}

/// Who may do what.
fn access() -> Vec<Kind> {
    let review = |package: &Package, kind, plural| package.kind(kind, plural).cluster().review().done();
    let role: Columns = &[("Created At", "date", "", 0, cells::created)];
    let binding: Columns = &[
        ("Role", "string", "", 0, cells::role_of_binding),
        ("Age", "string", "", 0, cells::age),
        ("Users", "string", "", 1, |o, _| cells::subjects(o, "User")),
        ("Groups", "string", "", 1, |o, _| cells::subjects(o, "Group")),
        ("ServiceAccounts", "string", "", 1, |o, _| cells::subjects(o, "ServiceAccount")),
    ];
    vec![
        review(&AUTHENTICATION, "SelfSubjectReview", "selfsubjectreviews"),
        review(&AUTHENTICATION, "TokenReview", "tokenreviews"),
        AUTHORIZATION.kind("LocalSubjectAccessReview", "localsubjectaccessreviews").review().done(),
        review(&AUTHORIZATION, "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        review(&AUTHORIZATION, "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
        review(&AUTHORIZATION, "SubjectAccessReview", "subjectaccessreviews"),
        RBAC.kind("ClusterRoleBinding", "clusterrolebindings")
            .cluster()
            .named_freely()
            .columns(binding)
            .rules(&crate::rules::access::BindingRules)
            .done(),
        RBAC.kind("ClusterRole", "clusterroles")
            .cluster()
            .named_freely()
            .columns(role)
            .rules(&crate::rules::access::RoleRules)
            .done(),
        RBAC.kind("RoleBinding", "rolebindings")
            .named_freely()
            .columns(binding)
            .rules(&crate::rules::access::BindingRules)
            .done(),
        RBAC.kind("Role", "roles").named_freely().columns(role).rules(&crate::rules::access::RoleRules).done(),
    ]
}

/// Who is vouched for by whom.
fn certificates() -> Vec<Kind> {
    vec![
        CERTIFICATES
            .kind("CertificateSigningRequest", "certificatesigningrequests")
            .cluster()
            .short(&["csr"])
            .status()
            .generation(Generation::Never)
            .fields("approval", STATUS_WRITE)
            .select(&[("spec.signerName", "")])
            .columns(&[
                ("Age", "string", "", 0, cells::age),
                ("SignerName", "string", "", 0, |o, _| cells::text(o, &["spec", "signerName"])),
                ("Requestor", "string", "", 0, |o, _| cells::text(o, &["spec", "username"])),
                ("RequestedDuration", "string", "", 0, cells::requested_duration),
                ("Condition", "string", "", 0, cells::request_condition),
            ])
            .done(),
        CERTIFICATES
            .kind("ClusterTrustBundle", "clustertrustbundles")
            .cluster()
            .named(names::path_segment)
            .conditional_update()
            .select(&[("spec.signerName", "")])
            .columns(&[("SignerName", "string", "", 0, |o, _| cells::or(o, &["spec", "signerName"], "<none>"))])
            .rules(&certificates::BundleRules)
            .done(),
        CERTIFICATES
            .kind("PodCertificateRequest", "podcertificaterequests")
            .status()
            .generation(Generation::Never)
            .conditional_update()
            .select(&[("spec.signerName", ""), ("spec.podName", ""), ("spec.nodeName", "")])
            .columns(&[
                ("PodName", "string", "", 0, |o, _| cells::text(o, &["spec", "podName"])),
                ("ServiceAccountName", "string", "", 0, |o, _| cells::text(o, &["spec", "serviceAccountName"])),
                ("NodeName", "string", "", 0, |o, _| cells::text(o, &["spec", "nodeName"])),
                ("SignerName", "string", "", 0, |o, _| cells::text(o, &["spec", "signerName"])),
                ("State", "string", "", 0, |o, _| certificates::verdict(o).unwrap_or("Pending").into()),
            ])
            .rules(&certificates::PodCertificateRules)
            .done(),
    ]
}

fn workloads() -> Vec<Kind> {
    vec![
        BATCH
            .kind("CronJob", "cronjobs")
            .short(&["cj"])
            .in_all()
            .status()
            .columns(CRON_JOB)
            .rules(&crate::rules::batch::CronJobRules)
            .done(),
        BATCH
            .kind("Job", "jobs")
            .in_all()
            .status()
            .select(&[("status.successful", "0")])
            .columns(JOB)
            .with(|kind| kind.propagation = crate::kind::Propagation::Orphan)
            .rules(&crate::rules::batch::JobRules)
            .done(),
        EVENTS
            .kind("Event", "events")
            .short(&["ev"])
            .create_on_update()
            .columns(&[
                ("Last Seen", "string", "", 0, served_twice::last_seen),
                ("Type", "string", "", 0, cells::kind_of),
                ("Reason", "string", "", 0, |o, _| cells::text(o, &["reason"])),
                ("Object", "string", "", 0, served_twice::regarding),
                ("Message", "string", "", 0, |o, _| cells::text(o, &["note"])),
            ])
            .rules(&crate::rules::event::EventRules)
            .with(served_twice::events)
            .done(),
        AUTOSCALING
            .kind("HorizontalPodAutoscaler", "horizontalpodautoscalers")
            .short(&["hpa"])
            .in_all()
            .status()
            .columns(&[
                ("Reference", "string", "", 0, cells::scale_target),
                ("MinPods", "string", "", 0, |o, _| cells::or(o, &["spec", "minReplicas"], "<unset>")),
                ("MaxPods", "integer", "", 0, |o, _| cells::number(o, &["spec", "maxReplicas"])),
                ("Replicas", "integer", "", 0, |o, _| cells::number(o, &["status", "currentReplicas"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&crate::rules::autoscaler::AutoscalerRules)
            .with(served_twice::autoscaler)
            .done(),
    ]
}

/// What limits and steers pods.
fn steering() -> Vec<Kind> {
    vec![
        POLICY
            .kind("PodDisruptionBudget", "poddisruptionbudgets")
            .short(&["pdb"])
            .status()
            .columns(&[
                ("Min Available", "string", "", 0, |o, _| cells::or(o, &["spec", "minAvailable"], "N/A")),
                ("Max Unavailable", "string", "", 0, |o, _| cells::or(o, &["spec", "maxUnavailable"], "N/A")),
                ("Allowed Disruptions", "integer", "", 0, |o, _| cells::number(o, &["status", "disruptionsAllowed"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&crate::rules::policy::BudgetRules)
            .done(),
        SCHEDULING
            .kind("PriorityClass", "priorityclasses")
            .cluster()
            .short(&["pc"])
            .generation(Generation::Content)
            .columns(&[
                ("Value", "integer", "", 0, |o, _| cells::number(o, &["value"])),
                ("Global-Default", "boolean", "", 0, |o, _| cells::or(o, &["globalDefault"], "false")),
                ("Age", "string", "", 0, cells::age),
                ("PreemptionPolicy", "string", "", 0, |o, _| cells::or(o, &["preemptionPolicy"], "PreemptLowerPriority")),
            ])
            .rules(&crate::rules::policy::PriorityRules)
            .done(),
        NODE.kind("RuntimeClass", "runtimeclasses")
            .cluster()
            .columns(&[("Handler", "string", "", 0, |o, _| cells::text(o, &["handler"])), ("Age", "string", "", 0, cells::age)])
            .rules(&crate::rules::policy::RuntimeRules)
            .done(),
    ]
}

const CRON_JOB: Columns = &[
    ("Schedule", "string", "", 0, |o, _| cells::text(o, &["spec", "schedule"])),
    ("Timezone", "string", "", 0, |o, _| cells::or(o, &["spec", "timeZone"], "<none>")),
    ("Suspend", "boolean", "", 0, |o, _| cells::title(&cells::or(o, &["spec", "suspend"], "false"))),
    ("Active", "integer", "", 0, |o, _| cells::count(o, &["status", "active"])),
    ("Last Schedule", "string", "", 0, |o, now| cells::since(o, &["status", "lastScheduleTime"], now)),
    ("Age", "string", "", 0, cells::age),
    ("Containers", "string", "", 1, |o, _| {
        cells::container_list(o, &["spec", "jobTemplate", "spec", "template", "spec"], "name")
    }),
    ("Images", "string", "", 1, |o, _| cells::container_list(o, &["spec", "jobTemplate", "spec", "template", "spec"], "image")),
];

const JOB: Columns = &[
    ("Status", "string", "", 0, cells::job_status),
    ("Completions", "string", "", 0, cells::job_completions),
    ("Duration", "string", "", 0, cells::job_duration),
    ("Age", "string", "", 0, cells::age),
    ("Containers", "string", "", 1, cells::containers),
    ("Images", "string", "", 1, cells::images),
    ("Selector", "string", "", 1, cells::label_selector),
];

fn network() -> Vec<Kind> {
    vec![
        DISCOVERY
            .kind("EndpointSlice", "endpointslices")
            .generation(Generation::Content)
            .columns(&[
                ("AddressType", "string", "", 0, |o, _| cells::text(o, &["addressType"])),
                ("Ports", "string", "", 0, cells::slice_ports),
                ("Endpoints", "string", "", 0, cells::slice_endpoints),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&crate::rules::network::SliceRules)
            .done(),
        NETWORKING
            .kind("IngressClass", "ingressclasses")
            .cluster()
            .generation(Generation::Spec)
            .columns(&[
                ("Controller", "string", "", 0, |o, _| cells::text(o, &["spec", "controller"])),
                ("Parameters", "string", "", 0, |o, _| cells::or(o, &["spec", "parameters", "name"], "<none>")),
                ("Age", "string", "", 0, cells::age),
            ])
            .done(),
        NETWORKING
            .kind("Ingress", "ingresses")
            .short(&["ing"])
            .status()
            .columns(&[
                ("Class", "string", "", 0, |o, _| cells::or(o, &["spec", "ingressClassName"], "<none>")),
                ("Hosts", "string", "", 0, cells::ingress_hosts),
                ("Address", "string", "", 0, cells::ingress_address),
                ("Ports", "string", "", 0, cells::ingress_ports),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&crate::rules::network::IngressRules)
            .done(),
        NETWORKING
            .kind("IPAddress", "ipaddresses")
            .cluster()
            .short(&["ip"])
            .named(names::ip_address)
            .generation(Generation::Spec)
            .columns(&[("ParentRef", "string", "", 0, cells::parent), ("Age", "string", "", 0, cells::age)])
            .done(),
        NETWORKING
            .kind("NetworkPolicy", "networkpolicies")
            .short(&["netpol"])
            .generation(Generation::Spec)
            .columns(&[
                ("Pod-Selector", "string", "", 0, |o, _| cells::selector_object(o, &["spec", "podSelector"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&crate::rules::network::PolicyRules)
            .done(),
        NETWORKING
            .kind("ServiceCIDR", "servicecidrs")
            .cluster()
            .status()
            .columns(&[
                ("CIDRs", "string", "", 0, |o, _| cells::texts(o, &["spec", "cidrs"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .done(),
    ]
}

fn cluster() -> Vec<Kind> {
    vec![
        COORDINATION
            .kind("Lease", "leases")
            .columns(&[
                ("Holder", "string", "", 0, |o, _| cells::text(o, &["spec", "holderIdentity"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .create_on_update()
            .conditional_update()
            .rules(&crate::rules::policy::LeaseRules)
            .done(),
        STORAGE.kind("CSIDriver", "csidrivers").cluster().rules(&crate::rules::storage::DriverRules).done(),
        STORAGE.kind("CSINode", "csinodes").cluster().done(),
        STORAGE.kind("CSIStorageCapacity", "csistoragecapacities").done(),
        STORAGE
            .kind("StorageClass", "storageclasses")
            .cluster()
            .short(&["sc"])
            .columns(&[
                ("Provisioner", "string", "", 0, |o, _| cells::text(o, &["provisioner"])),
                ("ReclaimPolicy", "string", "", 0, |o, _| cells::or(o, &["reclaimPolicy"], "Delete")),
                ("VolumeBindingMode", "string", "", 0, |o, _| cells::or(o, &["volumeBindingMode"], "Immediate")),
                ("AllowVolumeExpansion", "string", "", 0, |o, _| cells::or(o, &["allowVolumeExpansion"], "false")),
                ("Age", "string", "", 0, cells::age),
            ])
            .rules(&crate::rules::storage::StorageClassRules)
            .done(),
        STORAGE
            .kind("VolumeAttributesClass", "volumeattributesclasses")
            .cluster()
            .short(&["vac"])
            .columns(&[
                ("DriverName", "string", "", 0, |o, _| cells::text(o, &["driverName"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .done(),
        STORAGE.kind("VolumeAttachment", "volumeattachments").cluster().status().generation(Generation::Never).done(),
        EXTENSIONS
            .kind("CustomResourceDefinition", "customresourcedefinitions")
            .cluster()
            .short(&["crd", "crds"])
            .category("api-extensions")
            .named(names::dns_subdomain)
            .status()
            .columns(&[("Created At", "date", "", 0, cells::created)])
            .rules(&crate::rules::definition::DefinitionRules)
            .done(),
    ]
}

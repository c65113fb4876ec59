//! Table: the kinds of `apps`.

use super::{
    cells,
    row::{CellOf, Package},
};
use crate::kind::Kind;

const APPS: Package = Package { group: "apps", version: "v1", definitions: "io.k8s.api.apps.v1." };

/// The columns of replica sets and replication controllers.
pub(super) const REPLICA_SET: &[(&str, &str, &str, i32, CellOf)] = &[
    ("Desired", "integer", "", 0, |o, _| cells::number(o, &["spec", "replicas"])),
    ("Current", "integer", "", 0, |o, _| cells::number(o, &["status", "replicas"])),
    ("Ready", "integer", "", 0, |o, _| cells::number(o, &["status", "readyReplicas"])),
    ("Age", "string", "", 0, cells::age),
    ("Containers", "string", "", 1, cells::containers),
    ("Images", "string", "", 1, cells::images),
    ("Selector", "string", "", 1, cells::label_selector),
];

/// The rows.
pub(super) fn rows() -> Vec<Kind> {
    let workload = &crate::rules::workload::WorkloadRules;
    vec![
        APPS.kind("ControllerRevision", "controllerrevisions")
            .columns(&[
                ("Controller", "string", "", 0, cells::controller),
                ("Revision", "string", "", 0, |o, _| cells::number(o, &["revision"])),
                ("Age", "string", "", 0, cells::age),
            ])
            .done(),
        APPS.kind("DaemonSet", "daemonsets")
            .short(&["ds"])
            .in_all()
            .status()
            .columns(&[
                ("Desired", "integer", "", 0, |o, _| cells::number(o, &["status", "desiredNumberScheduled"])),
                ("Current", "integer", "", 0, |o, _| cells::number(o, &["status", "currentNumberScheduled"])),
                ("Ready", "integer", "", 0, |o, _| cells::number(o, &["status", "numberReady"])),
                ("Up-to-date", "integer", "", 0, |o, _| cells::number(o, &["status", "updatedNumberScheduled"])),
                ("Available", "integer", "", 0, |o, _| cells::number(o, &["status", "numberAvailable"])),
                ("Node Selector", "string", "", 0, |o, _| cells::selector(o, &["spec", "template", "spec", "nodeSelector"])),
                ("Age", "string", "", 0, cells::age),
                ("Containers", "string", "", 1, cells::containers),
                ("Images", "string", "", 1, cells::images),
                ("Selector", "string", "", 1, cells::label_selector),
            ])
            .rules(workload)
            .done(),
        APPS.kind("Deployment", "deployments")
            .short(&["deploy"])
            .in_all()
            .status()
            .scale()
            .columns(&[
                ("Ready", "string", "", 0, cells::ready_of_replicas),
                ("Up-to-date", "string", "", 0, |o, _| cells::number(o, &["status", "updatedReplicas"])),
                ("Available", "string", "", 0, |o, _| cells::number(o, &["status", "availableReplicas"])),
                ("Age", "string", "", 0, cells::age),
                ("Containers", "string", "", 1, cells::containers),
                ("Images", "string", "", 1, cells::images),
                ("Selector", "string", "", 1, cells::label_selector),
            ])
            .rules(workload)
            .done(),
        APPS.kind("ReplicaSet", "replicasets")
            .short(&["rs"])
            .in_all()
            .status()
            .scale()
            .select(&[("status.replicas", "0")])
            .columns(REPLICA_SET)
            .rules(workload)
            .done(),
        APPS.kind("StatefulSet", "statefulsets")
            .short(&["sts"])
            .in_all()
            .status()
            .scale()
            .columns(&[
                ("Ready", "string", "", 0, cells::ready_of_replicas),
                ("Age", "string", "", 0, cells::age),
                ("Containers", "string", "", 1, cells::containers),
                ("Images", "string", "", 1, cells::images),
            ])
            .rules(workload)
            .done(),
    ]
}

//! The controllers that upstream Kubernetes has too: each observes through shared caches, lets `decide` plan, and carries the plan out.
//!
//! One file and one row of [`CONTROLLERS`] each. They reach the API like anyone else, each under its own name; they choose nothing
//! that is not in a plan, never plan on a cache older than their own last write, and sleep until an event wakes them.

mod apply;
mod claim;
mod cron_job;
mod daemon_set;
mod discovery;
mod disruption;
mod endpoints;
mod expiry;
mod garbage;
mod job;
mod namespace;
mod node_cidr;
mod node_lifecycle;
mod projection;
mod replica_set;
mod rollout;
mod root_ca;
mod scheduling;
mod service_account;
mod stateful_set;
mod trust_bundle;
mod volume_binding;
mod volume_protection;
mod wiring;

pub use wiring::{Controller, Handle, Settings, Wiring, Work, identity, start, start_some};

/// Every controller. Upstream's names: whose rights each has, and who it says it is in events and logs.
pub const CONTROLLERS: &[Controller] = &[
    Controller { name: "certificate-controller", run: expiry::requests },
    Controller { name: "cronjob-controller", run: cron_job::run },
    Controller { name: "daemon-set-controller", run: daemon_set::run },
    Controller { name: "deployment-controller", run: rollout::run },
    Controller { name: "disruption-controller", run: disruption::run },
    Controller { name: "endpoint-controller", run: endpoints::legacy },
    Controller { name: "endpointslice-controller", run: endpoints::run },
    Controller { name: "endpointslicemirroring-controller", run: endpoints::mirror },
    Controller { name: "generic-garbage-collector", run: garbage::run },
    Controller { name: "job-controller", run: job::run },
    Controller { name: "kube-apiserver-serving-clustertrustbundle-publisher", run: trust_bundle::run },
    Controller { name: "kube-scheduler", run: scheduling::run },
    Controller { name: "namespace-controller", run: namespace::run },
    Controller { name: "node-controller", run: node_lifecycle::run },
    Controller { name: "persistent-volume-binder", run: volume_binding::run },
    Controller { name: "pod-garbage-collector", run: node_lifecycle::collect_pods },
    Controller { name: "podcertificaterequestcleaner", run: expiry::pod_requests },
    Controller { name: "pv-protection-controller", run: volume_protection::volumes },
    Controller { name: "pvc-protection-controller", run: volume_protection::claims },
    Controller { name: "replicaset-controller", run: replica_set::replica_sets },
    Controller { name: "replication-controller", run: replica_set::replication_controllers },
    Controller { name: "root-ca-cert-publisher", run: root_ca::run },
    Controller { name: "service-account-controller", run: service_account::run },
    Controller { name: "statefulset-controller", run: stateful_set::run },
    Controller { name: "token-cleaner", run: expiry::tokens },
    Controller { name: "ttl-after-finished-controller", run: job::expire },
];

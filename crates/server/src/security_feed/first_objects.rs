//! What every cluster starts with: namespaces, priority classes, the default storage class, roles and bindings. Missing ones are written in one transaction
//! before anyone is served, which is why they do not take the way of a request.

mod network;

use std::collections::HashMap;
use std::sync::Arc;

use api::document::{Value, meta};
use bytes::Bytes;
use store::{Change, CommitError, Expect, Op};

use crate::authz::bootstrap::{self, Default as Wanted};
use crate::authz::rbac::{Rbac, RbacKind, Rule};
use crate::state::{State, decode};

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
const PRIORITIES: [(&str, i64, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
];

/// Writes what is missing, and brings roles that came from here up to date.
pub(super) async fn write(state: &Arc<State>) -> Result<(), CommitError> {
    let snapshot = state.snapshot();
    let now = jiff::Timestamp::try_from(state.security.now()).map(meta::format_time).unwrap_or_default();
    let mut changes = Vec::new();
    for (key, mut wanted, role) in wanted() {
        let (expect, value) = match snapshot.get(&key) {
            None => {
                meta::set(&mut wanted, "uid", uuid::Uuid::new_v4().to_string());
                meta::set(&mut wanted, "creationTimestamp", now.as_str());
                (Expect::Absent, wanted)
            }
            Some(entry) if role => match bootstrap::reconciled(&stored(entry), &wanted) {
                Some(merged) => (Expect::Revision(entry.modified), merged),
                None => continue,
            },
            Some(_) => continue,
        };
        let op = Op::Put(Bytes::from(value.to_json()));
        changes.push(Change { key: key.into(), expect, op, durable: true });
    }
    changes.extend(network::changes(state, &now));
    if !changes.is_empty() {
        state.store.transact(changes).await?;
    }
    Ok(())
}

fn stored(entry: &store::Entry<crate::state::Fields>) -> Value {
    let mut object = decode(entry);
    object.remove_at(&["metadata", "resourceVersion"]);
    object
}

/// Key, object, and whether it is a role or binding that is reconciled.
fn wanted() -> impl Iterator<Item = (String, Value, bool)> {
    let namespaces = NAMESPACES.iter().map(|name| {
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": { "name": name, "labels": { "kubernetes.io/metadata.name": name } },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" },
        });
        (format!("/core/namespaces//{name}"), Value::from(object), false)
    });
    let priorities = PRIORITIES.iter().map(|(name, value, description)| {
        let object = serde_json::json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": { "name": name, "generation": 1 },
            "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority",
        });
        (format!("/scheduling.k8s.io/priorityclasses//{name}"), Value::from(object), false)
    });
    let class = serde_json::json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": "local-path", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": "coracle.dev/local-path", "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let class = ("/storage.k8s.io/storageclasses//local-path".to_owned(), Value::from(class), false);
    let defaults = bootstrap::defaults();
    let aggregated = aggregated(&defaults);
    let roles = defaults.into_iter().map(move |default| {
        let mut object = default.object;
        if let Some(rules) = aggregated.get(&default.name).filter(|_| object.get("aggregationRule").is_some()) {
            object["rules"] = serde_json::json!(rules);
        }
        let key = format!("/rbac.authorization.k8s.io/{}/{}/{}", default.resource, default.namespace, default.name);
        (key, Value::from(object), true)
    });
    namespaces.chain(priorities).chain([class]).chain(registrations()).chain(roles)
}

/// Each built-in group and version as an APIService, which says that it is served here.
fn registrations() -> impl Iterator<Item = (String, Value, bool)> {
    let groups = api::kind::KindTable::built_in().groups();
    let versions: Vec<(String, String)> = groups
        .into_iter()
        .flat_map(|group| group.versions.into_iter().map(move |version| (group.name.clone(), version)))
        .collect();
    versions.into_iter().map(|(group, version)| {
        let name = format!("{version}.{group}");
        let object = serde_json::json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": { "name": name, "labels": { "kube-aggregator.kubernetes.io/automanaged": "onstart" } },
            "spec": { "group": group, "version": version, "groupPriorityMinimum": if group.is_empty() { 18000 } else { 17000 }, "versionPriority": 1 },
            "status": { "conditions": [{
                "type": "Available", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Local",
                "message": "Local APIServices are always available",
            }] },
        });
        (format!("/apiregistration.k8s.io/apiservices//{name}"), Value::from(object), false)
    })
}

/// The rules of the aggregated roles, so that they are whole from the first moment.
fn aggregated(defaults: &[Wanted]) -> HashMap<String, Vec<Rule>> {
    let rbac = Rbac::default();
    for default in defaults.iter().filter(|d| d.resource == "clusterroles") {
        rbac.put(RbacKind::ClusterRole, default.object.to_string().as_bytes());
    }
    rbac.refresh_aggregations().into_iter().collect()
}

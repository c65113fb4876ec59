//! Whether an object has become what its spec asks for, by what its status says: the rules of kstatus (the library that kubectl's
//! companions and Helm use), from the object alone. Never asks anyone.

use serde_json::Value;

/// Whether an object is there, and if not yet, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It is what its spec asks for.
    Ready,
    /// It is on its way.
    Progressing(String),
    /// It will not get there by itself.
    Failed(String),
}

use Readiness::{Failed, Progressing, Ready};

/// What the status of a kind says.
type Rule = fn(&Value) -> Readiness;

/// The rules, by kind; those of built-in kinds that are ready as soon as they exist are not named.
const RULES: &[(&str, Rule)] = &[
    ("Deployment", deployment),
    ("ReplicaSet", replicas),
    ("ReplicationController", replicas),
    ("StatefulSet", stateful_set),
    ("DaemonSet", daemon_set),
    ("Job", job),
    ("Pod", pod),
    ("PersistentVolumeClaim", |object| phase(object, "Bound")),
    ("Namespace", |object| phase(object, "Active")),
    ("CustomResourceDefinition", |object| condition(object, "Established")),
];

/// Whether the object is ready. `custom` are kinds that Kubernetes does not have and that keep a status: they must say `Ready`.
pub fn of(object: &Value, custom: bool) -> Readiness {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return Progressing("it is being deleted".to_owned());
    }
    let kind = object["kind"].as_str().unwrap_or_default();
    if let Some((_, rule)) = RULES.iter().find(|(name, _)| !custom && *name == kind) {
        return if is_observed(object) { rule(object) } else { Progressing("its change was not seen yet".to_owned()) };
    }
    if !custom {
        return Ready;
    }
    if is_observed(object) { condition(object, "Ready") } else { Progressing("its change was not seen yet".to_owned()) }
}

/// Whether the controller has seen the present spec; objects that do not say count as seen.
fn is_observed(object: &Value) -> bool {
    match (object["metadata"]["generation"].as_i64(), object["status"]["observedGeneration"].as_i64()) {
        (Some(wanted), Some(seen)) => seen >= wanted,
        _ => true,
    }
}

fn count(object: &Value, name: &str) -> i64 {
    object["status"][name].as_i64().unwrap_or(0)
}

fn wanted(object: &Value) -> i64 {
    object["spec"]["replicas"].as_i64().unwrap_or(1)
}

fn at_least(have: i64, want: i64, what: &str) -> Option<Readiness> {
    (have < want).then(|| Progressing(format!("{have} of {want} {what}")))
}

fn deployment(object: &Value) -> Readiness {
    let progressing = find_condition(object, "Progressing");
    if progressing.is_some_and(|condition| condition["reason"] == "ProgressDeadlineExceeded") {
        return Failed("it made no progress within its deadline".to_owned());
    }
    let want = wanted(object);
    at_least(count(object, "updatedReplicas"), want, "are updated")
        .or_else(|| (count(object, "replicas") > want).then(|| Progressing("old ones still end".to_owned())))
        .or_else(|| at_least(count(object, "availableReplicas"), want, "are available"))
        .unwrap_or(Ready)
}

fn replicas(object: &Value) -> Readiness {
    at_least(count(object, "availableReplicas"), wanted(object), "are available").unwrap_or(Ready)
}

fn stateful_set(object: &Value) -> Readiness {
    let want = wanted(object);
    let partition = object["spec"]["updateStrategy"]["rollingUpdate"]["partition"].as_i64().unwrap_or(0);
    let updated = object["status"]["currentRevision"] == object["status"]["updateRevision"];
    at_least(count(object, "readyReplicas"), want, "are ready")
        .or_else(|| if updated { None } else { at_least(count(object, "updatedReplicas"), want - partition, "are updated") })
        .unwrap_or(Ready)
}

fn daemon_set(object: &Value) -> Readiness {
    let want = count(object, "desiredNumberScheduled");
    at_least(count(object, "updatedNumberScheduled"), want, "are updated")
        .or_else(|| at_least(count(object, "numberAvailable"), want, "are available"))
        .unwrap_or(Ready)
}

fn job(object: &Value) -> Readiness {
    if let Some(failed) = find_condition(object, "Failed").filter(|condition| condition["status"] == "True") {
        return Failed(failed["message"].as_str().unwrap_or("it failed").to_owned());
    }
    condition(object, "Complete")
}

fn pod(object: &Value) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some("Succeeded") => Ready,
        Some("Failed") => Failed(object["status"]["message"].as_str().unwrap_or("it failed").to_owned()),
        _ => condition(object, "Ready"),
    }
}

fn phase(object: &Value, wanted: &str) -> Readiness {
    match object["status"]["phase"].as_str() {
        Some(phase) if phase == wanted => Ready,
        phase => Progressing(format!("it is {}", phase.unwrap_or("unknown"))),
    }
}

fn find_condition<'v>(object: &'v Value, kind: &str) -> Option<&'v Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn condition(object: &Value, kind: &str) -> Readiness {
    match find_condition(object, kind) {
        Some(found) if found["status"] == "True" => Ready,
        Some(found) => {
            let text = found["message"].as_str().filter(|text| !text.is_empty()).or(found["reason"].as_str());
            Progressing(text.unwrap_or("its condition does not hold yet").to_owned())
        }
        None => Progressing(format!("it does not say {kind} yet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_kind_is_ready_when_its_status_says_so() {
        let table = [
            (json!({"kind": "ConfigMap"}), false, Ready),
            (
                json!({"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {"observedGeneration": 1}}),
                false,
                Progressing("its change was not seen yet".into()),
            ),
            (
                json!({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"updatedReplicas": 2, "replicas": 3, "availableReplicas": 2}}),
                false,
                Progressing("old ones still end".into()),
            ),
            (
                json!({"kind": "Deployment", "spec": {"replicas": 2}, "status": {"updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}}),
                false,
                Ready,
            ),
            (
                json!({"kind": "Deployment", "status": {"conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}}),
                false,
                Failed("it made no progress within its deadline".into()),
            ),
            (json!({"kind": "RedisCluster", "status": {}}), true, Progressing("it does not say Ready yet".into())),
            (json!({"kind": "RedisCluster", "status": {"conditions": [{"type": "Ready", "status": "True"}]}}), true, Ready),
            (
                json!({"kind": "Deployment", "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Waits"}]}}),
                true,
                Progressing("Waits".into()),
            ),
            (json!({"kind": "Pod", "status": {"phase": "Succeeded"}}), false, Ready),
            (
                json!({"kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
                false,
                Progressing("it is being deleted".into()),
            ),
        ];
        for (object, custom, expected) in table {
            assert_eq!(of(&object, custom), expected, "{object}");
        }
    }
}

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Taint, Toleration};
use serde_json::{Value, json};

use super::{leaves_at, silent, taints};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn node(conditions: Value, spec: Value) -> Node {
    serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": spec, "status": {"conditions": conditions}})).unwrap()
}

fn ready(status: &str) -> Value {
    json!([{"type": "Ready", "status": status}])
}

fn keys(taints: &[Taint]) -> Vec<(&str, &str)> {
    taints.iter().map(|taint| (taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect.as_str())).collect()
}

#[test]
fn a_silent_node_is_unknown_in_all_that_it_reports() {
    let conditions = silent(&node(ready("True"), json!({})), now()).unwrap();
    let told: Vec<_> =
        conditions.iter().map(|one| (one.type_.as_str(), one.status.as_str(), one.reason.as_deref().unwrap())).collect();
    assert_eq!(told[0], ("Ready", "Unknown", "NodeStatusUnknown"));
    assert_eq!(conditions[0].message.as_deref(), Some("Kubelet stopped posting node status."));
    assert_eq!(told[3], ("PIDPressure", "Unknown", "NodeStatusNeverUpdated"));
    let mut again = node(ready("True"), json!({}));
    again.status.as_mut().unwrap().conditions = Some(conditions);
    assert_eq!(silent(&again, now()), None);
}

#[test]
fn taints_follow_conditions_and_leave_others_alone() {
    let table = [
        (json!([]), json!({}), vec![("not-ready", "NoSchedule")]),
        (ready("False"), json!({}), vec![("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        (ready("Unknown"), json!({}), vec![("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
        (ready("True"), json!({"unschedulable": true}), vec![("unschedulable", "NoSchedule")]),
        (
            json!([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]),
            json!({"taints": [{"key": "mine", "effect": "NoExecute"}, {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]}),
            vec![("mine", "NoExecute"), ("disk-pressure", "NoSchedule")],
        ),
    ];
    for (conditions, spec, expected) in table {
        let mut node = node(conditions, spec);
        let wanted = taints(&node, now()).unwrap();
        assert_eq!(keys(&wanted), expected);
        node.spec.as_mut().unwrap().taints = Some(wanted);
        assert_eq!(taints(&node, now() + SignedDuration::from_secs(1)), None, "it settles");
    }
}

#[test]
fn a_pod_leaves_when_the_least_patient_toleration_of_a_taint_runs_out() {
    let taint: Taint =
        serde_json::from_value(json!({"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T11:59:00Z"})).unwrap();
    let tolerations = |all: Value| -> Vec<Toleration> { serde_json::from_value(all).unwrap() };
    let added = now() - SignedDuration::from_secs(60);
    let table = [
        (json!([]), Some(now())),
        (json!([{"key": "other", "operator": "Exists"}]), Some(now())),
        (json!([{"operator": "Exists"}]), None),
        (json!([{"key": "k", "operator": "Exists", "tolerationSeconds": 300}]), Some(added + SignedDuration::from_secs(300))),
        (
            json!([{"key": "k", "operator": "Exists", "tolerationSeconds": 300}, {"operator": "Exists", "tolerationSeconds": 30}]),
            Some(added + SignedDuration::from_secs(30)),
        ),
        (json!([{"operator": "Exists", "tolerationSeconds": -1}]), Some(added)),
    ];
    for (all, expected) in table {
        assert_eq!(leaves_at(std::slice::from_ref(&taint), &tolerations(all.clone()), now()), expected, "{all}");
    }
    let soft = Taint { effect: "NoSchedule".to_owned(), ..taint };
    assert_eq!(leaves_at(&[soft], &[], now()), None);
}

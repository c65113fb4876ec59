use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use super::{Failures, Observed, Plan, node_of, plan, pod, revisions};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn set(strategy: Value) -> DaemonSet {
    serde_json::from_value(json!({
        "metadata": {"name": "d", "namespace": "n", "uid": "u"},
        "spec": {
            "selector": {"matchLabels": {"app": "d"}}, "updateStrategy": strategy,
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "c"}], "nodeSelector": {"os": "linux"}}},
        },
    }))
    .unwrap()
}

fn node(name: &str, more: Value) -> Arc<Node> {
    let mut object = json!({"metadata": {"name": name, "labels": {"os": "linux"}}, "spec": {}});
    for (part, fields) in more.as_object().unwrap() {
        object[part] = fields.clone();
    }
    if object["metadata"]["name"].is_null() {
        object["metadata"]["name"] = json!(name);
    }
    Arc::new(serde_json::from_value(object).unwrap())
}

/// A pod on a node: `new` or `old`, ready or not.
fn on(node: &str, hash: &str, ready: bool) -> Arc<Pod> {
    let status = if ready { "True" } else { "False" };
    let object = json!({
        "metadata": {"name": format!("{node}-{hash}"), "uid": format!("{node}-{hash}"), "labels": {"controller-revision-hash": hash}},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T11:00:00Z"}]},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn decide(set: &DaemonSet, nodes: &[Arc<Node>], pods: &[Arc<Pod>]) -> Plan {
    let plan = plan(&Observed { set, hash: "new", nodes, pods, now: now() }, &mut Failures::new());
    for name in &plan.create {
        let news = pods.iter().filter(|pod| node_of(pod) == name && super::is_new(pod, "new"));
        assert_eq!(news.count(), 0, "a node gets one new pod");
    }
    plan
}

fn deleted(plan: &Plan) -> Vec<&str> {
    let mut names: Vec<_> = plan.delete.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_node_that_is_meant_gets_one_and_no_other_keeps_any() {
    let set = set(json!({}));
    let tainted = |effect: &str| json!({"spec": {"taints": [{"key": "k", "effect": effect}]}});
    let nodes = [
        node("fits", json!({})),
        node("other", json!({"metadata": {"labels": {"os": "else"}}})),
        node("closed", tainted("NoSchedule")),
        node("pushes", tainted("NoExecute")),
        node("cordoned", json!({"spec": {"taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}})),
    ];
    assert_eq!(decide(&set, &nodes, &[]).create, ["fits", "cordoned"]);
    let pods: Vec<_> = ["fits", "other", "closed", "pushes"].iter().map(|name| on(name, "new", true)).collect();
    let plan = decide(&set, &nodes, &pods);
    assert_eq!((plan.create.as_slice(), deleted(&plan)), (&["cordoned".to_owned()][..], vec!["other-new", "pushes-new"]));
    let status = plan.status;
    assert_eq!((status.desired_number_scheduled, status.current_number_scheduled, status.number_misscheduled), (2, 1, 3));
    assert_eq!((status.number_ready, status.number_available, status.number_unavailable), (1, Some(1), Some(1)));
}

#[test]
fn a_pod_names_its_node_and_tolerates_what_befalls_it() {
    let made = pod(&set(json!({})), "new", "a");
    assert_eq!(node_of(&made), "a");
    let spec = made.spec.unwrap();
    assert_eq!((spec.tolerations.unwrap().len(), spec.node_name), (6, None));
    assert_eq!(made.metadata.labels.unwrap()["controller-revision-hash"], "new");
}

#[test]
fn an_update_replaces_no_more_than_so_many_at_a_time() {
    let nodes: Vec<_> = ["a", "b", "c"].iter().map(|name| node(name, json!({}))).collect();
    let old: Vec<_> = ["a", "b", "c"].iter().map(|name| on(name, "old", true)).collect();
    let rolling = |more: Value| set(json!({"type": "RollingUpdate", "rollingUpdate": more}));
    assert_eq!(deleted(&decide(&rolling(json!({})), &nodes, &old)), ["a-old"]);
    assert_eq!(deleted(&decide(&rolling(json!({"maxUnavailable": "50%"})), &nodes, &old)), ["a-old", "b-old"]);
    let half = [on("a", "new", false), on("b", "old", true), on("c", "old", false)];
    assert_eq!(deleted(&decide(&rolling(json!({})), &nodes, &half)), ["c-old"], "one that serves nobody may go");
    assert_eq!(deleted(&decide(&set(json!({"type": "OnDelete"})), &nodes, &old)), Vec::<&str>::new());
}

#[test]
fn with_surge_the_new_one_comes_before_the_old_one_goes() {
    let nodes: Vec<_> = ["a", "b"].iter().map(|name| node(name, json!({}))).collect();
    let set = set(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}));
    let mut pods = vec![on("a", "old", true), on("b", "old", true)];
    assert_eq!(decide(&set, &nodes, &pods).create, ["a"]);
    pods.push(on("a", "new", false));
    let waiting = decide(&set, &nodes, &pods);
    assert_eq!((waiting.create.len(), waiting.delete.len()), (0, 0));
    pods[2] = on("a", "new", true);
    assert_eq!(deleted(&decide(&set, &nodes, &pods)), ["a-old"]);
}

#[test]
fn a_failed_pod_is_replaced_with_growing_pauses() {
    let set = set(json!({}));
    let nodes = [node("a", json!({}))];
    let mut failed = (*on("a", "new", false)).clone();
    failed.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    let pods = [Arc::new(failed)];
    let mut failures = Failures::new();
    let mut at = |seconds: i64| {
        let now = now() + jiff::SignedDuration::from_secs(seconds);
        let plan = plan(&Observed { set: &set, hash: "new", nodes: &nodes, pods: &pods, now }, &mut failures);
        (plan.delete.len(), plan.again.map(|again| again.duration_since(now).as_secs()))
    };
    assert_eq!([at(0), at(0), at(1), at(2), at(3)], [(1, None), (0, Some(1)), (1, None), (0, Some(1)), (1, None)]);
}

#[test]
fn a_template_that_comes_back_is_the_latest_again() {
    let mut set = set(json!({}));
    let first = revisions(&set, &[]).create.unwrap();
    assert_eq!(first.metadata.name, Some(format!("d-{}", revisions(&set, &[]).hash)));
    let data = r#"{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"c"}],"nodeSelector":{"os":"linux"}}}}}"#;
    assert_eq!(first.data.0.to_string(), data, "clients compare the bytes with their own, whose keys are sorted");
    set.spec.template.spec.as_mut().unwrap().containers[0].image = Some("other".to_owned());
    let own = vec![Arc::new(first.clone())];
    let second = revisions(&set, &own).create.unwrap();
    assert_eq!(second.revision, Some(2));
    set.spec.template.spec.as_mut().unwrap().containers[0].image = None;
    let own = vec![Arc::new(first), Arc::new(second)];
    assert_eq!(revisions(&set, &own).renumber.unwrap().revision, Some(3));
}

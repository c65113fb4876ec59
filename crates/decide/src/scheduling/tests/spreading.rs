use serde_json::{Value, json};

use super::{cluster, merge, node, place, placed, pod, why};
use crate::scheduling::{Cluster, labels};

fn zoned(name: &str, zone: &str) -> crate::scheduling::Node {
    node(name, json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}))
}

fn web() -> Value {
    json!({"metadata": {"labels": {"app": "web"}}})
}

fn spread(more: Value) -> Value {
    let mut rule = json!({
        "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    });
    merge(&mut rule, more);
    let mut pod = web();
    merge(&mut pod, json!({"spec": {"topologySpreadConstraints": [rule]}}));
    pod
}

/// Zones 1 and 2 with two nodes each; three pods in the first, one in the second.
fn uneven() -> Cluster {
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "1"), zoned("c", "2"), zoned("d", "2")]);
    for (name, on) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "c")] {
        cluster.put_pod(placed(name, on, web()));
    }
    cluster
}

#[test]
fn a_hard_rule_keeps_the_skew_in_bounds() {
    let cluster = uneven();
    assert_eq!(place(&cluster, &pod("p", spread(json!({})))), "d");
    assert_eq!(
        why(&cluster, &pod("p", spread(json!({"minDomains": 3})))),
        "0/4 nodes are available: 4 node(s) didn't match pod topology spread constraints."
    );
    assert_eq!(
        why(&cluster, &pod("p", spread(json!({"topologyKey": "rack"})))),
        "0/4 nodes are available: 4 node(s) didn't match pod topology spread constraints (missing required label)."
    );
}

#[test]
fn nodes_that_the_pod_cannot_have_do_not_count_unless_it_says_so() {
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "2")]);
    cluster.put_pod(placed("1", "a", web()));
    let only_a = |policy: &str| {
        let mut pod = spread(json!({"nodeAffinityPolicy": policy}));
        merge(&mut pod, json!({"spec": {"nodeSelector": {"kubernetes.io/hostname": "a"}}}));
        pod
    };
    assert_eq!(place(&cluster, &pod("p", only_a("Honor"))), "a");
    assert_eq!(
        why(&cluster, &pod("p", only_a("Ignore"))),
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, \
         1 node(s) didn't match pod topology spread constraints."
    );
    cluster.put_node(node(
        "b",
        json!({
            "metadata": {"labels": {"topology.kubernetes.io/zone": "2"}},
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]},
        }),
    ));
    assert_eq!(place(&cluster, &pod("p", spread(json!({"nodeTaintsPolicy": "Honor"})))), "a");
    assert_eq!(
        why(&cluster, &pod("p", spread(json!({})))),
        "0/2 nodes are available: 1 node(s) didn't match pod topology spread constraints, 1 node(s) had untolerated taint(s)."
    );
}

#[test]
fn soft_rules_and_pods_on_their_way_out_only_shift_the_balance() {
    let mut cluster = uneven();
    assert_eq!(place(&cluster, &pod("p", spread(json!({"whenUnsatisfiable": "ScheduleAnyway"})))), "d");
    for name in ["1", "2", "3"] {
        let mut leaving = web();
        merge(&mut leaving, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        cluster.put_pod(placed(name, "a", leaving));
    }
    assert_eq!(place(&cluster, &pod("p", spread(json!({})))), "b");
}

#[test]
fn pods_of_a_service_or_workload_spread_without_asking() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({})), node("c", json!({}))]);
    let selector = labels::selector(Some(&serde_json::from_value(json!({"matchLabels": {"app": "web"}})).unwrap()));
    cluster.put_selector(("Service".into(), "default".into(), "web".into()), selector);
    for (name, on) in [("1", "a"), ("2", "b")] {
        cluster.put_pod(placed(name, on, web()));
    }
    // Something unrelated takes as much room on the third.
    for name in ["3", "4"] {
        cluster.put_pod(placed(name, "c", json!({})));
    }
    assert_eq!(place(&cluster, &pod("p", web())), "c");
}

use std::sync::Arc;

use serde_json::{Value, json};

use super::{cluster, cores, merge, node, place, placed, pod, refusal};
use crate::scheduling::cluster::Budget;
use crate::scheduling::{Pod, losers};

fn ranked(cpu: &str, priority: i32, started: &str) -> Value {
    let mut pod = cores(cpu);
    merge(
        &mut pod,
        json!({"spec": {"priority": priority}, "metadata": {"creationTimestamp": started, "labels": {"app": "web"}}}),
    );
    pod
}

fn names(victims: &[Arc<Pod>]) -> Vec<&str> {
    victims.iter().map(|pod| pod.name.as_str()).collect()
}

const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-01-02T00:00:00Z";

#[test]
fn the_fewest_and_least_important_give_way() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    cluster.put_pod(placed("a-low", "a", ranked("2", 1, EARLY)));
    cluster.put_pod(placed("a-mid", "a", ranked("2", 5, EARLY)));
    cluster.put_pod(placed("b-mid", "b", ranked("4", 5, EARLY)));
    let refused = refusal(&cluster, &pod("p", ranked("2", 10, LATE)));
    let preemption = refused.preemption.unwrap();
    assert_eq!((preemption.node.as_str(), names(&preemption.victims)), ("a", vec!["a-low"]));
    assert_eq!(
        refused.message,
        "0/2 nodes are available: 2 Insufficient cpu. \
         preemption: found a potential placement for pod on node a, preempting 1 victims"
    );
}

#[test]
fn equal_losses_take_those_who_started_last() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    cluster.put_pod(placed("old", "a", ranked("4", 1, EARLY)));
    cluster.put_pod(placed("new", "b", ranked("4", 1, LATE)));
    assert_eq!(names(&refusal(&cluster, &pod("p", ranked("4", 10, LATE))).preemption.unwrap().victims), ["new"]);
}

#[test]
fn a_budget_sends_the_pod_elsewhere_but_does_not_stop_it() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    cluster.put_pod(placed("guarded", "a", ranked("4", 1, EARLY)));
    let mut other = ranked("4", 5, EARLY);
    merge(&mut other, json!({"metadata": {"labels": {"app": "other"}}}));
    cluster.put_pod(placed("other", "b", other));
    let budget = json!({
        "metadata": {"name": "b", "namespace": "default"}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1},
    });
    cluster.put_budget(
        ("PodDisruptionBudget".into(), "default".into(), "b".into()),
        Budget::new(&serde_json::from_value(budget).unwrap()),
    );
    let preemptor = pod("p", ranked("4", 10, LATE));
    assert_eq!(names(&refusal(&cluster, &preemptor).preemption.unwrap().victims), ["other"]);
    cluster.remove_node("b");
    assert_eq!(refusal(&cluster, &preemptor).preemption.unwrap().violations, 1);
}

#[test]
fn nobody_gives_way_for_equals_for_the_modest_or_twice() {
    let mut cluster = cluster([node("a", json!({}))]);
    cluster.put_pod(placed("old", "a", ranked("4", 10, EARLY)));
    assert!(refusal(&cluster, &pod("p", ranked("4", 10, LATE))).preemption.is_none());
    let mut modest = ranked("4", 20, LATE);
    merge(&mut modest, json!({"spec": {"preemptionPolicy": "Never"}}));
    assert_eq!(
        refusal(&cluster, &pod("p", modest)).message,
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."
    );
    let mut leaving = ranked("4", 10, EARLY);
    merge(&mut leaving, json!({"metadata": {"deletionTimestamp": LATE}}));
    cluster.put_pod(placed("old", "a", leaving));
    let mut waiting = ranked("4", 20, LATE);
    merge(&mut waiting, json!({"status": {"nominatedNodeName": "a"}}));
    assert_eq!(
        refusal(&cluster, &pod("p", waiting)).message,
        "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to a terminating pod on the nominated node."
    );
}

#[test]
fn room_that_was_made_for_one_is_not_given_to_a_lesser() {
    let mut cluster = cluster([node("a", json!({}))]);
    let strong = pod("strong", ranked("3", 10, LATE));
    cluster.nominate(&strong, "a");
    let weak = pod("weak", ranked("2", 1, EARLY));
    assert!(refusal(&cluster, &weak).preemption.is_none());
    assert_eq!(place(&cluster, &strong), "a");
    assert_eq!(place(&cluster, &pod("stronger", ranked("2", 20, EARLY))), "a");
    assert_eq!(losers(&cluster, &pod("stronger", ranked("2", 20, EARLY)), "a"), std::slice::from_ref(&strong.uid));
    cluster.nominate(&strong, "");
    assert_eq!(place(&cluster, &weak), "a");
}

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pod(name: &str, node: &str, phase: &str, ready: bool, minute: u32, cost: i32) -> Arc<Pod> {
    let time = format!("2026-01-01T00:{minute:02}:00Z");
    let status = if ready { "True" } else { "False" };
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": time, "annotations": {DELETION_COST: cost.to_string()}},
            "spec": {"nodeName": node, "containers": []},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": time}]},
        }))
        .unwrap(),
    )
}

fn names(plan: Plan) -> Vec<String> {
    let Plan::Delete(pods) = plan else { panic!("{plan:?} deletes nothing") };
    pods.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect()
}

#[test]
fn who_is_missed_least_goes_first() {
    let pods = [
        pod("old", "n1", "Running", true, 1, 0),
        pod("young", "n1", "Running", true, 9, 0),
        pod("alone", "n2", "Running", true, 9, 0),
        pod("cheap", "n2", "Running", true, 1, -5),
        pod("unready", "n1", "Running", false, 1, 0),
        pod("pending", "n1", "Pending", false, 1, 0),
        pod("unassigned", "", "Pending", false, 1, 0),
        pod("third", "n1", "Running", true, 5, 0),
    ];
    let order = ["unassigned", "pending", "unready", "cheap", "young", "third", "old", "alone"];
    assert_eq!(names(plan(0, &pods, &pods)), order);
    assert_eq!(names(plan(6, &pods, &pods)), &order[..2]);
}

#[test]
fn pods_become_available_after_their_time() {
    let pods = [pod("a", "n", "Running", true, 0, 0), pod("b", "n", "Running", true, 10, 0)];
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let counts = count(&pods, 1, None, 600, at("2026-01-01T00:15:00Z"));
    assert_eq!((counts.ready, counts.available, counts.terminating), (2, 1, 1));
    assert_eq!(counts.next_available, Some(at("2026-01-01T00:20:00Z")));
}

proptest! {
    #[test]
    fn a_plan_leads_to_the_wanted_number(wanted in 0..20_i32, there in 0..20_usize) {
        let pods: Vec<_> = (0..there).map(|i| pod(&i.to_string(), "n", "Running", true, 0, 0)).collect();
        let after = match plan(wanted, &pods, &pods) {
            Plan::Keep => there,
            Plan::Create(count) => there + count,
            Plan::Delete(pods) => there - pods.len(),
        };
        prop_assert_eq!(after, usize::try_from(wanted).unwrap());
    }
}

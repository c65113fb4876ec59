use proptest::prelude::*;
use serde_json::{Value, json};

use super::{cluster, merge, node, pod};
use crate::scheduling::{Decision, check, decide};

fn any_node(index: usize) -> impl Strategy<Value = super::super::Node> {
    (1..6i64, 1..8usize, 0..3usize, prop::bool::weighted(0.2)).prop_map(move |(cpu, pods, zone, tainted)| {
        let taints = if tainted { json!([{"key": "k", "effect": "NoSchedule"}]) } else { json!([]) };
        let more = json!({
            "metadata": {"labels": {"zone": zone.to_string()}}, "spec": {"taints": taints},
            "status": {"allocatable": {"cpu": cpu.to_string(), "pods": pods.to_string()}},
        });
        node(&format!("n{index}"), more)
    })
}

fn any_pod() -> impl Strategy<Value = Value> {
    (0..3000i64, 0..3i32, 0..3usize, 0..5usize).prop_map(|(cpu, priority, app, rule)| {
        let selector = json!({"matchLabels": {"app": app.to_string()}});
        let mut object = json!({
            "metadata": {"labels": {"app": app.to_string()}},
            "spec": {"priority": priority, "containers": [{"name": "c", "resources": {"requests": {"cpu": format!("{cpu}m")}}}]},
        });
        let term = json!([{"labelSelector": selector, "topologyKey": "zone"}]);
        let more = match rule {
            0 => json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}}),
            1 => json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}}),
            2 => json!({"topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}]}),
            3 => json!({"tolerations": [{"operator": "Exists"}]}),
            _ => json!({}),
        };
        merge(&mut object, json!({"spec": more}));
        object
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_decision_breaks_a_rule_and_victims_make_room(
        nodes in (any_node(0), any_node(1), any_node(2), any_node(3)),
        pods in prop::collection::vec(any_pod(), 1..30),
        seed in any::<u64>(),
    ) {
        let mut cluster = cluster([nodes.0, nodes.1, nodes.2, nodes.3]);
        for (index, object) in pods.into_iter().enumerate() {
            let pod = pod(&format!("p{index}"), object);
            let decision = decide(&cluster, &pod, seed);
            prop_assert_eq!(check(&cluster, &pod, &decision), Ok(()));
            match decision {
                Decision::Place(placement) => cluster.assume(&pod, &placement),
                Decision::Refuse(refusal) => {
                    let Some(preemption) = refusal.preemption else { continue };
                    for victim in &preemption.victims {
                        cluster.remove_pod(&victim.uid);
                    }
                    cluster.nominate(&pod, &preemption.node);
                    let mut nominated = super::super::Pod::clone(&pod);
                    nominated.nominated.clone_from(&preemption.node);
                    let again = decide(&cluster, &nominated, seed);
                    prop_assert!(matches!(&again, Decision::Place(placement) if placement.node == preemption.node), "{:?}", again);
                    let Decision::Place(placement) = again else { continue };
                    cluster.assume(&nominated, &placement);
                }
            }
        }
    }
}

#[test]
fn a_hundred_pods_are_placed_evenly() {
    let mut cluster =
        cluster((0..10).map(|index| node(&format!("n{index}"), json!({"status": {"allocatable": {"pods": "110"}}}))));
    for index in 0..100 {
        let pod = pod(&format!("p{index}"), super::cores("100m"));
        let Decision::Place(placement) = decide(&cluster, &pod, index) else { panic!("no room") };
        cluster.assume(&pod, &placement);
    }
    assert!(cluster.nodes().all(|node| node.pods().len() == 10));
}

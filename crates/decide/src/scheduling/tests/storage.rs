use serde_json::{Value, json};

use super::{cluster, merge, node, place, placed, pod, refusal, why};
use crate::scheduling::{ClaimStep, Cluster, Decision, decide};
use crate::volume_binding::{Claim, Class, Volume};

fn claim(name: &str, more: Value) -> Claim {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    merge(&mut object, more);
    Claim::new(&serde_json::from_value(object).unwrap())
}

fn volume(name: &str, size: &str, host: &str, more: Value) -> Volume {
    let term = json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}]});
    let mut object = json!({
        "metadata": {"name": name},
        "spec": {
            "storageClassName": "local", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": size},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
        "status": {"phase": "Available"},
    });
    merge(&mut object, more);
    Volume::new(&serde_json::from_value(object).unwrap())
}

fn uses(claim: &str) -> Value {
    json!({"spec": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}})
}

fn class(cluster: &mut Cluster, name: &str, provisioner: &str, mode: &str) {
    let object = json!({"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode});
    cluster.put_class(name, Class::new(&serde_json::from_value(object).unwrap()));
}

fn stored() -> Cluster {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({}))]);
    class(&mut cluster, "local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer");
    class(&mut cluster, "made", "coracle.dev/local-path", "WaitForFirstConsumer");
    class(&mut cluster, "now", "coracle.dev/local-path", "Immediate");
    cluster
}

fn steps(cluster: &Cluster, pod: &crate::scheduling::Pod) -> Vec<ClaimStep> {
    match decide(cluster, pod, 0) {
        Decision::Place(placement) => placement.claims.into_iter().map(|plan| plan.step).collect(),
        Decision::Refuse(refusal) => panic!("{}", refusal.message),
    }
}

#[test]
fn a_claim_that_no_node_can_help_is_named() {
    let mut cluster = stored();
    let message = |cluster: &Cluster| refusal(cluster, &pod("p", uses("c"))).message;
    let more = "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.";
    assert_eq!(message(&cluster), format!("0/2 nodes are available: persistentvolumeclaim \"c\" not found. {more}"));
    cluster.put_claim(claim("c", json!({"spec": {"storageClassName": "now"}})));
    assert_eq!(message(&cluster), format!("0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. {more}"));
}

#[test]
fn a_bound_volume_draws_the_pod_to_its_node() {
    let mut cluster = stored();
    let bound = json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}});
    cluster.put_claim(claim("c", bound));
    assert_eq!(
        why(&cluster, &pod("p", uses("c"))),
        "0/2 nodes are available: 2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)."
    );
    cluster.put_volume(volume("v", "1Gi", "b", json!({})));
    assert_eq!(place(&cluster, &pod("p", uses("c"))), "b");
    cluster.remove_node("b");
    assert_eq!(
        why(&cluster, &pod("p", uses("c"))),
        "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity."
    );
}

#[test]
fn the_smallest_free_volume_that_fits_is_promised_once() {
    let mut cluster = stored();
    for name in ["c", "d", "e"] {
        cluster.put_claim(claim(name, json!({})));
    }
    cluster.put_volume(volume("big", "5Gi", "a", json!({})));
    cluster.put_volume(volume("small", "2Gi", "a", json!({})));
    cluster.put_volume(volume("tiny", "1Mi", "a", json!({})));
    for (name, expected) in [("c", "small"), ("d", "big")] {
        let pod = pod(name, uses(name));
        let Decision::Place(placement) = decide(&cluster, &pod, 0) else { panic!() };
        assert_eq!((placement.node.as_str(), &placement.claims[0].step), ("a", &ClaimStep::Bind(expected.to_owned())));
        cluster.assume(&pod, &placement);
    }
    assert_eq!(
        why(&cluster, &pod("e", uses("e"))),
        "0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind."
    );
}

#[test]
fn a_volume_is_made_where_the_pod_goes_and_stays_the_choice() {
    let mut cluster = stored();
    cluster.put_claim(claim("c", json!({"spec": {"storageClassName": "made"}})));
    assert_eq!(steps(&cluster, &pod("p", uses("c"))), [ClaimStep::Provision]);
    let chosen =
        json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "b"}}, "spec": {"storageClassName": "made"}});
    cluster.put_claim(claim("c", chosen));
    assert_eq!(place(&cluster, &pod("p", uses("c"))), "b");
}

#[test]
fn a_failed_binding_gives_everything_back() {
    let mut cluster = stored();
    cluster.put_claim(claim("c", json!({})));
    cluster.put_claim(claim("d", json!({})));
    cluster.put_volume(volume("v", "1Gi", "a", json!({})));
    let pod = pod("p", uses("c"));
    let Decision::Place(placement) = decide(&cluster, &pod, 0) else { panic!() };
    cluster.assume(&pod, &placement);
    assert!(matches!(decide(&cluster, &super::pod("q", uses("d")), 0), Decision::Refuse(_)));
    cluster.forget("p", &placement);
    assert_eq!(steps(&cluster, &super::pod("q", uses("d"))), [ClaimStep::Bind("v".to_owned())]);
}

#[test]
fn a_claim_for_one_pod_alone_is_not_shared() {
    let mut cluster = stored();
    let alone = json!({
        "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": "v", "accessModes": ["ReadWriteOncePod"]},
    });
    cluster.put_claim(claim("c", alone));
    cluster.put_volume(volume("v", "1Gi", "b", json!({})));
    cluster.put_pod(placed("user", "b", uses("c")));
    assert_eq!(
        why(&cluster, &pod("p", uses("c"))),
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) unavailable due to \
         PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod."
            .replace("1 node(s) didn't match PersistentVolume's node affinity, 1", "2")
    );
    let mut strong = uses("c");
    merge(&mut strong, json!({"spec": {"priority": 5}}));
    assert_eq!(refusal(&cluster, &pod("p", strong)).preemption.unwrap().node, "b");
}

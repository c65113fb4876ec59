use serde_json::{Value, json};

use super::plan::{ClaimPlan, Held, OUR_PROVISIONER, VolumePlan, plan_claim, plan_volume};
use super::{Claim, Class, Volume, Volumes};

fn merge(target: &mut Value, more: Value) {
    match (target, more) {
        (Value::Object(target), Value::Object(more)) => {
            for (key, value) in more {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, more) => *target = more,
    }
}

fn claim(more: Value) -> Claim {
    let mut object = json!({
        "metadata": {"name": "c", "namespace": "n", "uid": "u", "annotations": {}},
        "spec": {"storageClassName": "s", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    merge(&mut object, more);
    Claim::new(&serde_json::from_value(object).unwrap())
}

fn volume(name: &str, more: Value) -> Volume {
    let mut object = json!({
        "metadata": {"name": name},
        "spec": {"storageClassName": "s", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}},
        "status": {"phase": "Available"},
    });
    merge(&mut object, more);
    Volume::new(&serde_json::from_value(object).unwrap())
}

fn class(provisioner: &str, mode: &str) -> Class {
    Class::new(&serde_json::from_value(json!({"metadata": {}, "provisioner": provisioner, "volumeBindingMode": mode})).unwrap())
}

fn volumes(all: impl IntoIterator<Item = Volume>) -> Volumes {
    all.into_iter().map(|volume| (volume.name.clone(), volume)).collect()
}

fn named(name: &str, uid: &str) -> Value {
    json!({"spec": {"claimRef": {"namespace": "n", "name": name, "uid": uid}}})
}

#[test]
fn a_claim_is_bound_waits_or_gets_its_volume_made() {
    let (soon, later) = (class(OUR_PROVISIONER, "Immediate"), class(OUR_PROVISIONER, "WaitForFirstConsumer"));
    let none = volumes([]);
    let free = volumes([volume("big", json!({"spec": {"capacity": {"storage": "2Gi"}}})), volume("fits", json!({}))]);
    let chosen = claim(json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "a"}}}));
    assert_eq!(plan_claim(&claim(json!({})), Some(&soon), &free), ClaimPlan::Bind("fits".into()));
    assert_eq!(plan_claim(&claim(json!({})), Some(&soon), &none), ClaimPlan::Provision(None));
    assert_eq!(plan_claim(&chosen, Some(&later), &none), ClaimPlan::Provision(Some("a".into())));
    let ClaimPlan::Wait(Some((reason, _))) = plan_claim(&claim(json!({})), Some(&later), &free) else { panic!() };
    assert_eq!(reason, "WaitForFirstConsumer");
    let reserved = volumes([volume("kept", named("c", "")), volume("fits", json!({}))]);
    assert_eq!(plan_claim(&claim(json!({})), Some(&later), &reserved), ClaimPlan::Bind("kept".into()));
    assert_eq!(plan_claim(&claim(json!({})), Some(&class("them", "Immediate")), &none), ClaimPlan::Ask("them".into()));
    let ClaimPlan::Wait(Some((_, message))) = plan_claim(&claim(json!({})), None, &none) else { panic!() };
    assert_eq!(message, "storageclass.storage.k8s.io \"s\" not found");
}

#[test]
fn a_claim_that_names_its_volume_gets_that_or_waits() {
    let wants = claim(json!({"spec": {"volumeName": "v"}}));
    assert_eq!(plan_claim(&wants, None, &volumes([])), ClaimPlan::Wait(None));
    assert_eq!(plan_claim(&wants, None, &volumes([volume("v", json!({}))])), ClaimPlan::Bind("v".into()));
    let small = volumes([volume("v", json!({"spec": {"capacity": {"storage": "1Mi"}}}))]);
    let ClaimPlan::Wait(Some((reason, message))) = plan_claim(&wants, None, &small) else { panic!() };
    assert_eq!(
        (reason, message.as_str()),
        ("VolumeMismatch", "Cannot bind to requested volume \"v\": requested PV is too small")
    );
    let foreign = volumes([volume("v", named("other", "x"))]);
    assert!(matches!(plan_claim(&wants, None, &foreign), ClaimPlan::Wait(Some(("FailedBinding", _)))));
}

#[test]
fn a_bound_claim_without_its_volume_is_lost() {
    let bound =
        claim(json!({"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": "v"}}));
    assert!(matches!(plan_claim(&bound, None, &volumes([])), ClaimPlan::Lose("ClaimLost", _)));
    assert_eq!(plan_claim(&bound, None, &volumes([volume("v", named("c", "u"))])), ClaimPlan::Bind("v".into()));
    assert!(matches!(plan_claim(&bound, None, &volumes([volume("v", named("d", "x"))])), ClaimPlan::Lose("ClaimMisbound", _)));
}

#[test]
fn a_volume_outlives_its_claim_only_as_it_says() {
    let ours = Held { reclaim: "Delete", provisioner: OUR_PROVISIONER, chosen: true };
    let theirs = Held { reclaim: "Retain", provisioner: "", chosen: true };
    let taken = volume("v", named("c", "u"));
    assert_eq!(plan_volume(&volume("v", json!({})), ours, None), VolumePlan::Keep("Available"));
    assert_eq!(plan_volume(&taken, ours, None), VolumePlan::Delete);
    assert_eq!(plan_volume(&taken, theirs, None), VolumePlan::Release);
    assert_eq!(plan_volume(&taken, theirs, Some(&claim(json!({"metadata": {"uid": "new"}})))), VolumePlan::Release);
    assert_eq!(plan_volume(&taken, ours, Some(&claim(json!({})))), VolumePlan::TellClaim);
    assert_eq!(plan_volume(&taken, ours, Some(&claim(json!({"spec": {"volumeName": "v"}})))), VolumePlan::Keep("Bound"));
    assert_eq!(plan_volume(&taken, theirs, Some(&claim(json!({"spec": {"volumeName": "w"}})))), VolumePlan::Unbind);
}

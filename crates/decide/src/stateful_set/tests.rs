use serde_json::{Value, json};

use super::*;

fn set(replicas: i32, more: Value) -> StatefulSet {
    let mut spec = json!({
        "replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "db", "image": "db:1"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
    });
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    serde_json::from_value(json!({"metadata": {"name": "db", "namespace": "default", "uid": "s"}, "spec": spec})).unwrap()
}

fn revision(name: &str) -> Revision {
    Revision { name: name.into(), template: set(1, json!({})).spec.template }
}

/// A pod by its letters: `r`eady, `n`ot ready, `e`nding, `f`ailed; upper case when it is of the new revision.
fn member(set: &StatefulSet, number: i32, letter: char) -> Arc<Pod> {
    let of = if letter.is_uppercase() { "new" } else { "old" };
    let mut pod = pod(set, &revision(of), number);
    pod.metadata.uid = Some(number.to_string());
    let letter = letter.to_ascii_lowercase();
    let ready = if matches!(letter, 'r' | 'e') { "True" } else { "False" };
    let phase = if letter == 'f' { "Failed" } else { "Running" };
    pod.status = serde_json::from_value(json!({"phase": phase, "conditions": [{"type": "Ready", "status": ready}]})).unwrap();
    if letter == 'e' {
        pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
    }
    Arc::new(pod)
}

/// The steps for pods by their letters, a dot for a missing one: `+2` makes, `-2` removes.
fn steps(set: &StatefulSet, letters: &str) -> String {
    let pods: Vec<_> = (0..).zip(letters.chars()).filter(|(_, l)| *l != '.').map(|(n, l)| member(set, n, l)).collect();
    let (current, update) = (revision("old"), revision("new"));
    let plan = plan(&Observed { set, current: &current, update: &update, pods: &pods, now: Timestamp::UNIX_EPOCH });
    let text = plan.steps.iter().map(|step| match step {
        Step::Create(number, pod) => format!("+{number}{}", &revisions::label_of(pod).unwrap()[..1]),
        Step::Delete(pod, _) => format!("-{}", ordinal_of(set, pod).unwrap()),
        Step::Label(pod, _) => format!("l{}", ordinal_of(set, pod).unwrap()),
    });
    text.collect::<Vec<_>>().join(" ")
}

#[test]
fn steps_go_in_order_or_all_at_once() {
    let parallel = json!({"podManagementPolicy": "Parallel"});
    let partition = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
    let two = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}});
    let on_delete = json!({"updateStrategy": {"type": "OnDelete"}});
    for (replicas, more, letters, expected) in [
        (3, json!({}), "", "+0n"),
        (3, json!({}), "N", ""),
        (3, json!({}), "R", "+1n"),
        (3, json!({}), "Re", ""),
        (3, parallel.clone(), "N", "+1n +2n"),
        (3, json!({}), "RFR", "-1"),
        (1, json!({}), "RRR", "-2"),
        (1, json!({}), "RRE", ""),
        (1, json!({}), "RNR", "-2"),
        (1, json!({}), "RNN", ""),
        (1, json!({}), "RRN", "-2"),
        (1, parallel.clone(), "RRR", "-2 -1"),
        (3, json!({}), "rrr", "-2"),
        (3, json!({}), "rrN", ""),
        (3, json!({}), "rrR", "-1"),
        (3, partition.clone(), "rrR", ""),
        (3, partition, "r.R", "+1o"),
        (4, two, "rrrr", "-3 -2"),
        (3, on_delete, "rrr", ""),
        (3, parallel, "rnR", "-1"),
        (3, json!({"ordinals": {"start": 1}}), ".RR", "+3n"),
        (2, json!({"ordinals": {"start": 1}}), "RRR", "-0"),
    ] {
        assert_eq!(steps(&set(replicas, more.clone()), letters), expected, "{replicas} {letters} {more}");
    }
}

#[test]
fn a_pod_has_its_name_its_labels_and_its_claim() {
    let set = set(3, json!({}));
    let pod = pod(&set, &revision("new"), 2);
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("db-2"), Some("db")));
    let volume = &spec.volumes.as_ref().unwrap()[0];
    assert_eq!((volume.name.as_str(), &*volume.persistent_volume_claim.as_ref().unwrap().claim_name), ("data", "data-db-2"));
    assert_eq!(pod.metadata.labels.as_ref().unwrap()["apps.kubernetes.io/pod-index"], "2");
    assert_eq!(claims(&set, 2)[0].metadata.name.as_deref(), Some("data-db-2"));
    assert!(right_labels(&set, &pod).is_none());
}

#[test]
fn claims_belong_to_whom_the_policy_says() {
    let policy = |deleted: &str, scaled: &str| {
        set(1, json!({"persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": scaled}}))
    };
    for (deleted, scaled, number, expected) in [
        ("Retain", "Retain", 0, vec![]),
        ("Delete", "Retain", 0, vec!["StatefulSet"]),
        ("Delete", "Retain", 5, vec!["StatefulSet"]),
        ("Retain", "Delete", 0, vec![]),
        ("Retain", "Delete", 5, vec!["Pod"]),
        ("Delete", "Delete", 0, vec!["StatefulSet"]),
        ("Delete", "Delete", 5, vec!["Pod"]),
    ] {
        let set = policy(deleted, scaled);
        let pod = member(&set, number, 'r');
        let mut claim = claims(&set, number).remove(0);
        claim.metadata.owner_references = None;
        let owners = owners_of_claim(&set, number, Some(&pod), &claim).unwrap_or_default();
        assert_eq!(owners.iter().map(|owner| owner.kind.as_str()).collect::<Vec<_>>(), expected, "{deleted} {scaled} {number}");
    }
}

#[test]
fn a_template_that_comes_back_is_the_same_revision_again() {
    let mut one = set(1, json!({}));
    let first = Arc::new(*revisions(&one, &[]).create.unwrap());
    assert_eq!((first.revision, revisions(&one, std::slice::from_ref(&first)).create), (Some(1), None));
    one.spec.template.spec.as_mut().unwrap().containers[0].image = Some("db:2".into());
    let second = Arc::new(*revisions(&one, std::slice::from_ref(&first)).create.unwrap());
    assert_eq!(second.revision, Some(2));
    let back = revisions(&set(1, json!({})), &[first.clone(), second]);
    assert_eq!((back.create, back.renumber.unwrap().revision), (None, Some(3)));
    assert_eq!(Some(back.update.name), first.metadata.name);
}

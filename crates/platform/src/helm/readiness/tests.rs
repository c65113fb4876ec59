//! The rules as a table: an object, what is waited for, and what is said.

use serde_json::{Value as Json, json};

use super::{Readiness, Until, readiness};

/// An object of a kind with a spec and a status.
fn object(kind: &str, spec: Json, status: Json) -> Json {
    let (version, kind) = kind.rsplit_once('/').expect("a version and a kind");
    let metadata = json!({"name": "it", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"});
    json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec, "status": status})
}

fn told(object: &Json, until: Until, seconds: i64) -> String {
    let made: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    match readiness(object, until, made + jiff::SignedDuration::from_secs(seconds)) {
        Readiness::Ready => "ready".to_owned(),
        Readiness::InProgress(why) => format!("going: {why}"),
        Readiness::Failed(why) => format!("failed: {why}"),
        Readiness::Terminating => "terminating".to_owned(),
        Readiness::Missing => "missing".to_owned(),
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_kind_is_ready_by_its_own_rules() {
    let progress = json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"});
    let available = json!({"type": "Available", "status": "True"});
    let deadline = json!({"replicas": 2, "progressDeadlineSeconds": 600});
    let full = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2});
    let with = |mut status: Json, conditions: Json| {
        status["conditions"] = conditions;
        status
    };
    let set = json!({"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "currentReplicas": 1, "currentRevision": "a", "updateRevision": "a"});
    let partition = json!({"replicas": 2, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}});
    let daemon = |current: i64, ready: i64| json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "currentNumberScheduled": current, "updatedNumberScheduled": 2, "numberAvailable": 2, "numberReady": ready});
    let is = |kind: &str, status: &str| json!([{"type": kind, "status": status, "reason": "Why", "message": "because"}]);
    let none = || json!({});
    let rows: Vec<(&str, Json, Json, &str)> = vec![
        ("apps/v1/Deployment", json!({"replicas": 2}), none(), "going: Replicas: 0/2"),
        (
            "apps/v1/Deployment",
            none(),
            json!({"observedGeneration": 1}),
            "going: Deployment generation is 2, but latest observed generation is 1",
        ),
        ("apps/v1/Deployment", json!({"replicas": 2}), json!({"replicas": 2, "updatedReplicas": 1}), "going: Updated: 1/2"),
        (
            "apps/v1/Deployment",
            json!({"replicas": 2}),
            json!({"replicas": 3, "updatedReplicas": 2}),
            "going: Pending termination: 1",
        ),
        (
            "apps/v1/Deployment",
            json!({"replicas": 2}),
            json!({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
            "going: Available: 1/2",
        ),
        (
            "apps/v1/Deployment",
            json!({"replicas": 2}),
            json!({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 1}),
            "going: Ready: 1/2",
        ),
        ("apps/v1/Deployment", deadline.clone(), with(full.clone(), json!([available])), "going: ReplicaSet not Available"),
        ("apps/v1/Deployment", deadline.clone(), with(full.clone(), json!([progress])), "going: Deployment not Available"),
        ("apps/v1/Deployment", deadline, with(full.clone(), json!([progress, available])), "ready"),
        ("apps/v1/Deployment", json!({"replicas": 2}), with(full, json!([available])), "ready"),
        (
            "apps/v1/Deployment",
            none(),
            with(none(), json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}])),
            "failed: Progress deadline exceeded",
        ),
        ("apps/v1/StatefulSet", none(), set.clone(), "ready"),
        ("apps/v1/StatefulSet", json!({"updateStrategy": {"type": "OnDelete"}}), none(), "ready"),
        ("apps/v1/StatefulSet", json!({"replicas": 2}), set.clone(), "going: Replicas: 1/2"),
        ("apps/v1/StatefulSet", none(), json!({"replicas": 1}), "going: Ready: 0/1"),
        ("apps/v1/StatefulSet", json!({"replicas": 0}), set.clone(), "going: Pending termination: 1"),
        ("apps/v1/StatefulSet", partition.clone(), json!({"replicas": 2, "readyReplicas": 2}), "going: updated: 0/1"),
        ("apps/v1/StatefulSet", partition, json!({"replicas": 2, "readyReplicas": 2, "updatedReplicas": 1}), "ready"),
        ("apps/v1/StatefulSet", none(), json!({"replicas": 1, "readyReplicas": 1}), "going: current: 0/1"),
        (
            "apps/v1/StatefulSet",
            none(),
            json!({"replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "currentRevision": "a", "updateRevision": "b"}),
            "going: Waiting for updated revision to match current",
        ),
        (
            "apps/v1/ReplicaSet",
            none(),
            json!({"conditions": is("ReplicaFailure", "True")}),
            "going: Replica Failure condition. Check Pods",
        ),
        ("apps/v1/ReplicaSet", none(), none(), "going: Labelled: 0/1"),
        ("apps/v1/ReplicaSet", none(), json!({"fullyLabeledReplicas": 1}), "going: Available: 0/1"),
        ("apps/v1/ReplicaSet", none(), json!({"fullyLabeledReplicas": 1, "availableReplicas": 1}), "going: Ready: 0/1"),
        ("apps/v1/ReplicaSet", json!({"replicas": 0}), json!({"replicas": 1}), "going: Pending termination: 1"),
        ("apps/v1/ReplicaSet", json!({"replicas": 0}), none(), "ready"),
        ("apps/v1/DaemonSet", none(), none(), "going: DaemonSet status.observedGeneration not found"),
        ("apps/v1/DaemonSet", none(), json!({"observedGeneration": 2}), "going: Missing .status.desiredNumberScheduled"),
        ("apps/v1/DaemonSet", none(), daemon(1, 2), "going: Current: 1/2"),
        ("apps/v1/DaemonSet", none(), daemon(2, 1), "going: Ready: 1/2"),
        ("apps/v1/DaemonSet", none(), daemon(2, 2), "ready"),
        ("v1/Pod", none(), none(), "going: Pod phase not available"),
        ("v1/Pod", none(), json!({"phase": "Pending"}), "going: Pod is in the Pending phase"),
        ("v1/Pod", none(), json!({"phase": "Running"}), "going: Pod is running but is not Ready"),
        ("v1/Pod", none(), json!({"phase": "Running", "conditions": is("Ready", "True")}), "ready"),
        (
            "v1/Pod",
            none(),
            json!({"phase": "Running", "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}),
            "failed: Containers in CrashLoop state: a",
        ),
        ("v1/Pod", none(), json!({"phase": "Succeeded"}), "ready"),
        ("v1/Pod", none(), json!({"phase": "Failed"}), "ready"),
        ("batch/v1/Job", none(), none(), "going: Job not started"),
        ("batch/v1/Job", none(), json!({"startTime": "2026-01-01T00:00:00Z"}), "ready"),
        (
            "batch/v1/Job",
            json!({"completions": 3}),
            json!({"failed": 1, "conditions": is("Failed", "True")}),
            "failed: Job Failed. failed: 1/3",
        ),
        ("batch/v1/CronJob", none(), none(), "ready"),
        ("v1/ConfigMap", none(), none(), "ready"),
        ("v1/Secret", none(), none(), "ready"),
        ("policy/v1/PodDisruptionBudget", none(), none(), "ready"),
        ("v1/PersistentVolumeClaim", none(), none(), "going: PVC is not Bound. phase: unknown"),
        ("v1/PersistentVolumeClaim", none(), json!({"phase": "Pending"}), "going: PVC is not Bound. phase: Pending"),
        ("v1/PersistentVolumeClaim", none(), json!({"phase": "Bound"}), "ready"),
        ("v1/Service", json!({"type": "LoadBalancer"}), none(), "going: ClusterIP not set. Service type: LoadBalancer"),
        ("v1/Service", json!({"type": "LoadBalancer", "clusterIP": "10.0.0.1"}), none(), "ready"),
        ("v1/Service", none(), none(), "ready"),
        ("apiextensions.k8s.io/v1/CustomResourceDefinition", none(), none(), "going: Install in progress"),
        (
            "apiextensions.k8s.io/v1/CustomResourceDefinition",
            none(),
            json!({"conditions": is("NamesAccepted", "False")}),
            "failed: because",
        ),
        ("apiextensions.k8s.io/v1/CustomResourceDefinition", none(), json!({"conditions": is("Established", "True")}), "ready"),
        ("example.com/v1/Thing", none(), none(), "ready"),
        ("example.com/v1/Thing", none(), json!({"conditions": is("Ready", "False")}), "going: because"),
        ("example.com/v1/Thing", none(), json!({"conditions": is("Ready", "Unknown")}), "going: because"),
        ("example.com/v1/Thing", none(), json!({"conditions": is("Ready", "True")}), "ready"),
        ("example.com/v1/Thing", none(), json!({"conditions": is("Reconciling", "True")}), "going: because"),
        ("example.com/v1/Thing", none(), json!({"conditions": is("Stalled", "True")}), "failed: because"),
        ("example.com/v1/Thing", none(), json!({"conditions": is("Stalled", "False")}), "ready"),
    ];
    for (kind, spec, status, wanted) in rows {
        let object = object(kind, spec, status);
        assert_eq!(told(&object, Until::Ready, 1), wanted, "{object}");
    }
}

#[test]
fn jobs_and_pods_are_waited_for_to_their_end_where_that_is_asked() {
    let begun = object("batch/v1/Job", json!({}), json!({"startTime": "2026-01-01T00:00:00Z"}));
    let done = object("batch/v1/Job", json!({}), json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    let running = object("v1/Pod", json!({}), json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}));
    let failed = object("v1/Pod", json!({}), json!({"phase": "Failed"}));
    let rows = [
        (&begun, Until::Done, "going: Job in progress"),
        (&begun, Until::Ended, "going: Job in progress"),
        (&done, Until::Done, "ready"),
        (&running, Until::Done, "ready"),
        (&running, Until::Ended, "going: Pod in progress"),
        (&failed, Until::Ended, "failed: pod it failed"),
    ];
    for (object, until, wanted) in rows {
        assert_eq!(told(object, until, 1), wanted);
    }
    let deployment = object("apps/v1/Deployment", json!({}), json!({}));
    assert_eq!(told(&deployment, Until::Ended, 1), "ready", "hooks that do not end are not waited for");
}

#[test]
fn a_pod_that_fits_nowhere_is_given_up_after_a_while() {
    let unfit = json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]);
    let pod = object("v1/Pod", json!({}), json!({"phase": "Pending", "conditions": unfit}));
    assert_eq!(told(&pod, Until::Ready, 5), "going: Pod has not been scheduled");
    assert_eq!(told(&pod, Until::Ready, 20), "failed: Pod could not be scheduled");
}

#[test]
fn what_is_being_deleted_is_not_ready() {
    let mut map = object("v1/ConfigMap", json!({}), json!({}));
    map["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(told(&map, Until::Ready, 1), "terminating");
}

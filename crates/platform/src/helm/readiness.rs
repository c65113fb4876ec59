//! When an object is ready, by the rules of kstatus, in whose words. It is pure.

use serde_json::Value as Json;

use super::cluster::text;

#[cfg(test)]
mod tests;

/// How far an object is, and what is to be said of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As wished.
    Ready,
    /// On its way.
    InProgress(String),
    /// It will not get there without help.
    Failed(String),
    /// It is being deleted.
    Terminating,
    /// It is not there.
    Missing,
}

impl Readiness {
    /// Its name and its message.
    pub(super) fn words(&self) -> (&'static str, &str) {
        match self {
            Self::Ready => ("Current", "Resource is current"),
            Self::InProgress(why) => ("InProgress", why),
            Self::Failed(why) => ("Failed", why),
            Self::Terminating => ("Terminating", "Resource scheduled for deletion"),
            Self::Missing => ("NotFound", "Resource not found"),
        }
    }
}

/// What waiting waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Ready; jobs have begun.
    Ready,
    /// Ready; jobs are done.
    Done,
    /// As a hook is: jobs and pods are done, whatever else is there is ready.
    Ended,
}

fn condition<'o>(object: &'o Json, kind: &str) -> Option<&'o Json> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|it| it["type"] == kind)
}

fn holds(object: &Json, kind: &str) -> bool {
    condition(object, kind).is_some_and(|it| it["status"] == "True")
}

fn number(object: &Json, pointer: &str, otherwise: i64) -> i64 {
    object.pointer(pointer).and_then(Json::as_i64).unwrap_or(otherwise)
}

fn going(why: impl Into<String>) -> Readiness {
    Readiness::InProgress(why.into())
}

/// The first of some counts that is too low.
fn counts(rows: &[(&str, i64, i64)]) -> Option<Readiness> {
    rows.iter().find(|(_, have, want)| have < want).map(|(what, have, want)| going(format!("{what}: {have}/{want}")))
}

/// How far an object is at a time.
#[must_use]
pub fn readiness(object: &Json, until: Until, now: jiff::Timestamp) -> Readiness {
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        return Readiness::Terminating;
    }
    let kind = text(object, "/kind");
    let group = text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    if until == Until::Ended && !matches!((group, kind), ("batch", "Job") | ("", "Pod")) {
        return Readiness::Ready;
    }
    if until != Until::Ended
        && let Some(found) = in_general(object, kind)
    {
        return found;
    }
    match (group, kind) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("", "Pod") if until == Until::Ended => ended_pod(object),
        ("", "Pod") => pod(object, now),
        ("batch", "Job") => job(object, until == Until::Ready),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("", "Secret" | "ConfigMap") | ("batch", "CronJob") | ("policy", "PodDisruptionBudget") => Readiness::Ready,
        _ => other(object),
    }
}

/// What is told by fields that many kinds have.
fn in_general(object: &Json, kind: &str) -> Option<Readiness> {
    let generation = object.pointer("/metadata/generation").and_then(Json::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Json::as_i64);
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        return Some(going(format!("{kind} generation is {generation}, but latest observed generation is {observed}")));
    }
    for found in object.pointer("/status/conditions")?.as_array()?.iter().filter(|it| it["status"] == "True") {
        let message = text(found, "/message").to_owned();
        match text(found, "/type") {
            "Reconciling" => return Some(Readiness::InProgress(message)),
            "Stalled" => return Some(Readiness::Failed(message)),
            _ => {}
        }
    }
    None
}

fn deployment(object: &Json) -> Readiness {
    let progress = condition(object, "Progressing");
    if progress.is_some_and(|it| it["reason"] == "ProgressDeadlineExceeded") {
        return Readiness::Failed("Progress deadline exceeded".to_owned());
    }
    let want = number(object, "/spec/replicas", 1);
    let (have, updated) = (number(object, "/status/replicas", 0), number(object, "/status/updatedReplicas", 0));
    let (available, ready) = (number(object, "/status/availableReplicas", 0), number(object, "/status/readyReplicas", 0));
    if let Some(few) = counts(&[("Replicas", have, want), ("Updated", updated, want)]) {
        return few;
    }
    if have > want {
        return going(format!("Pending termination: {}", have - want));
    }
    if let Some(few) = counts(&[("Available", available, updated), ("Ready", ready, want)]) {
        return few;
    }
    let unlimited = number(object, "/spec/progressDeadlineSeconds", i64::from(i32::MAX)) == i64::from(i32::MAX);
    let complete = progress.is_some_and(|it| it["status"] == "True" && it["reason"] == "NewReplicaSetAvailable");
    if !unlimited && !complete {
        return going("ReplicaSet not Available");
    }
    if holds(object, "Available") { Readiness::Ready } else { going("Deployment not Available") }
}

fn stateful_set(object: &Json) -> Readiness {
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Readiness::Ready;
    }
    let want = number(object, "/spec/replicas", 1);
    let have = number(object, "/status/replicas", 0);
    let updated = number(object, "/status/updatedReplicas", 0);
    if let Some(few) = counts(&[("Replicas", have, want), ("Ready", number(object, "/status/readyReplicas", 0), want)]) {
        return few;
    }
    if have > want {
        return going(format!("Pending termination: {}", have - want));
    }
    if let Some(partition) = object.pointer("/spec/updateStrategy/rollingUpdate/partition").and_then(Json::as_i64) {
        return counts(&[("updated", updated, want - partition)]).unwrap_or(Readiness::Ready);
    }
    if let Some(few) = counts(&[("current", number(object, "/status/currentReplicas", 0), want)]) {
        return few;
    }
    if text(object, "/status/currentRevision") == text(object, "/status/updateRevision") {
        Readiness::Ready
    } else {
        going("Waiting for updated revision to match current")
    }
}

fn replica_set(object: &Json) -> Readiness {
    if holds(object, "ReplicaFailure") {
        return going("Replica Failure condition. Check Pods");
    }
    let want = number(object, "/spec/replicas", 1);
    let have = number(object, "/status/replicas", 0);
    let rows = [
        ("Labelled", number(object, "/status/fullyLabeledReplicas", 0), want),
        ("Available", number(object, "/status/availableReplicas", 0), want),
        ("Ready", number(object, "/status/readyReplicas", 0), want),
    ];
    let surplus = || (have > want).then(|| going(format!("Pending termination: {}", have - want)));
    counts(&rows).or_else(surplus).unwrap_or(Readiness::Ready)
}

fn daemon_set(object: &Json) -> Readiness {
    for field in ["metadata.generation", "status.observedGeneration"] {
        if object.pointer(&format!("/{}", field.replace('.', "/"))).is_none() {
            return going(format!("DaemonSet {field} not found"));
        }
    }
    let want = number(object, "/status/desiredNumberScheduled", -1);
    if want == -1 {
        return going("Missing .status.desiredNumberScheduled");
    }
    let rows = [
        ("Current", number(object, "/status/currentNumberScheduled", 0), want),
        ("Updated", number(object, "/status/updatedNumberScheduled", 0), want),
        ("Available", number(object, "/status/numberAvailable", 0), want),
        ("Ready", number(object, "/status/numberReady", 0), want),
    ];
    counts(&rows).unwrap_or(Readiness::Ready)
}

/// An unschedulable pod is given up after so long.
const SCHEDULING: jiff::SignedDuration = jiff::SignedDuration::from_secs(15);

fn pod(object: &Json, now: jiff::Timestamp) -> Readiness {
    match text(object, "/status/phase") {
        "Succeeded" | "Failed" => Readiness::Ready,
        "Running" if holds(object, "Ready") => Readiness::Ready,
        "Running" => {
            let all = object.pointer("/status/containerStatuses").and_then(Json::as_array);
            let looping = |it: &&Json| text(it, "/state/waiting/reason") == "CrashLoopBackOff";
            let names: Vec<&str> = all.into_iter().flatten().filter(looping).map(|it| text(it, "/name")).collect();
            if names.is_empty() {
                return going("Pod is running but is not Ready");
            }
            Readiness::Failed(format!("Containers in CrashLoop state: {}", names.join(",")))
        }
        "Pending" => {
            let unfit = |it: &Json| it["status"] == "False" && it["reason"] == "Unschedulable";
            if !condition(object, "PodScheduled").is_some_and(unfit) {
                return going("Pod is in the Pending phase");
            }
            let made = text(object, "/metadata/creationTimestamp").parse::<jiff::Timestamp>();
            if made.is_ok_and(|made| now.duration_since(made) < SCHEDULING) {
                return going("Pod has not been scheduled");
            }
            Readiness::Failed("Pod could not be scheduled".to_owned())
        }
        "" => going("Pod phase not available"),
        phase => going(format!("unknown phase {phase}")),
    }
}

fn ended_pod(object: &Json) -> Readiness {
    match text(object, "/status/phase") {
        "Succeeded" => Readiness::Ready,
        "Failed" => Readiness::Failed(format!("pod {} failed", text(object, "/metadata/name"))),
        _ => going("Pod in progress"),
    }
}

fn job(object: &Json, begun_is_enough: bool) -> Readiness {
    if holds(object, "Complete") {
        return Readiness::Ready;
    }
    if holds(object, "Failed") {
        let parallelism = number(object, "/spec/parallelism", 1);
        let (failed, wanted) = (number(object, "/status/failed", 0), number(object, "/spec/completions", parallelism));
        return Readiness::Failed(format!("Job Failed. failed: {failed}/{wanted}"));
    }
    match begun_is_enough {
        false => going("Job in progress"),
        true if text(object, "/status/startTime").is_empty() => going("Job not started"),
        true => Readiness::Ready,
    }
}

fn claim(object: &Json) -> Readiness {
    match object.pointer("/status/phase").and_then(Json::as_str).unwrap_or("unknown") {
        "Bound" => Readiness::Ready,
        phase => going(format!("PVC is not Bound. phase: {phase}")),
    }
}

fn service(object: &Json) -> Readiness {
    if text(object, "/spec/type") == "LoadBalancer" && text(object, "/spec/clusterIP").is_empty() {
        return going("ClusterIP not set. Service type: LoadBalancer");
    }
    Readiness::Ready
}

fn definition(object: &Json) -> Readiness {
    let refused = |kind: &str| condition(object, kind).filter(|it| it["status"] == "False" && it["reason"] != "Installing");
    if let Some(refused) = refused("NamesAccepted").or_else(|| refused("Established")) {
        return Readiness::Failed(text(refused, "/message").to_owned());
    }
    if holds(object, "Established") { Readiness::Ready } else { going("Install in progress") }
}

fn other(object: &Json) -> Readiness {
    match condition(object, "Ready") {
        Some(ready) if ready["status"] != "True" => going(text(ready, "/message")),
        _ => Readiness::Ready,
    }
}

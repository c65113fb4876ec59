//! Tells the API of a pod: only what changed, one write at a time, what is not urgent a little later so that it goes with what follows.

use std::sync::Arc;
use std::time::Duration;

use decide::pod_lifecycle::{Facts, status};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::worker::Event;
use crate::site::Site;

/// How long a status that nobody waits for is held back.
const HELD_BACK: Duration = Duration::from_millis(100);

/// So often a last status is tried before a pod goes without it.
const FAILURES_MAX: u32 = 6;

/// What the API is told about one pod.
pub(super) struct Teller {
    site: Arc<Site>,
    events: mpsc::UnboundedSender<Event>,
    namespace: String,
    name: String,
    uid: String,
    /// What the API holds, as far as we know.
    known: PodStatus,
    /// What is being written.
    writing: Option<PodStatus>,
    /// A status is held back until its time.
    waiting: bool,
    due: bool,
    failures: u32,
    closed: bool,
}

impl Teller {
    pub(super) fn new(site: Arc<Site>, events: mpsc::UnboundedSender<Event>, pod: &Pod) -> Self {
        let meta = &pod.metadata;
        Self {
            site,
            events,
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            known: pod.status.clone().unwrap_or_default(),
            writing: None,
            waiting: false,
            due: false,
            failures: 0,
            closed: false,
        }
    }

    /// The API shows this now.
    pub(super) fn saw(&mut self, pod: &Pod) {
        // While a write is on its way the object that comes in may be older than it.
        if self.writing.is_none() {
            self.known = pod.status.clone().unwrap_or_default();
        }
    }

    /// The object is gone.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    fn wanted(&self, pod: &Pod, facts: &Facts) -> PodStatus {
        status(pod, facts, Timestamp::now(), &self.site.place(), &self.known)
    }

    /// Whether the API knows all, and nothing is on its way.
    pub(super) fn is_quiet(&self, pod: &Pod, facts: &Facts) -> bool {
        // A status that the API refuses for good must not keep a pod from going.
        let refused = self.failures > FAILURES_MAX;
        self.closed || (self.writing.is_none() && (refused || self.is_known(&self.wanted(pod, facts))))
    }

    /// Whether the API holds this. It keeps times to the second: what differs in less is the same.
    fn is_known(&self, wanted: &PodStatus) -> bool {
        *wanted == self.known || patch(&self.known, wanted, &self.uid).is_none()
    }

    /// Writes what changed, now or a little later.
    pub(super) fn tell(&mut self, pod: &Pod, facts: &Facts) {
        if self.writing.is_some() || self.closed {
            return;
        }
        let wanted = self.wanted(pod, facts);
        if self.is_known(&wanted) {
            return;
        }
        if !self.due && !is_urgent(&self.known, &wanted) {
            if !self.waiting {
                self.waiting = true;
                let events = self.events.clone();
                tokio::spawn(async move {
                    ::client::queue::pause(HELD_BACK).await;
                    let _ = events.send(Event::Tell);
                });
            }
            return;
        }
        self.due = false;
        self.write(wanted);
    }

    /// What was held back is to be written.
    pub(super) fn due(&mut self) {
        self.waiting = false;
        self.due = true;
    }

    fn write(&mut self, wanted: PodStatus) {
        let Some(patch) = patch(&self.known, &wanted, &self.uid) else { return };
        self.writing = Some(wanted);
        let api: Api<Pod> = Api::namespaced(self.site.client.clone(), &self.namespace);
        let (events, name) = (self.events.clone(), self.name.clone());
        let pause = self.failures.checked_sub(1).map(|n| Duration::from_millis(50 << n.min(8)));
        tokio::spawn(async move {
            if let Some(pause) = pause {
                ::client::queue::pause(pause).await;
            }
            let written = api.patch_status(&name, &PatchParams::default(), &Patch::Strategic(&patch)).await;
            let _ = events.send(Event::Told(written.map(drop)));
        });
    }

    /// What came of a write.
    pub(super) fn told(&mut self, result: Result<(), kube::Error>) {
        let written = self.writing.take();
        match result {
            Ok(()) => {
                self.failures = 0;
                self.known = written.unwrap_or_default();
            }
            // The object is gone, or another one has its name: its watch tells.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                self.closed = status.is_not_found();
                self.failures += 1;
                self.due = true;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, pod = self.name, "a pod's status is not written yet");
                self.failures += 1;
                self.due = true;
            }
        }
    }
}

/// Whether someone may wait for it: a phase, an address, readiness, an end, or a failure.
fn is_urgent(known: &PodStatus, wanted: &PodStatus) -> bool {
    if known.phase != wanted.phase || known.reason != wanted.reason {
        return true;
    }
    let states = |status: &PodStatus| {
        let all = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
        let all = all.into_iter().flatten().flatten();
        all.map(|c| {
            let state = c.state.clone().unwrap_or_default();
            let waits = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !is_calm(reason));
            (c.ready, c.restart_count, waits, state.terminated.is_some(), state.running.is_some())
        })
        .collect::<Vec<_>>()
    };
    let (old, new) = (states(known), states(wanted));
    // The first status of a pod that only waits is not worth a write of its own.
    let calm =
        new.iter().all(|(ready, restarts, waits, ended, runs)| !ready && *restarts == 0 && waits.is_none() && !ended && !runs);
    if old != new && !(old.is_empty() && calm) {
        return true;
    }
    let ready = |status: &PodStatus| {
        let found = status.conditions.iter().flatten().find(|c| c.type_ == "Ready");
        found.map(|c| c.status == "True").unwrap_or_default()
    };
    ready(known) != ready(wanted)
}

fn is_calm(reason: &str) -> bool {
    matches!(reason, "ContainerCreating" | "PodInitializing")
}

/// The strategic patch from one status to another; none when they are the same.
fn patch(known: &PodStatus, wanted: &PodStatus, uid: &str) -> Option<Value> {
    let tree = |status: &PodStatus| match serde_json::to_value(status) {
        Ok(Value::Object(tree)) => tree,
        _ => Map::new(),
    };
    let (old, new) = (tree(known), tree(wanted));
    let mut changes = Map::new();
    for (name, value) in &new {
        if old.get(name) != Some(value) {
            changes.insert(name.clone(), change(name, old.get(name), value));
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    if changes.is_empty() {
        return None;
    }
    Some(json!({ "metadata": { "uid": uid }, "status": changes }))
}

fn change(name: &str, old: Option<&Value>, new: &Value) -> Value {
    let items = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    match name {
        "conditions" => Value::Array(change_of_conditions(&items(old), &items(Some(new)))),
        // Merged by address, but meant whole.
        "podIPs" | "hostIPs" if old.is_some() => {
            let mut all = items(Some(new));
            all.push(json!({ "$patch": "replace" }));
            Value::Array(all)
        }
        _ => new.clone(),
    }
}

/// Conditions are merged by type and field by field: those of others stay as they are, and what is no more has to be said.
fn change_of_conditions(old: &[Value], new: &[Value]) -> Vec<Value> {
    let same_type = |all: &'_ [Value], one: &Value| all.iter().position(|other| other["type"] == one["type"]);
    let changed = new.iter().filter(|condition| !old.contains(condition)).map(|condition| {
        let mut condition = condition.clone();
        let before = same_type(old, &condition).and_then(|at| old[at].as_object());
        if let Some(fields) = condition.as_object_mut() {
            for name in before.into_iter().flat_map(Map::keys) {
                fields.entry(name.clone()).or_insert(Value::Null);
            }
        }
        condition
    });
    let gone = old.iter().filter(|condition| same_type(new, condition).is_none());
    changed.chain(gone.map(|condition| json!({ "$patch": "delete", "type": condition["type"] }))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_patch_holds_what_changed_and_leaves_conditions_of_others() {
        let old = parsed(json!({
            "phase": "Pending", "message": "m",
            "conditions": [{ "type": "Ready", "status": "False" }, { "type": "lb", "status": "True" }],
        }));
        let new = parsed(json!({
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "lb", "status": "True" }],
        }));
        let found = patch(&old, &new, "u").unwrap();
        assert_eq!(found["metadata"]["uid"], "u");
        assert_eq!(found["status"]["phase"], "Running");
        assert_eq!(found["status"]["message"], Value::Null);
        assert_eq!(found["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(patch(&new, &new, "u"), None);
        let finer = PodStatus {
            start_time: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2026-01-01T00:00:00.5Z".parse().unwrap())),
            ..new.clone()
        };
        let told = parsed(serde_json::to_value(&finer).unwrap());
        assert_ne!(finer, told);
        assert_eq!(patch(&told, &finer, "u"), None, "the API keeps times to the second");
    }

    #[test]
    fn a_patch_says_which_conditions_and_texts_are_no_more() {
        let old = json!([
            { "type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "m" },
            { "type": "PodResizeInProgress", "status": "True" }, { "type": "lb", "status": "True" },
        ]);
        let new = json!([{ "type": "Ready", "status": "True" }, { "type": "lb", "status": "True" }]);
        let found = change_of_conditions(old.as_array().unwrap(), new.as_array().unwrap());
        let ready = json!({ "type": "Ready", "status": "True", "reason": null, "message": null });
        assert_eq!(found, [ready, json!({ "$patch": "delete", "type": "PodResizeInProgress" })]);
    }

    #[test]
    fn a_first_status_that_only_waits_is_not_urgent() {
        let waiting = |reason: &str| {
            let state = json!({ "waiting": { "reason": reason } });
            let status = json!({ "name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state });
            parsed(json!({ "phase": "Pending", "containerStatuses": [status] }))
        };
        let first = parsed(json!({ "phase": "Pending" }));
        assert!(!is_urgent(&first, &waiting("ContainerCreating")));
        assert!(is_urgent(&first, &waiting("ErrImagePull")));
        let mut running = waiting("ContainerCreating");
        running.phase = Some("Running".into());
        assert!(is_urgent(&waiting("ContainerCreating"), &running));
    }
}

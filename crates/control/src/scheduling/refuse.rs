//! A pod gets no node now: it is told so in its status and by an event, and those who have to give way for it are sent off.

use std::sync::Arc;

use client::events::Severity;
use decide::scheduling::{Pod, Preemption, Refusal, losers};
use k8s_openapi::api::core::v1::Pod as Typed;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;

use super::{Scheduler, reference};

/// The longest message of an event.
const MESSAGE_MAX: usize = 1024;

impl Scheduler {
    pub(super) async fn refuse(self: Arc<Self>, pod: Arc<Pod>, refusal: Refusal) {
        let message = shorten(&refusal.message);
        self.recorder.record(reference(&pod), Severity::Warning, "FailedScheduling", message);
        let node = refusal.preemption.as_ref().map(|preemption| preemption.node.as_str());
        self.tell(&pod, "Unschedulable", &refusal.message, node).await;
        if let Some(preemption) = &refusal.preemption {
            self.preempt(&pod, preemption).await;
        }
    }

    /// Writes the condition `PodScheduled`, and the node that was chosen by preemption, unless they are there already.
    pub(super) async fn tell(&self, pod: &Pod, reason: &str, message: &str, nominated: Option<&str>) {
        let Some(latest) = self.pods.find(&pod.namespace, &pod.name) else { return };
        if latest.metadata.uid.as_deref() != Some(&*pod.uid) {
            return;
        }
        let status = latest.status.clone().unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let old = conditions.iter().find(|condition| condition.type_ == "PodScheduled");
        let said = old.is_some_and(|old| {
            old.status == "False" && old.reason.as_deref() == Some(reason) && old.message.as_deref() == Some(message)
        });
        let renominated = nominated.is_some_and(|node| status.nominated_node_name.as_deref() != Some(node));
        if said && !renominated {
            return;
        }
        let since = old.filter(|old| old.status == "False").and_then(|old| old.last_transition_time.clone());
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": reason, "message": message, "lastProbeTime": null,
            "lastTransitionTime": since.unwrap_or_else(|| k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now())),
            "observedGeneration": latest.metadata.generation,
        });
        let mut status = json!({"conditions": [condition]});
        if let Some(node) = nominated {
            status["nominatedNodeName"] = json!(node);
        }
        self.patch_status(pod, status).await;
    }

    async fn patch_status(&self, pod: &Pod, status: serde_json::Value) {
        let patch = json!({"metadata": {"uid": &*pod.uid}, "status": status});
        let pods: Api<Typed> = Api::namespaced(self.client.clone(), &pod.namespace);
        if let Err(error) = pods.patch_status(&pod.name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            // Most often the pod is gone.
            tracing::debug!(pod = pod.full_name(), error = &error as &dyn std::error::Error, "a pod's status is not written");
        }
    }

    /// Sends the victims off, and takes the node back from those of lower priority to whom it was promised.
    async fn preempt(&self, pod: &Pod, preemption: &Preemption) {
        let promised: Vec<Arc<Pod>> = {
            let mut state = self.state();
            let uids = losers(&state.cluster, pod, &preemption.node);
            let pods: Vec<_> = state.cluster.nominated().filter(|other| uids.contains(&other.uid)).cloned().collect();
            for loser in &pods {
                state.cluster.nominate(loser, "");
            }
            pods
        };
        let sent = preemption
            .victims
            .iter()
            .filter(|victim| !victim.terminating)
            .map(|victim| self.send_off(pod, victim, &preemption.node));
        futures::future::join_all(sent).await;
        for loser in promised {
            self.patch_status(&loser, json!({"nominatedNodeName": null})).await;
        }
    }

    async fn send_off(&self, pod: &Pod, victim: &Pod, node: &str) {
        let scheduler = &pod.scheduler;
        let condition = json!({
            "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
            "message": format!("{scheduler}: preempting to accommodate a higher priority pod"),
            "lastTransitionTime": k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()),
        });
        self.patch_status(victim, json!({"conditions": [condition]})).await;
        let pods: Api<Typed> = Api::namespaced(self.client.clone(), &victim.namespace);
        let precondition = Preconditions { uid: Some(victim.uid.to_string()), resource_version: None };
        let params = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        match pods.delete(&victim.name, &params).await {
            Ok(_) => {
                let message = format!("Preempted by pod {} on node {node}", pod.uid);
                self.recorder.record(reference(victim), Severity::Normal, "Preempted", message);
            }
            Err(error) => {
                tracing::debug!(victim = victim.full_name(), error = &error as &dyn std::error::Error, "a victim stays")
            }
        }
    }
}

/// The message, cut to what an event may hold.
fn shorten(message: &str) -> String {
    if message.len() <= MESSAGE_MAX {
        return message.to_owned();
    }
    let end = message.floor_char_boundary(MESSAGE_MAX - 4);
    format!("{} ...", &message[..end])
}

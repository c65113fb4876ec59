//! A pod gets the node that was chosen for it: first its claims, then the binding. Many pods at a time.

use std::sync::Arc;
use std::time::Duration;

use client::events::Severity;
use decide::scheduling::queue::Event;
use decide::scheduling::{ClaimPlan, ClaimStep, Placement, Pod};
use decide::volume_binding::{BOUND_BY_CONTROLLER, SELECTED_NODE};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod as Typed};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Scheduler, reference};

/// How long a pod waits for its volumes before it is looked at again.
const VOLUMES_MAX: Duration = Duration::from_secs(600);

/// Why a pod did not get the node that was chosen for it.
#[derive(Debug, thiserror::Error)]
enum BindError {
    #[error("running PreBind plugin \"VolumeBinding\": binding volumes: {0}")]
    Claims(String),
    #[error("running PreBind plugin \"VolumeBinding\": binding volumes")]
    WriteClaim(#[source] kube::Error),
    #[error("running Bind plugin \"DefaultBinder\"")]
    Bind(#[source] kube::Error),
}

impl BindError {
    /// The whole of it, as the event tells it.
    fn text(&self) -> String {
        match self {
            Self::Claims(_) => self.to_string(),
            Self::WriteClaim(source) | Self::Bind(source) => format!("{self}: {source}"),
        }
    }
}

impl Scheduler {
    pub(super) async fn bind(self: Arc<Self>, pod: Arc<Pod>, placement: Placement) {
        let bound = async {
            self.bind_claims(&pod, &placement).await?;
            self.post_binding(&pod, &placement.node).await
        };
        let Err(error) = bound.await else {
            let message = format!("Successfully assigned {} to {}", pod.full_name(), placement.node);
            self.recorder.record(reference(&pod), Severity::Normal, "Scheduled", message);
            return;
        };
        let latest = self.pods.find(&pod.namespace, &pod.name).filter(|latest| latest.metadata.uid.as_deref() == Some(&*pod.uid));
        let placed = |latest: &Arc<Typed>| {
            latest.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().is_some_and(|n| !n.is_empty()))
        };
        if latest.as_ref().is_some_and(placed) {
            return;
        }
        {
            let mut state = self.state();
            state.cluster.forget(&pod.uid, &placement);
            match latest {
                Some(_) => state.queue.failed(&pod.uid, Timestamp::now()),
                None => state.queue.remove(&pod.uid),
            }
            state.happened(Event::PodLeft);
        }
        self.wake();
        if latest.is_some() {
            let text = error.text();
            self.recorder.record(reference(&pod), Severity::Warning, "FailedScheduling", text.clone());
            self.tell(&pod, "SchedulerError", &text, None).await;
        }
    }

    async fn post_binding(&self, pod: &Pod, node: &str) -> Result<(), BindError> {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"namespace": &*pod.namespace, "name": pod.name, "uid": &*pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let pods: Api<Typed> = Api::namespaced(self.client.clone(), &pod.namespace);
        let answer: Result<Value, _> = pods.create_subresource("binding", &pod.name, &PostParams::default(), &binding).await;
        answer.map(drop).map_err(BindError::Bind)
    }

    /// Writes down which volumes the claims get or where they are to be made, and waits until they are bound.
    async fn bind_claims(&self, pod: &Pod, placement: &Placement) -> Result<(), BindError> {
        if placement.claims.is_empty() {
            return Ok(());
        }
        let mut storage = self.storage.subscribe();
        for plan in &placement.claims {
            self.write_claim(plan, &placement.node).await.map_err(BindError::WriteClaim)?;
        }
        let all_bound = async {
            loop {
                storage.borrow_and_update();
                if self.are_bound(pod, placement)? {
                    return Ok(());
                }
                if storage.changed().await.is_err() {
                    return Err(BindError::Claims("the scheduler ends".to_owned()));
                }
            }
        };
        let late = |_| BindError::Claims("context deadline exceeded".to_owned());
        tokio::time::timeout(VOLUMES_MAX, all_bound).await.map_err(late)?
    }

    async fn write_claim(&self, plan: &ClaimPlan, node: &str) -> Result<(), kube::Error> {
        let (namespace, name) = &plan.claim;
        match &plan.step {
            ClaimStep::Provision => {
                let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
                let patch = json!({"metadata": {"annotations": {SELECTED_NODE: node}}});
                claims.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
            }
            ClaimStep::Bind(volume) => {
                let uid = self.state().cluster.claim(&plan.claim).map(|claim| claim.uid.clone()).unwrap_or_default();
                let reference = json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "namespace": &**namespace, "name": &**name, "uid": uid,
                });
                let patch = json!({
                    "metadata": {"annotations": {BOUND_BY_CONTROLLER: "yes"}},
                    "spec": {"claimRef": reference},
                });
                let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
                volumes.patch(volume, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
            }
        }
    }

    /// Whether every claim has its volume; an error when that will not be so any more.
    fn are_bound(&self, pod: &Pod, placement: &Placement) -> Result<bool, BindError> {
        let state = self.state();
        if state.cluster.place_of(&pod.uid).is_none() {
            return Err(BindError::Claims("pod does not exist any more".to_owned()));
        }
        let Some(node) = state.cluster.node(&placement.node) else {
            return Err(BindError::Claims(format!("failed to get node \"{}\": not found", placement.node)));
        };
        for plan in &placement.claims {
            let name = &plan.claim.1;
            let Some(claim) = state.cluster.claim(&plan.claim) else {
                return Err(BindError::Claims(format!("error getting PVC \"{}/{name}\": not found", plan.claim.0)));
            };
            let volume = claim.volume.as_deref().filter(|_| claim.bound).and_then(|volume| state.cluster.volumes().get(volume));
            match volume {
                Some(volume) if volume.reachable(&node.name, &node.labels) => {}
                Some(volume) => {
                    let (volume, node) = (&volume.name, &placement.node);
                    return Err(BindError::Claims(format!("pv \"{volume}\" node affinity doesn't match node \"{node}\"")));
                }
                None if plan.step == ClaimStep::Provision && !claim.bound && claim.selected_node.is_none() => {
                    return Err(BindError::Claims(format!("selectedNode annotation reset for PVC \"{name}\"")));
                }
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

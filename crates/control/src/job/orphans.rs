//! Pods that wait to be counted by a Job that is gone or over: nobody will count them, so they are let go.

use std::sync::Arc;

use client::reconcile::Next;
use client::{Key, Queue};
use decide::job::{attempt, is_over};
use decide::ownership;
use k8s_openapi::api::core::v1::Pod;

use super::Controller;
use crate::apply::ApplyError;

/// Pods that may have to be let go.
pub(super) fn follow(controller: &Arc<Controller>) -> Queue<Key> {
    let queue = Queue::new();
    let (told, seen) = (queue.clone(), Arc::downgrade(controller));
    controller.pods.on_change(move |change| {
        let tracked = change.new.as_ref().filter(|pod| attempt::is_tracked(pod));
        if let (Some(pod), Some(controller)) = (tracked, seen.upgrade())
            && !controller.counts(pod)
        {
            told.add(change.key.clone());
        }
    });
    let (told, by_controller) = (queue.clone(), controller.by_controller.clone());
    controller.jobs.on_change(move |change| {
        if change.new.as_deref().is_none_or(is_over) {
            let uid = change.latest().and_then(|job| job.metadata.uid.clone()).unwrap_or_default();
            for pod in by_controller.get(&uid).iter().filter(|pod| attempt::is_tracked(pod)) {
                told.add(Key::of(&**pod));
            }
        }
    });
    queue
}

impl Controller {
    /// Whether a Job is there that counts the pod.
    fn counts(&self, pod: &Pod) -> bool {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let owner = ownership::controller(&pod.metadata).filter(|owner| owner.kind == "Job");
        let job = owner
            .and_then(|owner| self.jobs.find(namespace, &owner.name).filter(|job| job.metadata.uid.as_ref() == Some(&owner.uid)));
        job.is_some_and(|job| !is_over(&job))
    }
}

pub(super) async fn let_go(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(pod) = controller.pods.get(&key).filter(|pod| attempt::is_tracked(pod)) else { return Ok(Next::OnChange) };
    if !controller.counts(&pod) {
        controller.release(&pod).await?;
    }
    Ok(Next::OnChange)
}

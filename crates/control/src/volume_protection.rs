//! Claims that pods use and volumes that claims have are not taken away: the finalizers that admission put there go once nobody uses them.

use std::sync::Arc;

use client::reconcile::Next;
use client::{Cache, Index, Key, Queue};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use crate::apply::{self, ApplyError};
use crate::wiring::{Wiring, Work};

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// The controller of the finalizer of claims.
pub fn claims(wiring: Wiring) -> Work {
    Box::pin(async move {
        let claims = wiring.cache::<PersistentVolumeClaim>();
        let pods = wiring.pods();
        let users = pods.index("claims", |pod| used_by(pod).map(|key| key.to_string()).collect());
        let queue = Queue::new();
        wiring.enqueue_changes(&claims, &queue);
        let told = queue.clone();
        pods.on_change(move |change| {
            // Only a pod that goes or ends sets a claim free.
            if change.new.as_deref().is_none_or(decide::scheduling::pod::is_done) {
                for key in change.both().flat_map(|pod| used_claims(pod)) {
                    told.add(key);
                }
            }
        });
        let client = wiring.client.clone();
        wiring.work(queue, 2, move |key| claim(client.clone(), Arc::clone(&claims), users.clone(), key)).await;
    })
}

/// The claims that a pod mounts, once it has a node.
fn used_by(pod: &Pod) -> impl Iterator<Item = Key> {
    let placed = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
    let uses = placed && !decide::scheduling::pod::is_done(pod);
    used_claims(pod).into_iter().filter(move |_| uses)
}

fn used_claims(pod: &Pod) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let keys = volumes.filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(Key::new(namespace, &claim.claim_name)),
        (None, Some(_)) => Some(Key::new(namespace, &format!("{name}-{}", volume.name))),
        (None, None) => None,
    });
    keys.collect()
}

async fn claim(
    client: kube::Client,
    claims: Arc<Cache<PersistentVolumeClaim>>,
    users: Index<Pod>,
    key: Key,
) -> Result<Next, ApplyError> {
    let Some(claim) = claims.get(&key) else { return Ok(Next::OnChange) };
    if claim.metadata.deletion_timestamp.is_none() || !claim.finalizers().iter().any(|one| one == CLAIM_FINALIZER) {
        return Ok(Next::OnChange);
    }
    if users.count(&key.to_string()) > 0 {
        return Ok(Next::OnChange);
    }
    let mut new = (*claim).clone();
    new.finalizers_mut().retain(|one| one != CLAIM_FINALIZER);
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client, key.namespace());
    written(api.replace(key.name(), &PostParams::default(), &new).await, "a claim")
}

/// The controller of the finalizer of volumes.
pub fn volumes(wiring: Wiring) -> Work {
    Box::pin(async move {
        let volumes = wiring.cache::<PersistentVolume>();
        let queue = Queue::new();
        wiring.enqueue_changes(&volumes, &queue);
        let client = wiring.client.clone();
        wiring.work(queue, 2, move |key| volume(client.clone(), Arc::clone(&volumes), key)).await;
    })
}

async fn volume(client: kube::Client, volumes: Arc<Cache<PersistentVolume>>, key: Key) -> Result<Next, ApplyError> {
    let Some(volume) = volumes.get(&key) else { return Ok(Next::OnChange) };
    let bound = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    let protected = volume.finalizers().iter().any(|one| one == VOLUME_FINALIZER);
    if volume.metadata.deletion_timestamp.is_none() || !protected || bound {
        return Ok(Next::OnChange);
    }
    let mut new = (*volume).clone();
    new.finalizers_mut().retain(|one| one != VOLUME_FINALIZER);
    let api: Api<PersistentVolume> = Api::all(client);
    written(api.replace(key.name(), &PostParams::default(), &new).await, "a volume")
}

fn written<K>(result: Result<K, kube::Error>, what: &'static str) -> Result<Next, ApplyError> {
    match result {
        Ok(_) => Ok(Next::OnChange),
        Err(error) if apply::is_not_found(&error) => Ok(Next::OnChange),
        Err(error) => Err(ApplyError::write(what)(error)),
    }
}

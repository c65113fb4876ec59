//! ReplicaSets and ReplicationControllers keep as many pods as they say. What to do is planned by `decide::replicas`; they differ in their types alone.

mod owner;

use std::{sync::Arc, time::Duration};

use client::{Cache, Index, Key, Queue, cache::uncontrolled, events::Recorder, reconcile::Next};
use decide::{
    ownership,
    pod_facts::{is_active, is_ending, is_finished, is_ready, phase},
    replicas::{self, Counts, Plan},
};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use kube::{Api, ResourceExt as _, api::PostParams};

use crate::{
    apply::{self, ApplyError},
    claim,
    wiring::{Wiring, Work},
};
pub use owner::pod_of;
use owner::{Failure, Owner};

/// The controller of ReplicaSets.
pub fn replica_sets(wiring: Wiring) -> Work {
    Box::pin(run::<ReplicaSet>(wiring))
}

/// The controller of ReplicationControllers.
pub fn replication_controllers(wiring: Wiring) -> Work {
    Box::pin(run::<ReplicationController>(wiring))
}

struct Controller<O: Owner> {
    client: kube::Client,
    owners: Arc<Cache<O>>,
    siblings: Index<O>,
    pods: Arc<Cache<Pod>>,
    pods_by_controller: Index<Pod>,
    events: Recorder,
}

async fn run<O: Owner>(wiring: Wiring) {
    let (owners, pods) = (wiring.cache::<O>(), wiring.pods());
    let controller = Arc::new(Controller {
        client: wiring.client.clone(),
        siblings: owners.by_controller(),
        owners: Arc::clone(&owners),
        pods_by_controller: pods.by_controller(),
        pods: Arc::clone(&pods),
        events: wiring.recorder(O::COMPONENT),
    });
    let queue = Queue::new();
    wiring.enqueue_changes(&owners, &queue);
    let (told, of) = (queue.clone(), Arc::clone(&owners));
    pods.on_change(move |change| {
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && facets(old) == facets(new)
        {
            return;
        }
        for pod in change.both() {
            for key in owners_of(pod, &of) {
                told.add(key);
            }
        }
    });
    wiring.work(queue, 8, move |key| reconcile(Arc::clone(&controller), key)).await;
}

/// What of a pod matters here.
fn facets(pod: &Pod) -> impl PartialEq + '_ {
    let meta = &pod.metadata;
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    (&meta.labels, &meta.owner_references, is_ending(pod), phase(pod), is_ready(pod), decide::pod_facts::ready_since(pod), node)
}

/// Whose a pod is; of one that is nobody's, who may want it.
fn owners_of<O: Owner>(pod: &Pod, owners: &Cache<O>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match ownership::controller(&pod.metadata) {
        Some(owner) if owner.kind == O::kind(&()) => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let all = owners.in_namespace(namespace);
            all.iter().filter(|owner| owner.selects(pod.metadata.labels.as_ref())).map(|owner| Key::of(&**owner)).collect()
        }
    }
}

async fn reconcile<O: Owner>(controller: Arc<Controller<O>>, key: Key) -> Result<Next, ApplyError> {
    let Some(owner) = controller.owners.get(&key) else { return Ok(Next::OnChange) };
    let uid = owner.meta().uid.clone().unwrap_or_default();
    let mut candidates = controller.pods_by_controller.get(&uid);
    candidates.extend(controller.pods_by_controller.get(&uncontrolled(key.namespace())));
    candidates.retain(|pod| !is_finished(pod));
    let selected = |pod: &Pod| owner.selects(pod.metadata.labels.as_ref());
    let own = claim::claim(&controller.client, &controller.pods, &*owner, candidates, selected).await?;
    let (active, ending): (Vec<_>, Vec<_>) = own.into_iter().partition(|pod| is_active(pod));
    let mut failure = Failure::default();
    if owner.meta().deletion_timestamp.is_none() {
        controller.carry_out(&owner, &active, &mut failure).await?;
    }
    let counts = replicas::count(&active, ending.len(), owner.template_labels(), owner.min_ready_seconds(), Timestamp::now());
    controller.report(&owner, &counts, &failure).await?;
    match (failure.error, counts.next_available) {
        (Some(error), _) => Err(error),
        (None, Some(at)) => Ok(Next::After(at.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO))),
        (None, None) => Ok(Next::OnChange),
    }
}

impl<O: Owner> Controller<O> {
    async fn carry_out(&self, owner: &O, active: &[Arc<Pod>], failure: &mut Failure) -> Result<(), ApplyError> {
        match replicas::plan(owner.replicas(), active, &self.related(owner, active)) {
            Plan::Keep => Ok(()),
            Plan::Create(count) => self.create(owner, count, failure).await,
            Plan::Delete(pods) => self.delete(owner, &pods, failure).await,
        }
    }

    /// The active pods of all that have the same controller, as the ReplicaSets of one Deployment.
    fn related(&self, owner: &O, active: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
        let Some(above) = ownership::controller(owner.meta()) else { return active.to_vec() };
        let siblings = self.siblings.get(&above.uid);
        let uids = siblings.iter().filter_map(|sibling| sibling.meta().uid.as_deref());
        uids.flat_map(|uid| self.pods_by_controller.get(uid)).filter(|pod| is_active(pod)).collect()
    }

    async fn create(&self, owner: &O, count: usize, failure: &mut Failure) -> Result<(), ApplyError> {
        let Some(template) = owner.template() else { return Ok(()) };
        let namespace = owner.namespace().unwrap_or_default();
        let created = apply::create_pods(&self.client, &namespace, &pod_of(owner, template), count).await?;
        for meta in &created.metas {
            self.events.normal(owner, "SuccessfulCreate", format!("Created pod: {}", meta.name.as_deref().unwrap_or_default()));
        }
        if let Some(error) = created.error.as_ref().filter(|error| !apply::namespace_is_ending(error)) {
            self.events.warning(owner, "FailedCreate", format!("Error creating: {}", apply::message(error)));
            failure.reason = "FailedCreate";
        }
        self.pods.reached(created.revision()).await?;
        failure.put(created.error, "a pod");
        Ok(())
    }

    async fn delete(&self, owner: &O, pods: &[Arc<Pod>], failure: &mut Failure) -> Result<(), ApplyError> {
        let results = join_all(pods.iter().map(|pod| apply::delete(&self.client, &**pod))).await;
        for (pod, result) in pods.iter().zip(results) {
            match result {
                Ok(true) => self.events.normal(owner, "SuccessfulDelete", format!("Deleted pod: {}", pod.name_any())),
                Ok(false) => {}
                Err(error) => {
                    self.events.warning(owner, "FailedDelete", format!("Error deleting: {}", apply::message(&error)));
                    failure.reason = "FailedDelete";
                    failure.put(Some(error), "a pod");
                    continue;
                }
            }
            self.pods.forgotten(&Key::of(&**pod), pod.metadata.uid.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn report(&self, owner: &O, counts: &Counts, failure: &Failure) -> Result<(), ApplyError> {
        let Some(reported) = owner.reporting(counts, failure, Timestamp::now()) else { return Ok(()) };
        let api: Api<O> = Api::namespaced(self.client.clone(), &owner.namespace().unwrap_or_default());
        let written = api.replace_status(&owner.name_any(), &PostParams::default(), &reported).await;
        let written = written.map_err(ApplyError::write("a status"));
        match written {
            Ok(written) => Ok(self.owners.caught_up(&written).await?),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

//! DaemonSets: `decide::daemon_set` plans, this keeps the revisions, makes and deletes pods, and reports.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use client::cache::uncontrolled;
use client::events::Recorder;
use client::feed::parse_revision;
use client::reconcile::Next;
use client::{Cache, Index, Key, Queue};
use decide::daemon_set::{self, Failures, Observed, Plan};
use decide::{ownership, selection};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use crate::apply::{self, ApplyError};
use crate::claim;
use crate::wiring::{Wiring, Work};

struct Controller {
    client: kube::Client,
    sets: Arc<Cache<DaemonSet>>,
    pods: Arc<Cache<Pod>>,
    nodes: Arc<Cache<Node>>,
    revisions: Arc<Cache<ControllerRevision>>,
    pods_by_controller: Index<Pod>,
    revisions_by_controller: Index<ControllerRevision>,
    events: Recorder,
    failures: Mutex<HashMap<Key, Failures>>,
}

/// The controller of DaemonSets.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (sets, pods, revisions) = (wiring.cache::<DaemonSet>(), wiring.pods(), wiring.cache::<ControllerRevision>());
        let controller = Arc::new(Controller {
            client: wiring.client.clone(),
            pods_by_controller: pods.by_controller(),
            revisions_by_controller: revisions.by_controller(),
            nodes: wiring.cache(),
            events: wiring.recorder("daemonset-controller"),
            failures: Mutex::default(),
            sets,
            pods,
            revisions,
        });
        let queue = Queue::new();
        follow(&controller, &queue);
        wiring.enqueue_changes(&controller.sets, &queue);
        wiring.work(queue, 4, move |key| reconcile(Arc::clone(&controller), key)).await;
    })
}

fn follow(controller: &Controller, queue: &Queue<Key>) {
    let (told, sets) = (queue.clone(), Arc::clone(&controller.sets));
    controller.pods.on_change(move |change| {
        for pod in change.both() {
            for key in owners_of(pod, &sets) {
                told.add(key);
            }
        }
    });
    let (told, sets) = (queue.clone(), Arc::clone(&controller.sets));
    controller.nodes.on_change(move |change| {
        let facts = |node: &Arc<Node>| (node.metadata.labels.clone(), node.spec.as_ref().and_then(|spec| spec.taints.clone()));
        if change.old.as_ref().map(facts) != change.new.as_ref().map(facts) {
            for set in sets.list() {
                told.add(Key::of(&*set));
            }
        }
    });
    let told = queue.clone();
    controller.revisions.on_change(move |change| {
        let owner = change.latest().and_then(|revision| ownership::controller(&revision.metadata));
        if let Some(owner) = owner.filter(|owner| owner.kind == "DaemonSet") {
            told.add(Key::new(change.key.namespace(), &owner.name));
        }
    });
}

/// Whose a pod is; of one that is nobody's, who may want it.
fn owners_of(pod: &Pod, sets: &Cache<DaemonSet>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match ownership::controller(&pod.metadata) {
        Some(owner) if owner.kind == "DaemonSet" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let all = sets.in_namespace(namespace);
            let wants = |set: &&Arc<DaemonSet>| selection::matches(&set.spec.selector, pod.metadata.labels.as_ref());
            all.iter().filter(wants).map(|set| Key::of(&**set)).collect()
        }
    }
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(set) = controller.sets.get(&key) else {
        controller.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        return Ok(Next::OnChange);
    };
    if selection::is_everything(&set.spec.selector) {
        let message = "This daemon set is selecting all pods. A non-empty selector is required.";
        controller.events.warning(&*set, "SelectingAll", message);
        return Ok(Next::OnChange);
    }
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let nobody = uncontrolled(key.namespace());
    let mut candidates = controller.pods_by_controller.get(uid);
    candidates.extend(controller.pods_by_controller.get(&nobody));
    let pod_fits = |pod: &Pod| selection::matches(&set.spec.selector, pod.metadata.labels.as_ref());
    let pods = claim::claim(&controller.client, &controller.pods, &*set, candidates, pod_fits).await?;
    let mut candidates = controller.revisions_by_controller.get(uid);
    candidates.extend(controller.revisions_by_controller.get(&nobody));
    let revision_fits = |revision: &ControllerRevision| selection::matches(&set.spec.selector, revision.metadata.labels.as_ref());
    let own = claim::claim(&controller.client, &controller.revisions, &*set, candidates, revision_fits).await?;
    let revisions = daemon_set::revisions(&set, &own);
    if set.metadata.deletion_timestamp.is_none() {
        controller.keep_revisions(&set, revisions.create, revisions.renumber).await?;
    }
    let nodes = controller.nodes.list();
    let plan = {
        let mut failures = controller.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let observed = Observed { set: &set, hash: &revisions.hash, nodes: &nodes, pods: &pods, now: Timestamp::now() };
        daemon_set::plan(&observed, failures.entry(key).or_default())
    };
    let again = plan.again;
    controller.carry_out(&set, &revisions.hash, plan).await?;
    for old in daemon_set::surplus(&set, &own, &revisions.hash, &pods) {
        apply::delete(&controller.client, &*old).await.map_err(ApplyError::write("a revision"))?;
        controller.revisions.forgotten(&Key::of(&*old), old.metadata.uid.as_deref().unwrap_or_default()).await?;
    }
    Ok(again.map_or(Next::OnChange, |at| Next::After(decide::job::until(at, Timestamp::now()))))
}

impl Controller {
    async fn keep_revisions(
        &self,
        set: &DaemonSet,
        create: Option<ControllerRevision>,
        renumber: Option<ControllerRevision>,
    ) -> Result<(), ApplyError> {
        let api: Api<ControllerRevision> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        if let Some(new) = create {
            match api.create(&PostParams::default(), &new).await {
                Ok(written) => self.revisions.caught_up(&written).await?,
                // Another template has the same hash: the next one is mixed with the count.
                Err(error) if apply::is_there_already(&error) => {
                    let mut status = set.status.clone().unwrap_or_default();
                    status.collision_count = Some(status.collision_count.unwrap_or_default() + 1);
                    self.report(set, status).await?;
                }
                Err(error) => return Err(ApplyError::write("a revision")(error)),
            }
        }
        if let Some(again) = renumber {
            let written = api.replace(&again.name_any(), &PostParams::default(), &again).await;
            self.revisions.caught_up(&written.map_err(ApplyError::write("a revision"))?).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, set: &DaemonSet, hash: &str, plan: Plan) -> Result<(), ApplyError> {
        for (warning, reason, message) in plan.told {
            match warning {
                true => self.events.warning(set, reason, message),
                false => self.events.normal(set, reason, message),
            }
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        let pods: Vec<Pod> = plan.create.iter().map(|node| daemon_set::pod(set, hash, node)).collect();
        let params = PostParams::default();
        let mut revision = 0;
        let mut failure = None;
        for result in join_all(pods.iter().map(|pod| api.create(&params, pod))).await {
            match result {
                Ok(pod) => {
                    revision = revision.max(parse_revision(pod.metadata.resource_version.as_deref()));
                    self.events.normal(set, "SuccessfulCreate", format!("Created pod: {}", pod.name_any()));
                }
                Err(error) if apply::namespace_is_ending(&error) => {}
                Err(error) => {
                    self.events.warning(set, "FailedCreate", format!("Error creating: {}", apply::message(&error)));
                    failure = Some(error);
                }
            }
        }
        self.pods.reached(revision).await?;
        self.delete(set, &plan.delete).await?;
        self.report(set, plan.status).await?;
        match failure {
            Some(source) => Err(ApplyError::Write { what: "a pod", source }),
            None => Ok(()),
        }
    }

    async fn delete(&self, set: &DaemonSet, pods: &[Arc<Pod>]) -> Result<(), ApplyError> {
        let results = join_all(pods.iter().map(|pod| apply::delete(&self.client, &**pod))).await;
        for (pod, result) in pods.iter().zip(results) {
            match result {
                Ok(true) => self.events.normal(set, "SuccessfulDelete", format!("Deleted pod: {}", pod.name_any())),
                Ok(false) => {}
                Err(error) => {
                    self.events.warning(set, "FailedDelete", format!("Error deleting: {}", apply::message(&error)));
                    return Err(ApplyError::write("a pod")(error));
                }
            }
            self.pods.forgotten(&Key::of(&**pod), pod.metadata.uid.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }

    async fn report(&self, set: &DaemonSet, status: DaemonSetStatus) -> Result<(), ApplyError> {
        if set.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let new = DaemonSet { status: Some(status), ..set.clone() };
        let api: Api<DaemonSet> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        match api.replace_status(&set.name_any(), &PostParams::default(), &new).await {
            Ok(written) => Ok(self.sets.caught_up(&written).await?),
            Err(error) if apply::is_not_found(&error) => Ok(()),
            Err(error) => Err(ApplyError::write("a status")(error)),
        }
    }
}

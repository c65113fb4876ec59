//! StatefulSets: `decide::stateful_set` plans one round, this keeps revisions and claims, carries the round out and looks again.

mod volumes;

use std::{sync::Arc, time::Duration};

use client::{Cache, Index, Key, Queue, cache::uncontrolled, events::Recorder, reconcile::Next};
use decide::{
    ownership, selection,
    stateful_set::{self, Observed, Plan, Revisions, Step, Why},
};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    apply::{self, ApplyError},
    claim,
    wiring::{Wiring, Work},
};

struct Controller {
    client: kube::Client,
    sets: Arc<Cache<StatefulSet>>,
    revisions: Arc<Cache<ControllerRevision>>,
    revisions_by_controller: Index<ControllerRevision>,
    pods: Arc<Cache<Pod>>,
    pods_by_controller: Index<Pod>,
    claims: Arc<Cache<PersistentVolumeClaim>>,
    events: Recorder,
}

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (sets, pods, revisions) = (wiring.cache::<StatefulSet>(), wiring.pods(), wiring.cache::<ControllerRevision>());
        let controller = Arc::new(Controller {
            client: wiring.client.clone(),
            sets: Arc::clone(&sets),
            revisions_by_controller: revisions.by_controller(),
            revisions: Arc::clone(&revisions),
            pods_by_controller: pods.by_controller(),
            pods: Arc::clone(&pods),
            claims: wiring.cache(),
            events: wiring.recorder("statefulset-controller"),
        });
        let queue = Queue::new();
        wiring.enqueue_changes(&sets, &queue);
        let (told, of) = (queue.clone(), Arc::clone(&sets));
        pods.on_change(move |change| {
            for pod in change.both() {
                for key in sets_of(pod, &of) {
                    told.add(key);
                }
            }
        });
        let told = queue.clone();
        revisions.on_change(move |change| {
            let owner = change.latest().and_then(|revision| ownership::controller(&revision.metadata));
            if let Some(owner) = owner.filter(|owner| owner.kind == "StatefulSet") {
                told.add(Key::new(change.key.namespace(), &owner.name));
            }
        });
        wiring.work(queue, 8, move |key| reconcile(Arc::clone(&controller), key)).await;
    })
}

fn sets_of(pod: &Pod, sets: &Cache<StatefulSet>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match ownership::controller(&pod.metadata) {
        Some(owner) if owner.kind == "StatefulSet" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => sets.in_namespace(namespace).iter().filter(|set| selects(set, pod)).map(|set| Key::of(&**set)).collect(),
    }
}

fn selects(set: &StatefulSet, pod: &Pod) -> bool {
    let selector = &set.spec.selector;
    !selection::is_everything(selector)
        && selection::matches(selector, pod.metadata.labels.as_ref())
        && stateful_set::is_member(set, pod)
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(set) = controller.sets.get(&key) else { return Ok(Next::OnChange) };
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let nobody = uncontrolled(key.namespace());
    let mut candidates = controller.revisions_by_controller.get(uid);
    candidates.extend(controller.revisions_by_controller.get(&nobody));
    let selected = |revision: &ControllerRevision| selection::matches(&set.spec.selector, revision.metadata.labels.as_ref());
    let own = claim::claim(&controller.client, &controller.revisions, &*set, candidates, selected).await?;
    let mut candidates = controller.pods_by_controller.get(uid);
    candidates.extend(controller.pods_by_controller.get(&nobody));
    let pods = claim::claim(&controller.client, &controller.pods, &*set, candidates, |pod| selects(&set, pod)).await?;
    let revisions = stateful_set::revisions(&set, &own);
    controller.keep_revisions(&revisions).await?;
    let observed =
        Observed { set: &set, current: &revisions.current, update: &revisions.update, pods: &pods, now: Timestamp::now() };
    let plan = stateful_set::plan(&observed);
    let look_again = plan.look_again;
    controller.keep_claims(&set, &pods).await?;
    controller.carry_out(&set, plan).await?;
    for old in stateful_set::surplus(&set, &own, &revisions, &pods) {
        apply::delete(&controller.client, &*old).await.map_err(ApplyError::write("a revision"))?;
        controller.revisions.forgotten(&Key::of(&*old), old.metadata.uid.as_deref().unwrap_or_default()).await?;
    }
    Ok(match look_again {
        Some(at) => Next::After(at.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO)),
        None => Next::OnChange,
    })
}

impl Controller {
    async fn keep_revisions(&self, revisions: &Revisions) -> Result<(), ApplyError> {
        let namespace = |revision: &ControllerRevision| revision.namespace().unwrap_or_default();
        let api = |revision| Api::<ControllerRevision>::namespaced(self.client.clone(), &namespace(revision));
        if let Some(new) = &revisions.create {
            let written = api(new).create(&PostParams::default(), new).await.map_err(ApplyError::write("a revision"))?;
            self.revisions.caught_up(&written).await?;
        }
        if let Some(again) = &revisions.renumber {
            let written = api(again).replace(&again.name_any(), &PostParams::default(), again).await;
            self.revisions.caught_up(&written.map_err(ApplyError::write("a revision"))?).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, set: &StatefulSet, plan: Plan) -> Result<(), ApplyError> {
        let results = join_all(plan.steps.iter().map(|step| self.step(set, step))).await;
        let failed = results.into_iter().find_map(Result::err);
        if let Some(status) = plan.status {
            let told = StatefulSet { status: Some(status), ..set.clone() };
            let api: Api<StatefulSet> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
            let written = api.replace_status(&set.name_any(), &PostParams::default(), &told).await;
            match written.map_err(ApplyError::write("a status")) {
                Ok(written) => self.sets.caught_up(&written).await?,
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(failed.unwrap_or(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn step(&self, set: &StatefulSet, step: &Step) -> Result<(), ApplyError> {
        match step {
            Step::Create(number, pod) => self.create(set, *number, pod).await,
            Step::Delete(pod, why) => self.delete(set, pod, *why).await,
            Step::Label(pod, labels) => {
                let api: Api<Pod> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
                let patch = Patch::Merge(json!({ "metadata": { "labels": labels } }));
                let written = api.patch(&pod.name_any(), &PatchParams::default(), &patch).await;
                Ok(self.pods.caught_up(&written.map_err(ApplyError::write("a pod"))?).await?)
            }
        }
    }

    async fn create(&self, set: &StatefulSet, number: i32, pod: &Pod) -> Result<(), ApplyError> {
        self.make_claims(set, number, pod).await?;
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &set.namespace().unwrap_or_default());
        let (name, of) = (pod.name_any(), set.name_any());
        match api.create(&PostParams::default(), pod).await {
            Ok(written) => {
                self.events.normal(set, "SuccessfulCreate", format!("create Pod {name} in StatefulSet {of} successful"));
                Ok(self.pods.caught_up(&written).await?)
            }
            Err(error) if apply::namespace_is_ending(&error) => Ok(()),
            Err(error) => {
                let why = apply::message(&error);
                self.events.warning(set, "FailedCreate", format!("create Pod {name} in StatefulSet {of} failed error: {why}"));
                Err(ApplyError::write("a pod")(error))
            }
        }
    }

    async fn delete(&self, set: &StatefulSet, pod: &Arc<Pod>, why: Why) -> Result<(), ApplyError> {
        let (name, of) = (pod.name_any(), set.name_any());
        let namespace = set.namespace().unwrap_or_default();
        match why {
            Why::Failed => {
                let message = format!("StatefulSet {namespace}/{of} is recreating failed Pod {name}");
                self.events.warning(set, "RecreatingFailedPod", message);
            }
            Why::Succeeded => {
                let message = format!("StatefulSet {namespace}/{of} is recreating terminated Pod {name}");
                self.events.normal(set, "RecreatingTerminatedPod", message);
            }
            Why::Scaled | Why::Outdated => {}
        }
        match apply::delete(&self.client, &**pod).await {
            Ok(there) => {
                if there {
                    self.events.normal(set, "SuccessfulDelete", format!("delete Pod {name} in StatefulSet {of} successful"));
                }
                Ok(self.pods.forgotten(&Key::of(&**pod), pod.metadata.uid.as_deref().unwrap_or_default()).await?)
            }
            Err(error) => {
                let why = apply::message(&error);
                self.events.warning(set, "FailedDelete", format!("delete Pod {name} in StatefulSet {of} failed error: {why}"));
                Err(ApplyError::write("a pod")(error))
            }
        }
    }
}

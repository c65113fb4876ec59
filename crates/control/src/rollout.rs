//! Deployments: `decide::rollout` plans one round, this carries it out and looks again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use client::{Cache, Index, Key, Queue, cache::uncontrolled, events::Recorder, reconcile::Next};
use decide::{
    ownership,
    rollout::{self, Observed, Plan, REVISION, Step, reason},
    selection,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentStatus, ReplicaSet},
    core::v1::Pod,
};
use kube::{Api, ResourceExt as _, api::PostParams};

use crate::{
    apply::{self, ApplyError},
    claim,
    wiring::{Wiring, Work},
};

struct Controller {
    client: kube::Client,
    deployments: Arc<Cache<Deployment>>,
    sets: Arc<Cache<ReplicaSet>>,
    sets_by_controller: Index<ReplicaSet>,
    pods_by_controller: Index<Pod>,
    events: Recorder,
}

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (deployments, sets, pods) = (wiring.cache::<Deployment>(), wiring.cache::<ReplicaSet>(), wiring.pods());
        let controller = Arc::new(Controller {
            client: wiring.client.clone(),
            deployments: Arc::clone(&deployments),
            sets: Arc::clone(&sets),
            sets_by_controller: sets.by_controller(),
            pods_by_controller: pods.by_controller(),
            events: wiring.recorder("deployment-controller"),
        });
        let queue = Queue::new();
        wiring.enqueue_changes(&deployments, &queue);
        let (told, of) = (queue.clone(), Arc::clone(&deployments));
        sets.on_change(move |change| {
            for set in change.both() {
                for key in deployments_of(set, &of) {
                    told.add(key);
                }
            }
        });
        let (told, of, above) = (queue.clone(), Arc::clone(&deployments), Arc::clone(&sets));
        pods.on_change(move |change| {
            // `Recreate` waits for the end of each old pod; no other moment of a pod matters.
            let ended = change.new.as_ref().is_none_or(|pod| decide::pod_facts::is_finished(pod));
            if let Some(pod) = change.latest().filter(|_| ended)
                && let Some(key) = recreated_by(pod, &above, &of)
            {
                told.add(key);
            }
        });
        wiring.work(queue, 8, move |key| reconcile(Arc::clone(&controller), key)).await;
    })
}

fn deployments_of(set: &ReplicaSet, deployments: &Cache<Deployment>) -> Vec<Key> {
    let namespace = set.metadata.namespace.as_deref().unwrap_or_default();
    match ownership::controller(&set.metadata) {
        Some(owner) if owner.kind == "Deployment" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let all = deployments.in_namespace(namespace);
            all.iter().filter(|deployment| selects(deployment, set)).map(|deployment| Key::of(&**deployment)).collect()
        }
    }
}

fn recreated_by(pod: &Pod, sets: &Cache<ReplicaSet>, deployments: &Cache<Deployment>) -> Option<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let set = sets.find(namespace, &ownership::controller(&pod.metadata)?.name)?;
    let deployment = deployments.find(namespace, &ownership::controller(&set.metadata)?.name)?;
    let strategy = deployment.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    (strategy == Some("Recreate")).then(|| Key::of(&*deployment))
}

fn selects(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let selector = &deployment.spec.selector;
    !selection::is_everything(selector) && selection::matches(selector, set.metadata.labels.as_ref())
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(deployment) = controller.deployments.get(&key) else { return Ok(Next::OnChange) };
    if selection::is_everything(&deployment.spec.selector) {
        let message = "This deployment is selecting all pods. A non-empty selector is required.";
        controller.events.warning(&*deployment, "SelectingAll", message);
        return Ok(Next::OnChange);
    }
    let uid = deployment.metadata.uid.as_deref().unwrap_or_default();
    let mut candidates = controller.sets_by_controller.get(uid);
    candidates.extend(controller.sets_by_controller.get(&uncontrolled(key.namespace())));
    let sets =
        claim::claim(&controller.client, &controller.sets, &*deployment, candidates, |set| selects(&deployment, set)).await?;
    let pods: BTreeMap<_, _> = sets
        .iter()
        .filter_map(|set| set.metadata.uid.clone())
        .map(|uid| {
            let pods = controller.pods_by_controller.get(&uid);
            (uid, pods)
        })
        .collect();
    let observed = Observed { deployment: &deployment, sets: &sets, pods: &pods, now: Timestamp::now() };
    let plan = rollout::plan(&observed);
    let look_again = plan.look_again;
    controller.carry_out(&deployment, plan).await?;
    Ok(match look_again {
        Some(at) => Next::After(at.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::ZERO)),
        None => Next::OnChange,
    })
}

impl Controller {
    async fn carry_out(&self, deployment: &Deployment, plan: Plan) -> Result<(), ApplyError> {
        for step in &plan.steps {
            match step {
                Step::Create(set) => self.create(deployment, set).await?,
                Step::Replace(set, from) => self.replace(deployment, set, *from).await?,
                Step::Delete(set) => {
                    apply::delete(&self.client, &**set).await.map_err(ApplyError::write("a replica set"))?;
                    self.sets.forgotten(&Key::of(&**set), set.metadata.uid.as_deref().unwrap_or_default()).await?;
                }
            }
        }
        let mut written = None;
        if let Some(revision) = plan.revision {
            let mut noted = deployment.clone();
            noted.metadata.annotations.get_or_insert_default().insert(REVISION.to_owned(), revision);
            let result = self.api(deployment).replace(&deployment.name_any(), &PostParams::default(), &noted).await;
            written = Some(result.map_err(ApplyError::write("a revision"))?);
        }
        if let Some(status) = plan.status {
            let base = written.as_ref().unwrap_or(deployment);
            written = Some(self.report(base, status).await?);
        }
        if let Some(written) = written {
            self.deployments.caught_up(&written).await?;
        }
        Ok(())
    }

    async fn create(&self, deployment: &Deployment, set: &ReplicaSet) -> Result<(), ApplyError> {
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &deployment.namespace().unwrap_or_default());
        let name = set.name_any();
        match api.create(&PostParams::default(), set).await {
            Ok(written) => {
                self.tell_scaled(deployment, &written, 0);
                Ok(self.sets.caught_up(&written).await?)
            }
            Err(error) if apply::is_there_already(&error) => {
                let there = api.get_opt(&name).await.map_err(ApplyError::read("a replica set"))?;
                if let Some(there) = there.filter(|there| is_that(there, set)) {
                    return Ok(self.sets.caught_up(&there).await?);
                }
                let mut status = deployment.status.clone().unwrap_or_default();
                status.collision_count = Some(status.collision_count.unwrap_or(0) + 1);
                let written = self.report(deployment, status).await?;
                self.deployments.caught_up(&written).await?;
                Err(ApplyError::write("a replica set")(error))
            }
            Err(error) if apply::namespace_is_ending(&error) => Err(ApplyError::write("a replica set")(error)),
            Err(error) => {
                let (text, status) = rollout::create_failed(deployment, &name, &apply::message(&error), Timestamp::now());
                self.events.warning(deployment, reason::CREATE_FAILED, text);
                let written = self.report(deployment, status).await?;
                self.deployments.caught_up(&written).await?;
                Err(ApplyError::write("a replica set")(error))
            }
        }
    }

    async fn replace(&self, deployment: &Deployment, set: &ReplicaSet, from: Option<i32>) -> Result<(), ApplyError> {
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &deployment.namespace().unwrap_or_default());
        let written = api.replace(&set.name_any(), &PostParams::default(), set).await;
        let written = written.map_err(ApplyError::write("a replica set"))?;
        if let Some(from) = from {
            self.tell_scaled(deployment, &written, from);
        }
        Ok(self.sets.caught_up(&written).await?)
    }

    fn tell_scaled(&self, deployment: &Deployment, set: &ReplicaSet, from: i32) {
        let to = set.spec.replicas.unwrap_or(1);
        if from != to {
            let way = if to > from { "up" } else { "down" };
            let message = format!("Scaled {way} replica set {} from {from} to {to}", set.name_any());
            self.events.normal(deployment, "ScalingReplicaSet", message);
        }
    }

    async fn report(&self, deployment: &Deployment, status: DeploymentStatus) -> Result<Deployment, ApplyError> {
        let told = Deployment { status: Some(status), ..deployment.clone() };
        let written = self.api(deployment).replace_status(&deployment.name_any(), &PostParams::default(), &told).await;
        written.map_err(ApplyError::write("a status"))
    }

    fn api(&self, deployment: &Deployment) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &deployment.namespace().unwrap_or_default())
    }
}

/// Whether what is there is what was to be made: of the same owner and template.
fn is_that(there: &ReplicaSet, wanted: &ReplicaSet) -> bool {
    let owner = |set: &ReplicaSet| ownership::controller(&set.metadata).map(|owner| owner.uid.clone());
    let same = match (&there.spec.template, &wanted.spec.template) {
        (Some(there), Some(wanted)) => rollout::same_template(there, wanted),
        _ => false,
    };
    same && owner(there) == owner(wanted)
}

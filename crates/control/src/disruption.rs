//! PodDisruptionBudgets say how many of their pods may be taken away. The numbers are planned by `decide::disruption`; this finds pods and their owners.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use client::{Cache, Key, Queue, events::Recorder, reconcile::Next};
use decide::{
    disruption, ownership,
    pod_facts::{is_ending, is_finished, is_ready},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet, StatefulSet},
        core::v1::{Pod, ReplicationController},
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, ResourceExt as _, api::PostParams};
use serde_json::Value;

use crate::{
    apply::{self, ApplyError},
    discovery::discover,
    wiring::{Wiring, Work},
};

struct Controller {
    client: kube::Client,
    budgets: Arc<Cache<PodDisruptionBudget>>,
    pods: Arc<Cache<Pod>>,
    replica_sets: Arc<Cache<ReplicaSet>>,
    deployments: Arc<Cache<Deployment>>,
    stateful_sets: Arc<Cache<StatefulSet>>,
    replication_controllers: Arc<Cache<ReplicationController>>,
    events: Recorder,
}

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (budgets, pods) = (wiring.cache::<PodDisruptionBudget>(), wiring.pods());
        let controller = Arc::new(Controller {
            client: wiring.client.clone(),
            budgets: Arc::clone(&budgets),
            pods: Arc::clone(&pods),
            replica_sets: wiring.cache(),
            deployments: wiring.cache(),
            stateful_sets: wiring.cache(),
            replication_controllers: wiring.cache(),
            events: wiring.recorder("controllermanager"),
        });
        let queue = Queue::new();
        wiring.enqueue_changes(&budgets, &queue);
        let (told, of) = (queue.clone(), Arc::clone(&budgets));
        pods.on_change(move |change| {
            if let (Some(old), Some(new)) = (&change.old, &change.new)
                && facets(old) == facets(new)
            {
                return;
            }
            for budget in of.in_namespace(change.key.namespace()) {
                if change.both().any(|pod| disruption::covers(&budget, pod)) {
                    told.add(Key::of(&*budget));
                }
            }
        });
        controller.enqueue_scaled(&queue);
        wiring.work(queue, 4, move |key| reconcile(Arc::clone(&controller), key)).await;
    })
}

/// What of a pod matters here.
fn facets(pod: &Pod) -> impl PartialEq + '_ {
    (&pod.metadata.labels, &pod.metadata.owner_references, is_ending(pod), is_finished(pod), is_ready(pod))
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(budget) = controller.budgets.get(&key) else { return Ok(Next::OnChange) };
    if budget.metadata.deletion_timestamp.is_some() {
        return Ok(Next::OnChange);
    }
    let mut pods = controller.pods.in_namespace(key.namespace());
    pods.retain(|pod| disruption::covers(&budget, pod) && !is_finished(pod));
    if pods.is_empty() {
        controller.events.normal(&*budget, "NoPods", "No matching pods found");
    }
    let wanted = match disruption::counts_owners(&budget) {
        false => 0,
        true => match controller.wanted(&pods).await? {
            Ok(wanted) => wanted,
            Err(why) => {
                let message = format!("Failed to calculate the number of expected pods: {why}");
                controller.events.warning(&*budget, "CalculateExpectedPodCountFailed", message);
                if let Some(status) = disruption::failed(&budget, why, Timestamp::now()) {
                    controller.report(&budget, status).await?;
                }
                return Ok(Next::OnChange);
            }
        },
    };
    let plan = disruption::plan(&budget, &pods, wanted, Timestamp::now());
    for pod in &plan.not_deleted {
        let message = format!("Pod was expected by PDB {}/{} to be deleted but it wasn't", key.namespace(), key.name());
        controller.events.warning(&**pod, "NotDeleted", message);
    }
    if let Some(status) = plan.status {
        controller.report(&budget, status).await?;
    }
    Ok(match plan.look_again {
        Some(at) => Next::After(at.duration_since(Timestamp::now()).try_into().unwrap_or(Duration::from_secs(1))),
        None => Next::OnChange,
    })
}

impl Controller {
    /// Tells a queue of the budgets in whose namespace an owner wants another number.
    fn enqueue_scaled(&self, queue: &Queue<Key>) {
        fn on<K: client::cache::Cached>(
            cache: &Cache<K>,
            budgets: &Arc<Cache<PodDisruptionBudget>>,
            queue: &Queue<Key>,
            size: fn(&K) -> Option<i32>,
        ) {
            let (budgets, queue) = (Arc::clone(budgets), queue.clone());
            cache.on_change(move |change| {
                if change.old.as_deref().map(size) != change.new.as_deref().map(size) {
                    let all = budgets.in_namespace(change.key.namespace());
                    all.iter()
                        .filter(|budget| disruption::counts_owners(budget))
                        .for_each(|budget| queue.add(Key::of(&**budget)));
                }
            });
        }
        on(&self.replica_sets, &self.budgets, queue, |set| set.spec.replicas);
        on(&self.deployments, &self.budgets, queue, |deployment| deployment.spec.replicas);
        on(&self.stateful_sets, &self.budgets, queue, |set| set.spec.replicas);
        on(&self.replication_controllers, &self.budgets, queue, |rc| rc.spec.as_ref().and_then(|spec| spec.replicas));
    }

    /// How many pods the owners of these want together; or why that cannot be told.
    async fn wanted(&self, pods: &[Arc<Pod>]) -> Result<Result<i32, String>, ApplyError> {
        let mut sizes: BTreeMap<String, i32> = BTreeMap::new();
        for pod in pods {
            let Some(owner) = ownership::controller(&pod.metadata) else { continue };
            if sizes.contains_key(&owner.uid) {
                continue;
            }
            let namespace = pod.namespace().unwrap_or_default();
            match self.size(&namespace, owner).await? {
                Some((uid, size)) => drop(sizes.insert(uid, size)),
                None => return Ok(Err(format!("found no controllers for pod \"{}\"", pod.name_any()))),
            }
        }
        Ok(Ok(sizes.values().sum()))
    }

    /// The uid and the wanted number of an owner, or of the owner above it.
    async fn size(&self, namespace: &str, owner: &OwnerReference) -> Result<Option<(String, i32)>, ApplyError> {
        let own = |size: Option<i32>| Some((owner.uid.clone(), size.unwrap_or(1)));
        let (group, name) = (owner.api_version.split_once('/').map_or("", |(group, _)| group), &owner.name);
        Ok(match (group, owner.kind.as_str()) {
            ("apps", "ReplicaSet") => match self.replica_sets.find(namespace, name) {
                None => None,
                Some(set) => match ownership::controller(&set.metadata).filter(|above| above.kind == "Deployment") {
                    Some(above) => {
                        let deployment = self.deployments.find(namespace, &above.name);
                        deployment.map(|deployment| (above.uid.clone(), deployment.spec.replicas.unwrap_or(1)))
                    }
                    None => own(set.spec.replicas),
                },
            },
            ("apps", "StatefulSet") => self.stateful_sets.find(namespace, name).and_then(|set| own(set.spec.replicas)),
            ("", "ReplicationController") => {
                let found = self.replication_controllers.find(namespace, name);
                found.and_then(|found| own(found.spec.as_ref().and_then(|spec| spec.replicas)))
            }
            _ => self.scale(namespace, group, owner).await?.and_then(|size| own(Some(size))),
        })
    }

    /// The wanted number of an owner of another kind, if it can be scaled.
    async fn scale(&self, namespace: &str, group: &str, owner: &OwnerReference) -> Result<Option<i32>, ApplyError> {
        let kinds = discover(&self.client).await.map_err(ApplyError::read("the kinds"))?;
        let Some(kind) = kinds.iter().find(|kind| kind.group == group && kind.kind == owner.kind) else { return Ok(None) };
        let request = http::Request::get(format!("{}/{}/scale", kind.path(namespace), owner.name)).body(Vec::new());
        let found = match request.map_err(kube::Error::HttpError) {
            Ok(request) => self.client.request::<Value>(request).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(scale) => Ok(scale["spec"]["replicas"].as_i64().or(Some(0)).and_then(|size| i32::try_from(size).ok())),
            Err(error) if apply::is_not_found(&error) => Ok(None),
            Err(error) => Err(ApplyError::read("a scale")(error)),
        }
    }

    async fn report(&self, budget: &PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> Result<(), ApplyError> {
        let told = PodDisruptionBudget { status: Some(status), ..budget.clone() };
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &budget.namespace().unwrap_or_default());
        match api.replace_status(&budget.name_any(), &PostParams::default(), &told).await {
            Ok(written) => Ok(self.budgets.caught_up(&written).await?),
            Err(error) if apply::is_not_found(&error) => Ok(()),
            Err(error) => Err(ApplyError::write("a budget")(error)),
        }
    }
}

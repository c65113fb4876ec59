//! Jobs: what `decide::job` plans is carried out, pods first, then the status, then the finalizers that kept pods until they were counted.
//! Also lets pods go whose Job is gone.

mod expiry;
mod orphans;
mod template;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::cache::uncontrolled;
use client::events::Recorder;
use client::feed::parse_revision;
use client::reconcile::Next;
use client::{Cache, Index, Key, Queue};
use decide::job::{self, Memory, Plan, attempt};
use decide::{ownership, selection};
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use crate::apply::{self, ApplyError};
use crate::claim;
use crate::wiring::{Wiring, Work};
pub use expiry::run as expire;

/// Pods that are made at once; what is refused once is refused again.
const FIRST_BATCH: usize = 1;
/// Who is responsible for a Job that names no other.
const OURSELVES: &str = "kubernetes.io/job-controller";

struct Controller {
    client: kube::Client,
    jobs: Arc<Cache<Job>>,
    pods: Arc<Cache<Pod>>,
    by_controller: Index<Pod>,
    events: Recorder,
    memories: Mutex<HashMap<String, Memory>>,
}

/// The controller of Jobs.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (jobs, pods) = (wiring.cache::<Job>(), wiring.pods());
        let controller = Arc::new(Controller {
            client: wiring.client.clone(),
            by_controller: pods.by_controller(),
            jobs: Arc::clone(&jobs),
            pods: Arc::clone(&pods),
            events: wiring.recorder("job-controller"),
            memories: Mutex::default(),
        });
        let queue = Queue::new();
        wiring.enqueue_changes(&jobs, &queue);
        let (told, of) = (queue.clone(), Arc::clone(&jobs));
        pods.on_change(move |change| {
            for pod in change.both() {
                for key in owners_of(pod, &of) {
                    told.add(key);
                }
            }
        });
        let orphans = orphans::follow(&controller);
        let letting_go = {
            let controller = Arc::clone(&controller);
            wiring.work(orphans, 4, move |key| orphans::let_go(Arc::clone(&controller), key))
        };
        let working = wiring.work(queue, 8, move |key| reconcile(Arc::clone(&controller), key));
        futures::join!(letting_go, working);
    })
}

/// Whose a pod is; of one that is nobody's, who may want it.
fn owners_of(pod: &Pod, jobs: &Cache<Job>) -> Vec<Key> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    match ownership::controller(&pod.metadata) {
        Some(owner) if owner.kind == "Job" => vec![Key::new(namespace, &owner.name)],
        Some(_) => Vec::new(),
        None => {
            let all = jobs.in_namespace(namespace);
            all.iter().filter(|job| selects(job, pod)).map(|job| Key::of(&**job)).collect()
        }
    }
}

fn selects(job: &Job, pod: &Pod) -> bool {
    let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| selection::matches(selector, pod.metadata.labels.as_ref()))
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(job) = controller.jobs.get(&key) else { return Ok(Next::OnChange) };
    let managed = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref());
    if managed.is_some_and(|name| name != OURSELVES) {
        return Ok(Next::OnChange);
    }
    if job::is_over(&job) {
        controller.memories().remove(job.metadata.uid.as_deref().unwrap_or_default());
        return Ok(Next::OnChange);
    }
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let mut candidates = controller.by_controller.get(&uid);
    candidates.extend(controller.by_controller.get(&uncontrolled(key.namespace())));
    let pods = claim::claim(&controller.client, &controller.pods, &*job, candidates, |pod| selects(&job, pod)).await?;
    let memory = controller.memories().get(&uid).copied().unwrap_or_default();
    let plan = job::plan(&job, &pods, memory, Timestamp::now());
    let again = plan.again;
    controller.carry_out(&job, plan).await?;
    Ok(again.map_or(Next::OnChange, |at| Next::After(job::until(at, Timestamp::now()).max(Duration::from_millis(1)))))
}

impl Controller {
    fn memories(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry_out(&self, job: &Job, mut plan: Plan) -> Result<(), ApplyError> {
        let mut failure = None;
        for pod in &plan.discard {
            if attempt::is_tracked(pod) {
                self.release(pod).await?;
            }
        }
        self.delete(job, plan.discard.iter().chain(&plan.stop)).await?;
        if !plan.create.is_empty() {
            let wanted = plan.create.len();
            let (made, error) = self.create(job, &plan).await?;
            let missing = i32::try_from(wanted - made).unwrap_or_default();
            plan.status.active = plan.status.active.map(|active| active - missing).filter(|active| *active != 0);
            failure = error;
        }
        self.write_status(job, &plan).await?;
        self.memories().insert(job.metadata.uid.clone().unwrap_or_default(), plan.memory);
        for told in plan.told {
            match told.warning {
                true => self.events.warning(job, told.reason, told.message),
                false => self.events.normal(job, told.reason, told.message),
            }
        }
        try_join_all(plan.release.iter().map(|pod| self.release(pod))).await?;
        match failure {
            Some(source) => Err(ApplyError::Write { what: "a pod", source }),
            None => Ok(()),
        }
    }

    async fn write_status(&self, job: &Job, plan: &Plan) -> Result<(), ApplyError> {
        if job.status.as_ref() == Some(&plan.status) {
            return Ok(());
        }
        let new = Job { status: Some(plan.status.clone()), ..job.clone() };
        let api: Api<Job> = Api::namespaced(self.client.clone(), &job.namespace().unwrap_or_default());
        match api.replace_status(&job.name_any(), &PostParams::default(), &new).await {
            Ok(written) => Ok(self.jobs.caught_up(&written).await?),
            Err(error) if apply::is_not_found(&error) => Ok(()),
            Err(error) => Err(ApplyError::write("a Job's status")(error)),
        }
    }

    /// Makes pods in batches that double; says how many there are, and why there are no more.
    async fn create(&self, job: &Job, plan: &Plan) -> Result<(usize, Option<kube::Error>), ApplyError> {
        let (mut made, mut revision, mut batch) = (0, 0, FIRST_BATCH);
        let mut failure = None;
        let mut rest = plan.create.as_slice();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &job.namespace().unwrap_or_default());
        while !rest.is_empty() && failure.is_none() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            rest = later;
            let pods: Vec<Pod> = now.iter().map(|new| template::pod(job, *new)).collect();
            let params = PostParams::default();
            for result in join_all(pods.iter().map(|pod| api.create(&params, pod))).await {
                match result {
                    Ok(pod) => {
                        made += 1;
                        revision = revision.max(parse_revision(pod.metadata.resource_version.as_deref()));
                        self.events.normal(job, "SuccessfulCreate", format!("Created pod: {}", pod.name_any()));
                    }
                    Err(error) => {
                        if !apply::namespace_is_ending(&error) {
                            self.events.warning(job, "FailedCreate", format!("Error creating: {}", apply::message(&error)));
                        }
                        failure = Some(error);
                    }
                }
            }
            batch *= 2;
        }
        self.pods.reached(revision).await?;
        Ok((made, failure.filter(|error| !apply::namespace_is_ending(error))))
    }

    async fn delete<'p>(&self, job: &Job, pods: impl Iterator<Item = &'p Arc<Pod>>) -> Result<(), ApplyError> {
        let pods: Vec<_> = pods.collect();
        let results = join_all(pods.iter().map(|pod| apply::delete(&self.client, &***pod))).await;
        for (pod, result) in pods.iter().zip(results) {
            match result {
                Ok(true) => self.events.normal(job, "SuccessfulDelete", format!("Deleted pod: {}", pod.name_any())),
                Ok(false) => {}
                Err(error) => {
                    self.events.warning(job, "FailedDelete", format!("Error deleting: {}", apply::message(&error)));
                    return Err(ApplyError::write("a pod")(error));
                }
            }
            self.pods.forgotten(&Key::of(&***pod), pod.metadata.uid.as_deref().unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Takes the finalizer of a counted pod away.
    async fn release(&self, pod: &Pod) -> Result<(), ApplyError> {
        let patch = serde_json::json!({
            "metadata": {"uid": pod.metadata.uid, "$deleteFromPrimitiveList/finalizers": [attempt::FINALIZER]},
        });
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let params = kube::api::PatchParams::default();
        match api.patch(&pod.name_any(), &params, &kube::api::Patch::Strategic(patch)).await {
            // A pod that was only kept by the finalizer is gone now, and its cache need not show it.
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => Ok(()),
            Err(error) => Err(ApplyError::write("a pod's finalizer")(error)),
        }
    }
}

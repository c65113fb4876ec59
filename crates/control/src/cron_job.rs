//! CronJobs start Jobs at their times: `decide::cron_job` says when and what old ones go; the zone's rules come from the machine.

use std::sync::Arc;
use std::time::Duration;

use client::events::Recorder;
use client::reconcile::Next;
use client::{Cache, Index, Key, Queue};
use decide::cron_job::{self, Plan, name_for};
use decide::ownership;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::PostParams;
use kube::{Api, Resource as _, ResourceExt as _};

use crate::apply::{self, ApplyError};
use crate::wiring::{Wiring, Work};

/// On a Job: the time for which it was made.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// A little later than the time itself, so that it has come for certain.
const LATER: Duration = Duration::from_millis(20);

struct Controller {
    client: kube::Client,
    crons: Arc<Cache<CronJob>>,
    jobs: Arc<Cache<Job>>,
    by_controller: Index<Job>,
    events: Recorder,
}

/// The controller of CronJobs.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (crons, jobs) = (wiring.cache::<CronJob>(), wiring.cache::<Job>());
        let controller = Arc::new(Controller {
            client: wiring.client.clone(),
            by_controller: jobs.by_controller(),
            events: wiring.recorder("cronjob-controller"),
            crons: Arc::clone(&crons),
            jobs: Arc::clone(&jobs),
        });
        let queue = Queue::new();
        wiring.enqueue_changes(&crons, &queue);
        let told = queue.clone();
        jobs.on_change(move |change| {
            let owner = change.latest().and_then(|job| ownership::controller(&job.metadata));
            if let Some(owner) = owner.filter(|owner| owner.kind == "CronJob") {
                told.add(Key::new(change.key.namespace(), &owner.name));
            }
        });
        wiring.work(queue, 4, move |key| reconcile(Arc::clone(&controller), key)).await;
    })
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(cron) = controller.crons.get(&key) else { return Ok(Next::OnChange) };
    let zone = match cron.spec.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(name) => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(error) => {
                controller.events.warning(&*cron, "UnknownTimeZone", format!("invalid timeZone: \"{name}\": {error}"));
                return Ok(Next::OnChange);
            }
        },
    };
    let jobs = controller.by_controller.get(cron.metadata.uid.as_deref().unwrap_or_default());
    let now = Timestamp::now();
    let plan = cron_job::plan(&cron, &jobs, &zone, now);
    let again = plan.again;
    controller.carry_out(&cron, plan, &zone).await?;
    Ok(again.map_or(Next::OnChange, |at| Next::After(decide::job::until(at, Timestamp::now()) + LATER)))
}

impl Controller {
    async fn carry_out(&self, cron: &CronJob, mut plan: Plan, zone: &TimeZone) -> Result<(), ApplyError> {
        for (warning, reason, message) in std::mem::take(&mut plan.told) {
            match warning {
                true => self.events.warning(cron, reason, message),
                false => self.events.normal(cron, reason, message),
            }
        }
        for job in &plan.delete {
            match apply::delete(&self.client, &**job).await {
                Ok(true) => self.events.normal(cron, "SuccessfulDelete", format!("Deleted job {}", job.name_any())),
                Ok(false) => {}
                Err(error) => {
                    self.events.warning(cron, "FailedDelete", format!("Deleted job: {}", apply::message(&error)));
                    return Err(ApplyError::write("a Job")(error));
                }
            }
            self.jobs.forgotten(&Key::of(&**job), job.metadata.uid.as_deref().unwrap_or_default()).await?;
        }
        if let Some(time) = plan.start
            && let Some(job) = self.start(cron, time, zone).await?
        {
            let reference = ObjectReference {
                api_version: Some("batch/v1".to_owned()),
                kind: Some("Job".to_owned()),
                namespace: job.metadata.namespace.clone(),
                name: job.metadata.name.clone(),
                uid: job.metadata.uid.clone(),
                resource_version: job.metadata.resource_version.clone(),
                ..ObjectReference::default()
            };
            plan.status.active.get_or_insert_default().push(reference);
        }
        self.report(cron, plan.status).await
    }

    /// Makes the Job of a time; one that is there already is taken for it, if it is ours.
    async fn start(&self, cron: &CronJob, time: Timestamp, zone: &TimeZone) -> Result<Option<Job>, ApplyError> {
        let namespace = cron.namespace().unwrap_or_default();
        let template = &cron.spec.job_template;
        let mut job = Job { metadata: template.metadata.clone().unwrap_or_default(), spec: template.spec.clone(), status: None };
        job.metadata.name = Some(name_for(&cron.name_any(), time));
        job.metadata.namespace = Some(namespace.clone());
        job.metadata.owner_references = cron.controller_owner_ref(&()).map(|owner| vec![owner]);
        let written = time.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().replace("+00:00", "Z");
        job.annotations_mut().insert(SCHEDULED.to_owned(), written);
        let api: Api<Job> = Api::namespaced(self.client.clone(), &namespace);
        match api.create(&PostParams::default(), &job).await {
            Ok(made) => {
                self.events.normal(cron, "SuccessfulCreate", format!("Created job {}", made.name_any()));
                self.jobs.caught_up(&made).await?;
                Ok(Some(made))
            }
            Err(error) if apply::is_there_already(&error) => {
                let there = api.get_opt(&job.name_any()).await.map_err(ApplyError::read("a Job"))?;
                let ours = |job: &Job| {
                    ownership::controller(&job.metadata).is_some_and(|owner| Some(&owner.uid) == cron.metadata.uid.as_ref())
                };
                Ok(there.filter(|job| ours(job) && !decide::job::is_over(job)))
            }
            Err(error) if apply::namespace_is_ending(&error) => Ok(None),
            Err(error) => {
                self.events.warning(cron, "FailedCreate", format!("Error creating job: {}", apply::message(&error)));
                Err(ApplyError::write("a Job")(error))
            }
        }
    }

    async fn report(&self, cron: &CronJob, status: CronJobStatus) -> Result<(), ApplyError> {
        if cron.status.clone().unwrap_or_default() == status {
            return Ok(());
        }
        let new = CronJob { status: Some(status), ..cron.clone() };
        let api: Api<CronJob> = Api::namespaced(self.client.clone(), &cron.namespace().unwrap_or_default());
        match api.replace_status(&cron.name_any(), &PostParams::default(), &new).await {
            Ok(written) => Ok(self.crons.caught_up(&written).await?),
            Err(error) if apply::is_not_found(&error) => Ok(()),
            Err(error) => Err(ApplyError::write("a CronJob's status")(error)),
        }
    }
}

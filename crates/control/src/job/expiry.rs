//! Finished Jobs are taken away once the time that they name is over.

use std::sync::Arc;

use client::reconcile::Next;
use client::{Cache, Key, Queue};
use decide::job::{is_over, over_since, until};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};

use crate::apply::{self, ApplyError};
use crate::wiring::{Wiring, Work};

/// The controller of the time after which Jobs go.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let jobs = wiring.cache::<Job>();
        let queue = Queue::new();
        let told = queue.clone();
        jobs.on_change(move |change| {
            if change.new.as_deref().is_some_and(|job| is_over(job) && time_to_live(job).is_some()) {
                told.add(change.key.clone());
            }
        });
        let client = wiring.client.clone();
        wiring.work(queue, 2, move |key| expire(client.clone(), Arc::clone(&jobs), key)).await;
    })
}

fn time_to_live(job: &Job) -> Option<SignedDuration> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    Some(SignedDuration::from_secs(seconds.into()))
}

async fn expire(client: kube::Client, jobs: Arc<Cache<Job>>, key: Key) -> Result<Next, ApplyError> {
    let Some(job) = jobs.get(&key).filter(|job| job.metadata.deletion_timestamp.is_none()) else { return Ok(Next::OnChange) };
    let (Some(time_to_live), Some(since)) = (time_to_live(&job), over_since(&job)) else { return Ok(Next::OnChange) };
    let (at, now) = (since + time_to_live, Timestamp::now());
    if at > now {
        return Ok(Next::After(until(at, now)));
    }
    let api: Api<Job> = Api::namespaced(client, key.namespace());
    let precondition = Preconditions { uid: job.metadata.uid.clone(), resource_version: job.metadata.resource_version.clone() };
    match api.delete(key.name(), &DeleteParams::foreground().preconditions(precondition)).await {
        Ok(_) => Ok(Next::OnChange),
        Err(error) if apply::is_not_found(&error) => Ok(Next::OnChange),
        Err(error) => Err(ApplyError::write("a Job that is over")(error)),
    }
}

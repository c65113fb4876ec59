//! Who leads, when several processes could: a Lease that its holder renews and others wait for. Owns the protocol, never what is led.
//!
//! The clocks of processes are never compared: a lease is old when it was not seen to change for its whole duration.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, api::PostParams};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use crate::queue::pause;

/// How a lease is held.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a lease holds after it was renewed.
    pub duration: Duration,
    /// After what time without success its holder stops to lead. Shorter than `duration`.
    pub renew_deadline: Duration,
    /// How often it is renewed or looked at.
    pub retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { duration: Duration::from_secs(15), renew_deadline: Duration::from_secs(10), retry: Duration::from_secs(2) }
    }
}

/// A candidacy. Ends, and lets the lease run out, when it is dropped.
pub struct Candidacy {
    leads: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Candidacy {
    /// Stands for the lease `name` in `namespace` as `identity`, which no other process may use. Must be called within a tokio runtime.
    pub fn stand(client: kube::Client, namespace: &str, name: &str, identity: &str, settings: Settings) -> Self {
        let (sender, leads) = watch::channel(false);
        let candidate = Candidate {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            settings,
            seen: None,
            renewed: None,
        };
        Self { leads, task: tokio::spawn(candidate.run(sender)).abort_handle() }
    }

    /// Whether we lead right now.
    pub fn leads(&self) -> bool {
        *self.leads.borrow()
    }

    /// Waits until we lead.
    pub async fn won(&mut self) {
        let _ = self.leads.wait_for(|leads| *leads).await;
    }

    /// Waits until we lead no longer.
    pub async fn lost(&mut self) {
        let _ = self.leads.wait_for(|leads| !*leads).await;
    }
}

struct Candidate {
    leases: Api<Lease>,
    name: String,
    identity: String,
    settings: Settings,
    /// The resourceVersion of another's lease, and when it was first seen.
    seen: Option<(String, Instant)>,
    /// When we renewed last.
    renewed: Option<Instant>,
}

impl Candidate {
    async fn run(mut self, leads: watch::Sender<bool>) {
        loop {
            let left = self.settings.renew_deadline.saturating_sub(self.renewed.map_or(Duration::ZERO, |at| at.elapsed()));
            let limit = if *leads.borrow() { left } else { self.settings.renew_deadline };
            match tokio::time::timeout(limit, self.try_hold()).await {
                Ok(Ok(true)) => {
                    self.renewed = Some(Instant::now());
                    leads.send_if_modified(|leads| !std::mem::replace(leads, true));
                }
                Ok(Ok(false)) => drop(leads.send_if_modified(|leads| std::mem::replace(leads, false))),
                Ok(Err(error)) => {
                    tracing::debug!(lease = self.name, error = &error as &dyn std::error::Error, "no answer about a lease")
                }
                Err(_) => tracing::debug!(lease = self.name, "a lease took too long"),
            }
            if self.renewed.is_some_and(|at| at.elapsed() >= self.settings.renew_deadline) {
                leads.send_if_modified(|leads| std::mem::replace(leads, false));
            }
            pause(self.settings.retry).await;
        }
    }

    /// Takes or renews the lease, if we may. Whether we hold it.
    async fn try_hold(&mut self) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.leases.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(None)),
            };
            return won(self.leases.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.take().unwrap_or_default();
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        if holder != self.identity && !holder.is_empty() && !self.is_old(&lease, &spec) {
            return Ok(false);
        }
        lease.spec = Some(self.spec(Some(&spec)));
        won(self.leases.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn is_old(&mut self, lease: &Lease, spec: &LeaseSpec) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        match &self.seen {
            Some((seen, since)) if *seen == version => {
                let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                since.elapsed() > seconds.map_or(self.settings.duration, Duration::from_secs)
            }
            _ => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn spec(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = before.filter(|before| before.holder_identity.as_deref() == Some(&*self.identity));
        let transitions = before.and_then(|before| before.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.settings.duration.as_secs()).unwrap_or(i32::MAX)),
            acquire_time: ours.and_then(|ours| ours.acquire_time.clone()).or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions + i32::from(before.is_some() && ours.is_none())),
            ..LeaseSpec::default()
        }
    }
}

fn won(written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match written {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

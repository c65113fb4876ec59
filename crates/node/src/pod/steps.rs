//! The steps of a pod's life, in order. Each has its start, its undo and its return after a restart of the agent in its one file. An undo
//! is safe without its do; a return changes nothing that runs.

mod address;
mod containers;
mod images;
mod init;
mod policy;
mod probes;
pub(crate) mod sandbox;
#[cfg(test)]
mod tests;
pub(crate) mod volumes;

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;

pub(crate) use address::{Attached, PodNetwork};

use super::record::Record;
use crate::site::Site;
use volumes::Volumes;

/// What a step made or found, and what the next ones build on.
pub(crate) struct Ground {
    pub(crate) site: Arc<Site>,
    pub(crate) pod: Arc<Pod>,
    /// The pod as it changes.
    pub(crate) seen: watch::Receiver<Arc<Pod>>,
    pub(crate) uid: String,
    /// The pod's folder on the node.
    pub(crate) folder: PathBuf,
    /// What is on disk of it.
    pub(crate) record: Record,
    /// The supervising process while it starts beside the first steps.
    pub(crate) begun: Option<sandbox::Beginning>,
    /// The handle on the supervising process.
    pub(crate) sandbox: Option<runtime::pod::Pod>,
    /// The volumes that stand.
    pub(crate) volumes: Arc<Volumes>,
}

/// A step could not be done; as the event says.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct StepError {
    /// The reason of the event.
    pub(crate) reason: &'static str,
    /// Its message, in upstream's words.
    pub(crate) message: String,
}

impl StepError {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// With the whole chain of causes in the message.
    pub(crate) fn caused(reason: &'static str, what: &str, error: &dyn std::error::Error) -> Self {
        Self { reason, message: format!("{what}: {}", chain(error)) }
    }
}

/// An error with all its causes, as people read it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

pub(crate) type Done<'a> = BoxFuture<'a, Result<(), StepError>>;

/// One step.
pub(crate) trait Step: Sync {
    /// Its name on disk.
    fn name(&self) -> &'static str;
    /// Does it. May find half of it done by an attempt that failed.
    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a>;
    /// Undoes it; fine if it never was, or only half.
    fn stop<'a>(&'a self, ground: &'a mut Ground) -> Done<'a>;
    /// Finds it again after the agent restarted.
    fn adopt<'a>(&'a self, ground: &'a mut Ground) -> Done<'a>;
}

/// All of them, in the order in which they start.
pub(crate) const STEPS: &[&dyn Step] = &[
    &address::Address,
    &policy::Policy,
    &sandbox::Sandbox,
    &volumes::VolumesStep,
    &images::Images,
    &init::Init,
    &containers::Containers,
    &probes::Probes,
];

//! What a pod has on disk, so that a restarted agent finds its way: the pod as it was last seen, the steps that are done, and the facts.
//! Written whole by a rename. Never read by anyone but the agent.

use std::path::Path;

use decide::pod_lifecycle::Facts;
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};

use super::steps::Attached;

/// The form of the record; another one is not read.
const VERSION: u32 = 1;

/// What is on disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    version: u32,
    /// The steps that are done, in order.
    pub(crate) steps: Vec<String>,
    /// The pod's place in the network.
    pub(crate) attached: Option<Attached>,
}

/// What is known of the containers.
#[derive(Serialize, Deserialize)]
struct Known {
    version: u32,
    facts: Facts,
}

/// A record could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The file.
    #[error("cannot write {path}")]
    Write {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

fn write(path: &Path, value: &impl Serialize) -> Result<(), RecordError> {
    let failed = |source| RecordError::Write { path: path.to_owned(), source };
    let text = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
    let draft = path.with_extension("new");
    std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path)).map_err(failed)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

impl Record {
    /// Reads the steps of a pod.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        read::<Self>(&folder.join("steps.json")).filter(|record| record.version == VERSION)
    }

    /// Writes them.
    pub(crate) fn write(&mut self, folder: &Path) -> Result<(), RecordError> {
        self.version = VERSION;
        write(&folder.join("steps.json"), self)
    }

    /// Whether a step is done.
    pub(crate) fn has(&self, step: &str) -> bool {
        self.steps.iter().any(|done| done == step)
    }
}

/// Writes the pod as it was last seen.
pub(crate) fn write_pod(folder: &Path, pod: &Pod) -> Result<(), RecordError> {
    write(&folder.join("pod.json"), pod)
}

/// The pod as it was last seen.
pub(crate) fn read_pod(folder: &Path) -> Option<Pod> {
    read(&folder.join("pod.json"))
}

/// Writes what is known of the containers.
pub(crate) fn write_facts(folder: &Path, facts: &Facts) -> Result<(), RecordError> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        version: u32,
        facts: &'a Facts,
    }
    write(&folder.join("facts.json"), &Borrowed { version: VERSION, facts })
}

/// What was known of the containers.
pub(crate) fn read_facts(folder: &Path) -> Option<Facts> {
    read::<Known>(&folder.join("facts.json")).filter(|known| known.version == VERSION).map(|known| known.facts)
}

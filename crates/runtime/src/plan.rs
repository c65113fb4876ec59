//! What the agent leaves in a container's folder for the process that becomes it: the specification, and all that can be worked out before.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{cgroup::View, container::ContainerSpec, logs::LogFiles};

/// The plan of one container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// What was asked for.
    pub container: ContainerSpec,
    /// Where its output goes, for an agent that adopts it.
    pub logs: LogFiles,
    /// The pod's host name.
    pub hostname: String,
    /// Compiled filters of system calls, in the order of their installation.
    pub filters: Vec<Vec<u64>>,
    /// Where its writable layer stands.
    pub layer: PathBuf,
    /// A layer between the image and that, with the places that its mounts need.
    pub fill: Option<PathBuf>,
    /// How it sees its cgroups.
    pub cgroups: View,
    /// What is its `/dev/shm`.
    pub shm: PathBuf,
    /// Whether its IPC objects are the host's, and with them the message queues.
    pub host_ipc: bool,
}

const NAME: &str = "plan.json";

impl Plan {
    /// Reads the plan in a container's folder.
    pub fn read(folder: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&fs::read(folder.join(NAME))?)?)
    }

    /// Leaves the plan in a container's folder.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join(NAME), serde_json::to_vec(self)?)
    }
}

//! The handle on a pod's supervising process, as the agent holds it. Knows folders, sockets and cgroups, not why a pod is there.

pub mod running;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    cgroup::Usage,
    container::{Container, ContainerSpec, Limits},
    logs::LogFiles,
    session::{ExecSpec, Session},
};

/// A pod to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSpec {
    /// Unique on the machine.
    pub id: String,
    /// Its own folder: socket, pipes, exit records, writable layers.
    pub dir: PathBuf,
    /// What its containers see as their host's name.
    pub hostname: String,
    /// Whose network it has.
    pub network: Network,
    /// Whether it sees the host's processes.
    pub host_pid: bool,
    /// Whether it shares the host's IPC objects.
    pub host_ipc: bool,
    /// Whether its containers see each other's processes.
    pub share_processes: bool,
    /// Kernel settings of its namespaces, as `net.ipv4.ip_local_port_range`.
    pub sysctls: Vec<(String, String)>,
    /// Its cgroup; those of containers stand below.
    pub cgroup: String,
    /// Bounds of all its containers together.
    pub limits: Limits,
    /// Size of its `/dev/shm`; half of the memory if unset.
    pub shm_bytes: Option<u64>,
}

/// Whose network a pod has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The agent's own.
    Host,
    /// The one that is bound at this path.
    Namespace(PathBuf),
    /// A new one, which the supervisor holds; see [`Pod::pid`].
    New,
}

/// What went wrong with a pod.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// Still to be written.
    #[error("not yet")]
    NotYet,
    /// Its folder could not be made or written.
    #[error("cannot prepare {path}")]
    Prepare {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A cgroup could not be made, changed or removed.
    #[error("cannot change cgroup {path}")]
    Limit {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its supervisor could not be started.
    #[error("cannot start the supervisor of pod {id}")]
    StartSupervisor {
        /// Whose.
        id: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its supervisor does not answer.
    #[error("cannot reach the supervisor of pod {id}")]
    ReachSupervisor {
        /// Whose.
        id: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A container could not be set up; the text says at which step and why.
    #[error("{message}")]
    StartContainer {
        /// As container engines word it.
        message: String,
    },
    /// The program of a container or an exec could not be executed; the text says why.
    #[error("{message}")]
    ExecuteProgram {
        /// As container engines word it, for instance `exec: "x": executable file not found in $PATH`.
        message: String,
        /// What a shell would return: 127 if it is not there, 126 if it may not be executed.
        code: i32,
    },
    /// There is no such container, or it has ended.
    #[error("container {0} is not running")]
    FindContainer(String),
    /// A signal could not be delivered.
    #[error("cannot signal container {id}")]
    Signal {
        /// Which.
        id: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A connection into the pod was refused.
    #[error("cannot connect to port {port} of pod {id}")]
    Dial {
        /// Whose.
        id: String,
        /// Where to.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a pod has used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// All of it.
    pub pod: Usage,
    /// Each running container by its id.
    pub containers: BTreeMap<String, Usage>,
    /// Bytes of each container's writable layer.
    pub writable_bytes: BTreeMap<String, u64>,
}

/// A pod that runs. A clone is the same pod; dropping the handle ends nothing.
#[derive(Debug, Clone)]
pub struct Pod {}

impl Pod {
    /// Starts the supervisor and makes what the containers share.
    pub async fn start(_spec: PodSpec) -> Result<Self, PodError> {
        Err(PodError::NotYet)
    }

    /// Finds what lives in `dir` after a restart of the agent: `None` if neither supervisor nor container does and no exit is left to be told.
    /// Logs flow on into the files that were named at the start; a dead supervisor is replaced; ends that happened between are known.
    pub async fn adopt(_dir: &Path) -> Result<Option<Self>, PodError> {
        Err(PodError::NotYet)
    }

    /// What it was started with.
    pub fn spec(&self) -> &PodSpec {
        unreachable!("there is no pod yet")
    }

    /// The supervising process; its `/proc/PID/ns/net` is the pod's network namespace.
    pub fn pid(&self) -> i32 {
        0
    }

    /// Starts a container; its program runs when this returns.
    pub async fn start_container(&self, _spec: ContainerSpec, _logs: LogFiles) -> Result<Container, PodError> {
        Err(PodError::NotYet)
    }

    /// One that was started and not removed, ended ones too.
    pub fn container(&self, _id: &str) -> Option<Container> {
        None
    }

    /// All that were started and not removed.
    pub fn containers(&self) -> Vec<Container> {
        Vec::new()
    }

    /// Takes away an ended container: its writable layer, cgroup and exit record. Its log files stay.
    pub async fn remove_container(&self, _id: &str) -> Result<(), PodError> {
        Err(PodError::NotYet)
    }

    /// Changes the bounds of a running container, or of the pod with `None`.
    pub async fn set_limits(&self, _container: Option<&str>, _limits: &Limits) -> Result<(), PodError> {
        Err(PodError::NotYet)
    }

    /// Runs a further program in a container.
    pub async fn exec(&self, _container: &str, _exec: ExecSpec) -> Result<Session, PodError> {
        Err(PodError::NotYet)
    }

    /// Joins the standard streams of a container, from now on.
    pub async fn attach(&self, _container: &str) -> Result<Session, PodError> {
        Err(PodError::NotYet)
    }

    /// Connects to a port of loopback inside the pod's network.
    pub async fn dial(&self, _port: u16) -> Result<tokio::net::TcpStream, PodError> {
        Err(PodError::NotYet)
    }

    /// What it has used.
    pub async fn stats(&self) -> Result<Stats, PodError> {
        Err(PodError::NotYet)
    }

    /// Kills everything and takes all away but the log files: mounts, cgroups, folder. Fine if it is half gone.
    pub async fn stop(self) -> Result<(), PodError> {
        Err(PodError::NotYet)
    }
}

//! The handle on a pod's supervising process, as the agent holds it. Knows folders, sockets and cgroups, not why a pod is there.

mod adopt;
mod door;
mod exec;
pub mod running;
mod start;
mod stop;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::{
    cgroup::{self, Usage},
    container::{Container, ContainerSpec, Limits},
    logs::LogFiles,
    session::{ExecSpec, Session},
};

/// A pod to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodSpec {
    /// Unique on the machine.
    pub id: String,
    /// Its own folder: socket, pipes, plans, exit records. Small, many small files, and of no use after a restart of the machine: best in memory.
    pub dir: PathBuf,
    /// Where the writable layers of its containers stand: on a disk, for they may grow.
    pub layers: PathBuf,
    /// A folder in memory that pods share, for layers with the places that mounts need; without it each container makes its own.
    pub fills: Option<PathBuf>,
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
    /// Its cgroup; those of containers stand below. One below the parent of this, `restricted`, is shared by siblings.
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
    /// Its folder could not be made, written or removed.
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
    /// Its filter of system calls could not be made.
    #[error("cannot make the system call filter of container {id}")]
    Filter {
        /// Whose.
        id: String,
        /// Why.
        #[source]
        source: FilterError,
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
    /// It still runs.
    #[error("container {0} is running")]
    RemoveRunning(String),
    /// A signal could not be delivered.
    #[error("cannot signal container {id}")]
    Signal {
        /// Which.
        id: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its terminal could not be resized.
    #[error("cannot resize the terminal")]
    Resize(#[source] io::Error),
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

pub use crate::process::filter::FilterError;

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
#[derive(Clone)]
pub struct Pod(Arc<Inner>);

/// A pod whose start has begun. Dropped before it is finished, its supervisor ends; [`Pod::adopt`] takes away the rest.
#[must_use = "it ends when it is dropped"]
pub struct Begun {
    spec: PodSpec,
    pid: i32,
    starting: door::Starting,
    made: Result<(), PodError>,
}

struct Inner {
    spec: PodSpec,
    pid: AtomicI32,
    containers: Mutex<BTreeMap<String, Container>>,
    /// Held by the one who replaces a dead supervisor.
    reviving: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Pod {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pod").field("id", &self.0.spec.id).field("pid", &self.pid()).finish_non_exhaustive()
    }
}

impl Pod {
    fn of(spec: PodSpec, pid: i32) -> Self {
        Self(Arc::new(Inner {
            spec,
            pid: AtomicI32::new(pid),
            containers: Mutex::default(),
            reviving: tokio::sync::Mutex::default(),
        }))
    }

    /// Starts the supervisor and makes what the containers share.
    pub async fn start(spec: PodSpec) -> Result<Self, PodError> {
        Self::finish(Self::begin(spec)?).await
    }

    /// Does all of a start that needs no network namespace, so that this may be made meanwhile. Must be called within a tokio runtime.
    pub fn begin(spec: PodSpec) -> Result<Begun, PodError> {
        start::begin_pod(spec)
    }

    /// Does the rest, once the network namespace is there.
    pub async fn finish(begun: Begun) -> Result<Self, PodError> {
        start::finish_pod(begun).await
    }

    /// Finds what lives in `dir` after a restart of the agent: `None` if neither supervisor nor container does and no exit is left to be told.
    /// Logs flow on into the files that were named at the start; a dead supervisor is replaced; ends that happened between are known.
    pub async fn adopt(dir: &Path) -> Result<Option<Self>, PodError> {
        adopt::pod(dir).await
    }

    /// What it was started with.
    pub fn spec(&self) -> &PodSpec {
        &self.0.spec
    }

    /// The supervising process; its `/proc/PID/ns/net` is the pod's network namespace.
    pub fn pid(&self) -> i32 {
        self.0.pid.load(Ordering::Acquire)
    }

    /// Starts a container; its program runs when this returns.
    pub async fn start_container(&self, spec: ContainerSpec, logs: LogFiles) -> Result<Container, PodError> {
        start::container(self, spec, logs).await
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Container>> {
        self.0.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that was started and not removed, ended ones too.
    pub fn container(&self, id: &str) -> Option<Container> {
        self.lock().get(id).cloned()
    }

    /// All that were started and not removed.
    pub fn containers(&self) -> Vec<Container> {
        self.lock().values().cloned().collect()
    }

    /// Takes away an ended container: its writable layer, cgroup and exit record. Its log files stay.
    pub async fn remove_container(&self, id: &str) -> Result<(), PodError> {
        stop::container(self, id).await
    }

    /// Changes the bounds of a running container, or of the pod with `None`.
    pub async fn set_limits(&self, container: Option<&str>, limits: &Limits) -> Result<(), PodError> {
        let path = match container {
            None => self.0.spec.cgroup.clone(),
            Some(id) => self.running(id)?.cgroup().to_owned(),
        };
        cgroup::set(&path, limits).map_err(|source| PodError::Limit { path, source })
    }

    fn running(&self, id: &str) -> Result<Container, PodError> {
        let found = self.container(id).filter(|container| container.exit().is_none());
        found.ok_or_else(|| PodError::FindContainer(id.to_owned()))
    }

    /// Runs a further program in a container.
    pub async fn exec(&self, container: &str, exec: ExecSpec) -> Result<Session, PodError> {
        exec::run(self, &self.running(container)?, &exec).await
    }

    /// Joins the standard streams of a container, from now on.
    pub async fn attach(&self, container: &str) -> Result<Session, PodError> {
        exec::attach(&self.running(container)?)
    }

    /// Connects to a port of loopback inside the pod's network.
    pub async fn dial(&self, port: u16) -> Result<tokio::net::TcpStream, PodError> {
        exec::dial(self, port).await
    }

    /// What it has used.
    pub async fn stats(&self) -> Result<Stats, PodError> {
        let path = &self.0.spec.cgroup;
        let failed = |source| PodError::Limit { path: path.clone(), source };
        let mut stats = Stats { pod: cgroup::usage(path).map_err(failed)?, ..Stats::default() };
        let running: Vec<_> = self.containers().into_iter().filter(|container| container.exit().is_none()).collect();
        for container in &running {
            if let Ok(usage) = cgroup::usage(container.cgroup()) {
                stats.containers.insert(container.spec().id.clone(), usage);
            }
        }
        let folders = running.into_iter().map(|container| (container.spec().id.clone(), container.0.layer.join("upper")));
        let folders: Vec<_> = folders.collect();
        let sizes =
            tokio::task::spawn_blocking(move || folders.into_iter().map(|(id, folder)| (id, bytes_below(&folder))).collect());
        stats.writable_bytes = sizes.await.unwrap_or_default();
        Ok(stats)
    }

    /// Kills everything and takes all away but the log files: mounts, cgroups, folder. Fine if it is half gone.
    pub async fn stop(self) -> Result<(), PodError> {
        stop::pod(&self).await
    }
}

/// What a folder takes on disk.
fn bytes_below(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let Ok(found) = entry.metadata() else { return 0 };
        found.blocks() * 512 + if found.is_dir() { bytes_below(&entry.path()) } else { 0 }
    };
    entries.map(of).sum()
}

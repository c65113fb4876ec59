//! The keeper of a machine: a tiny init that starts, restarts and reaps, also orphans. Knows programs, not their meaning.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The role's name, the first argument of the process.
pub(crate) const ROLE: &str = "keeper";

/// Runs the keeper that listens at `socket`.
pub(crate) fn main(_socket: &Path) -> i32 {
    1
}

/// How an orphan ended that fell to the keeper of this machine.
pub(crate) async fn orphan(_pid: i32, _ticks: u64) -> Option<crate::supervise::record::Ended> {
    None
}

/// A process to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name among the kept.
    pub name: String,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Added to the keeper's environment.
    pub env: Vec<(String, String)>,
    /// Whether it is started again when it ends by itself.
    pub restart: bool,
    /// The cgroup it starts in, made if missing; `kill` ends everything in `kill_cgroup`.
    pub cgroup: Option<String>,
    /// What `kill` ends: this cgroup and all below.
    pub kill_cgroup: Option<String>,
    /// A network namespace it is started in.
    pub network: Option<PathBuf>,
    /// Where its output is appended.
    pub log: Option<PathBuf>,
    /// How long `stop` waits between the asking signal and the killing one.
    pub grace_ms: u64,
}

/// How a kept process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// The process, while it runs.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// The last exit code, 128 + n for a signal.
    pub exit: Option<i32>,
}

/// Why the keeper did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// It could not be started.
    #[error("cannot start the keeper")]
    Start(#[source] io::Error),
    /// It does not answer.
    #[error("cannot reach the keeper at {path}")]
    Reach {
        /// Its socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It answered with a complaint.
    #[error("the keeper refused: {0}")]
    Obey(String),
}

/// The door to a keeper.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Starts a keeper that listens at `socket`, detached from this process and its terminal.
    pub async fn spawn(_socket: &Path, _log: &Path) -> Result<Self, KeeperError> {
        Err(KeeperError::Start(io::ErrorKind::Unsupported.into()))
    }

    /// The keeper that listens at `socket`.
    pub async fn connect(socket: &Path) -> Result<Self, KeeperError> {
        let client = Self { socket: socket.to_owned() };
        client.list().await?;
        Ok(client)
    }

    /// Starts a process and keeps it; refused if one of that name runs.
    pub async fn start(&self, _program: &Program) -> Result<i32, KeeperError> {
        Err(self.unsupported())
    }

    /// Asks it to end, kills it after its grace, and forgets it. Fine if there is none.
    pub async fn stop(&self, _name: &str) -> Result<(), KeeperError> {
        Err(self.unsupported())
    }

    /// Kills it and everything in its `kill_cgroup` at once, and does not start it again; `start` may.
    pub async fn kill(&self, _name: &str) -> Result<(), KeeperError> {
        Err(self.unsupported())
    }

    /// All that are kept.
    pub async fn list(&self) -> Result<Vec<Kept>, KeeperError> {
        Err(self.unsupported())
    }

    /// The exit code of an orphan that fell to the keeper, by its process id and its start time in clock ticks (field 22 of `/proc/PID/stat`).
    pub async fn orphan_exit(&self, _pid: i32, _start_ticks: u64) -> Result<Option<i32>, KeeperError> {
        Err(self.unsupported())
    }

    /// Stops all that it keeps, in reverse order of their start, then ends itself.
    pub async fn shutdown(&self) -> Result<(), KeeperError> {
        Err(self.unsupported())
    }

    fn unsupported(&self) -> KeeperError {
        KeeperError::Reach { path: self.socket.clone(), source: io::ErrorKind::Unsupported.into() }
    }
}

//! The keeper of a machine: a tiny init that starts, restarts and reaps, also orphans. Knows programs, not their meaning.

mod client;
mod kept;
mod serve;

use std::{io, path::PathBuf, sync::OnceLock};

use serde::{Deserialize, Serialize};

pub use client::Client;
pub(crate) use serve::main;

use crate::supervise::record::Ended;

/// The role's name, the first argument of the process.
pub(crate) const ROLE: &str = "keeper";

static KEEPER: OnceLock<Client> = OnceLock::new();

/// Names the keeper that this process asks how an orphan ended, when a container outlived both its agent and its supervisor.
pub fn ask_for_orphans(keeper: Client) {
    let _ = KEEPER.set(keeper);
}

/// How an orphan ended that fell to the keeper of this machine.
pub(crate) async fn orphan(pid: i32, ticks: u64) -> Option<Ended> {
    let code = KEEPER.get()?.orphan_exit(pid, ticks).await.ok()??;
    Some(if code > 128 { Ended::Signal(code - 128) } else { Ended::Code(code) })
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
    /// The cgroup it starts in, made if missing.
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

/// What a keeper may be asked, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Start(Program),
    Stop(String),
    Kill(String),
    List,
    Orphan { pid: i32, ticks: u64 },
    Shutdown,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Started(i32),
    Done,
    List(Vec<Kept>),
    Orphan(Option<i32>),
    Refused(String),
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

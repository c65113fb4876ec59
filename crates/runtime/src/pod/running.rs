//! A container that was started, until it is removed.

use crate::{
    container::{ContainerSpec, Exit},
    pod::PodError,
};

/// A container that was started. A clone is the same container; dropping the handle ends nothing.
#[derive(Debug, Clone)]
pub struct Container {}

impl Container {
    /// What it was started with.
    pub fn spec(&self) -> &ContainerSpec {
        unreachable!("there is no container yet")
    }

    /// Its first process, as the host sees it.
    pub fn pid(&self) -> i32 {
        0
    }

    /// When its program was started.
    pub fn started(&self) -> std::time::SystemTime {
        std::time::SystemTime::UNIX_EPOCH
    }

    /// How it ended, once it has, and its last log line is in the file.
    pub async fn wait(&self) -> Exit {
        std::future::pending().await
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        None
    }

    /// Signals its first process; nothing if it has ended.
    pub async fn signal(&self, _signal: i32) -> Result<(), PodError> {
        Err(PodError::NotYet)
    }

    /// How many log lines a full disk has cost.
    pub fn lines_dropped(&self) -> u64 {
        0
    }
}

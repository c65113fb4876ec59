//! Control groups: v1, hybrid and v2 behind one set of functions. Paths are relative to the root of the hierarchy, as `coracle/node-1/pod4`.

use std::io;

use serde::{Deserialize, Serialize};

use crate::container::Limits;

/// What a cgroup has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in nanoseconds, since it was made.
    pub cpu_ns: u64,
    /// Bytes charged, file cache included.
    pub memory_bytes: u64,
    /// Bytes charged without the file cache that nobody used lately.
    pub working_set_bytes: u64,
    /// Bytes of anonymous memory.
    pub rss_bytes: u64,
    /// Major page faults.
    pub major_faults: u64,
    /// Page faults.
    pub faults: u64,
    /// Processes and threads, where they are counted.
    pub pids: Option<u64>,
}

/// Makes a cgroup (and those above it) in every hierarchy in use, with these bounds.
pub fn create(_path: &str, _limits: &Limits) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Changes the bounds of one that exists.
pub fn set(_path: &str, _limits: &Limits) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Moves a process into one.
pub fn enter(_path: &str, _pid: i32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Kills every process in it and below, and returns when they are gone.
pub fn kill(_path: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes it and all below, which must be empty of processes; fine if it is gone.
pub fn remove(_path: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What it has used.
pub fn usage(_path: &str) -> io::Result<Usage> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The processes in it and below.
pub fn processes(_path: &str) -> io::Result<Vec<i32>> {
    Err(io::ErrorKind::Unsupported.into())
}

//! From a container's output to its log file. Owns the form of a line, rotation, and what happens when the disk is full; never blocks a
//! container for longer than its file takes, and never loses a line to its own death: what is not yet written stays in the pipe.

mod file;
mod line;
pub(crate) mod pump;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where a container's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFiles {
    /// The current file; folders above it are made.
    pub path: PathBuf,
    /// A file this long is rotated away.
    pub bytes_max: u64,
    /// So many files are kept, the current one among them.
    pub files_max: u32,
}

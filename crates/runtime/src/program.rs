//! Programs of the host: the one place that starts them.

use std::io;

/// What a program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Exit code, 128 + n for a signal.
    pub code: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: Vec<u8>,
}

/// Runs a program to its end.
pub async fn run(_program: &str, _arguments: &[&str], _stdin: &[u8]) -> io::Result<Finished> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes this process the one to which orphans below it fall.
pub fn become_subreaper() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

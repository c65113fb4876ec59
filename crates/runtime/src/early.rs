//! The first line of `main`: this binary is also the supervisor of a pod and the keeper of a machine. Never returns in such a process.

use std::{path::PathBuf, sync::OnceLock};

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Runs the role that the first argument names, if it is one of ours, and exits. Call it before any thread or allocator is set up.
pub fn branch() {}

/// Names the program that is executed as supervisor or keeper, for a process whose own `main` does not call [`branch`], as tests.
pub fn use_program(path: PathBuf) {
    let _ = PROGRAM.set(path);
}

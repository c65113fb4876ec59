//! Open files as tokio watches them.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// Watches an open file; it should not block.
pub(crate) fn watch(file: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an owned file has one number until it is dropped, and is not lent out to be closed.
    unsafe { AsyncFd::register_with_interest(file, interest) }.map_err(Into::into)
}

//! Revisioned bytes with watch: one ordered log of changes, answered from memory.
//!
//! The revision of the last change to a key is what the API calls its resourceVersion; the tail of the log feeds the watches; the
//! index answers reads without a lock. What keeps the log ([`backend`]) stands below a low seam; [`index`] and [`watch`] stand above it
//! and are the same for every backend. This crate knows keys and bytes, never kinds.

pub mod backend;
pub mod index;
mod store;
pub mod watch;

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

pub use backend::embedded::{OpenError, RestoreError, Settings, restore};
pub use index::{Compacted, Snapshot};
pub use store::Store;
pub use watch::{Batch, Event, Watch, WatchError};

/// A point in the order of all changes. Grows by at least one with each, and is never used twice, not even after a crash.
pub type Revision = u64;

/// What the owner of the store extracts from a value once, kept beside the bytes for filtering.
pub trait Project: Send + Sync + 'static {
    /// The extracted fields.
    type Fields: Send + Sync + 'static;

    /// Extracts them. Called once for each value that is written or loaded.
    fn project(&self, key: &str, value: &[u8]) -> Self::Fields;
}

/// Turns the bytes in memory into those on disk and back: encryption at rest. Called at the edge of the disk alone.
pub trait Seal: Send + Sync + 'static {
    /// The bytes for the disk.
    ///
    /// # Errors
    /// When they cannot be sealed; the write is refused then.
    fn seal(&self, key: &str, plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// The bytes for memory.
    ///
    /// # Errors
    /// When they were not sealed by a known key, or were changed.
    fn open(&self, key: &str, disk: &[u8]) -> Result<Vec<u8>, SealError>;
}

/// Why the values on disk could not be written anew. They are there as they were.
#[derive(Debug, Clone, Error)]
pub enum RewriteError {
    /// The disk did not take it.
    #[error("the values could not be written anew")]
    Write(#[source] Arc<std::io::Error>),
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

/// Why bytes could not be sealed or opened.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct SealError(pub String);

/// Leaves bytes as they are.
pub struct Unsealed;

impl Seal for Unsealed {
    fn seal(&self, _key: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok(plain.to_vec())
    }

    fn open(&self, _key: &str, disk: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok(disk.to_vec())
    }
}

/// A key with its value.
#[derive(Debug)]
pub struct Entry<F> {
    /// The key.
    pub key: Arc<str>,
    /// The value.
    pub value: Bytes,
    /// What [`Project`] extracted.
    pub fields: F,
    /// The revision of its creation.
    pub created: Revision,
    /// The revision of its last change.
    pub modified: Revision,
}

/// What must hold for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key is not there.
    Absent,
    /// The key was last modified at this revision.
    Revision(Revision),
    /// Nothing.
    Any,
}

/// What a change does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets the value.
    Put(Bytes),
    /// Removes the key; nothing happens when it is not there.
    Delete,
    /// Only checks what is expected.
    Check,
}

/// A change to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Arc<str>,
    /// What must hold.
    pub expect: Expect,
    /// What is done.
    pub op: Op,
    /// Whether an acknowledgement means that the change survives a crash. Only leases of nodes may do without: such a change may be
    /// lost, its revision is not used again.
    pub durable: bool,
}

/// Why a change was not made.
#[derive(Debug, Clone, Error)]
pub enum CommitError {
    /// What was expected did not hold.
    #[error("{key} is at revision {current:?}, which is not what was expected")]
    Conflict {
        /// The key.
        key: Arc<str>,
        /// Its revision; `None` when it is not there.
        current: Option<Revision>,
    },
    /// The disk did not take it. Nothing was changed; later changes may succeed, for example when a full disk has room again.
    #[error("the change could not be written to disk")]
    Write(#[source] Arc<std::io::Error>),
    /// The value could not be sealed. Nothing was changed.
    #[error("the value of {key} could not be sealed")]
    Seal {
        /// The key.
        key: Arc<str>,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The key or value is larger than a record may be.
    #[error("{key} has a value of {bytes} bytes, more than {max}")]
    TooLarge {
        /// The key.
        key: Arc<str>,
        /// The length of the value.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The disk failed in a way that leaves unknown what it holds: the store takes no more changes until it is opened again.
    #[error("the store has stopped because its disk failed; restart it when the disk is sound")]
    Stopped,
}

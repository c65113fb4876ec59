//! What keeps the log. A backend takes transactions over several keys with preconditions, gives each a revision, and hands the changes
//! to the index in order; etcd can do this as well as our own log.

pub mod embedded;

use std::{future::Future, pin::Pin};

use crate::{Change, CommitError, Revision};

/// Something that keeps the log.
pub trait Backend: Send + Sync {
    /// Makes all changes or none. Resolves after the index shows them.
    fn transact(&self, changes: Vec<Change>) -> Pin<Box<dyn Future<Output = Result<Revision, CommitError>> + Send + '_>>;
}

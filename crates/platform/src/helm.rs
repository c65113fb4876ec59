//! Helm's releases in a cluster: installed, upgraded, rolled back and taken away as Helm 4 does it, over any API.
//!
//! Records are Helm's own Secrets, so Helm and this see and continue each other's releases. It never renders: it is
//! handed what the chart crate rendered.

mod act;
mod cluster;
mod hooks;
mod lease;
mod merge;
mod readiness;
mod ready;
mod store;

pub use act::{
    Applied, Rollback, Taken, Tested, Uninstall, Wish, check_free, clean_up, install, resources, rollback, run_tests, uninstall,
    upgrade,
};
pub use cluster::{Cluster, ClusterError, logs};
pub use readiness::{Readiness, Until, readiness};
pub use store::Store;

/// Why a release does not go as wished; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum HelmError {
    /// The API.
    #[error(transparent)]
    Ask(#[from] ClusterError),
    /// A manifest.
    #[error("unable to build kubernetes objects from release manifest: {0}")]
    ReadManifest(String),
    /// Of this name there is one already.
    #[error("cannot reuse a name that is still in use")]
    ReuseName,
    /// Of this name there is none.
    #[error("release: not found")]
    FindRelease,
    /// None is in force.
    #[error("{0:?} has no deployed releases")]
    FindDeployed(String),
    /// Somebody is at work on it.
    #[error("another operation (install/upgrade/rollback) is in progress")]
    InProgress,
    /// There is no such revision.
    #[error("release has no {0} version")]
    FindRevision(i64),
    /// An object belongs to somebody else.
    #[error("unable to continue with {doing}: {object} exists and cannot be imported into the current release: {why}")]
    Adopt {
        /// `install` or `update`.
        doing: &'static str,
        /// Kind, name and namespace.
        object: String,
        /// What its labels and annotations lack.
        why: String,
    },
    /// A revision that cannot be.
    #[error("invalid release revision")]
    ReadRevision,
    /// None was ever in force.
    #[error("unable to find a previously successful release when attempting to rollback. original upgrade error: {0}")]
    FindSuccess(String),
    /// An object cannot be brought in.
    #[error("{0}")]
    Objects(String),
    /// An object cannot be taken away.
    #[error("failed to delete release: {0}")]
    Delete(String),
    /// A hook.
    #[error("{event}: {why}")]
    RunHook {
        /// What failed.
        event: &'static str,
        /// Why.
        why: String,
    },
    /// Something did not become ready.
    #[error("{0}")]
    Wait(String),
    /// What was rolled back to does not become ready.
    #[error("release {name} failed: {why}")]
    Settle {
        /// The release.
        name: String,
        /// Why.
        why: String,
    },
    /// All was taken away, but not as it should be.
    #[error("uninstallation completed with {count} error(s): {why}")]
    Uninstall {
        /// How many.
        count: usize,
        /// Which.
        why: String,
    },
    /// It failed, and so did undoing it.
    #[error("an error occurred while {undoing}. original {what} error: {why}: {also}")]
    Undo {
        /// What was done about it.
        undoing: &'static str,
        /// What was wished.
        what: &'static str,
        /// Why that failed.
        why: String,
        /// Why undoing it failed.
        also: String,
    },
    /// It failed, and was taken away again.
    #[error("release {name} failed, and has been {undone} due to rollback-on-failure being set: {why}")]
    Undone {
        /// The release.
        name: String,
        /// `uninstalled` or `rolled back`.
        undone: &'static str,
        /// Why.
        why: String,
    },
    /// It is gone already.
    #[error("the release named {0:?} is already deleted")]
    AlreadyDeleted(String),
}

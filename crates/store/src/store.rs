//! The store: a backend below, the index and the watches above.

use std::{path::Path, sync::Arc};

use crate::{
    Change, CommitError, Compacted, OpenError, Project, Revision, RewriteError, Seal, Settings, Snapshot, Watch,
    backend::{
        Backend as _,
        embedded::{BackupError, Embedded},
    },
    index::{Applied, Index},
    watch::Bells,
};

/// Revisioned keys with watch. Clones share one store; it is closed with the last.
pub struct Store<P: Project> {
    // Order matters: the backend ends first, then the bells tell the watches, which find the index gone.
    backend: Arc<Embedded>,
    shared: Arc<Shared<P>>,
}

impl<P: Project> Clone for Store<P> {
    fn clone(&self) -> Self {
        Self { backend: Arc::clone(&self.backend), shared: Arc::clone(&self.shared) }
    }
}

/// What readers and the backend share.
pub(crate) struct Shared<P: Project> {
    pub(crate) index: Arc<Index<P>>,
    bells: Bells,
}

impl<P: Project> Shared<P> {
    /// Makes changes visible and wakes whom they concern.
    pub(crate) fn apply(&self, changes: Vec<Applied>) {
        let events = self.index.apply(changes, &|dropped| self.bells.lose(dropped));
        self.bells.ring(events.iter().map(|event| &*event.entry.key));
    }
}

impl<P: Project> Store<P> {
    /// Opens the store in a folder of its own, which is made when it is not there.
    ///
    /// # Errors
    /// When the folder is in use, from a newer version, damaged, or cannot be read.
    pub async fn open(settings: Settings, project: P, seal: Arc<dyn Seal>) -> Result<Self, OpenError> {
        tokio::task::spawn_blocking(move || Self::open_blocking(settings, project, seal))
            .await
            .unwrap_or(Err(OpenError::Panicked))
    }

    fn open_blocking(settings: Settings, project: P, seal: Arc<dyn Seal>) -> Result<Self, OpenError> {
        let opened = Embedded::load(settings, seal)?;
        let index = Arc::new(Index::new(project, opened.records, opened.revision));
        let shared = Arc::new(Shared { index, bells: Bells::default() });
        let backend = Arc::new(opened.start.start(Arc::clone(&shared))?);
        Ok(Self { backend, shared })
    }

    /// The keys as they are. Takes no lock.
    pub fn snapshot(&self) -> Snapshot<P::Fields> {
        self.shared.index.snapshot()
    }

    /// The keys as they were at `revision`.
    ///
    /// # Errors
    /// When that is no longer kept.
    pub fn snapshot_at(&self, revision: Revision) -> Result<Snapshot<P::Fields>, Compacted> {
        self.shared.index.snapshot_at(revision)
    }

    /// Makes one change. When this returns, it is on disk (if it is durable) and visible to every reader and watcher.
    ///
    /// # Errors
    /// When what was expected does not hold, or the disk did not take it; nothing was changed then.
    pub async fn commit(&self, change: Change) -> Result<Revision, CommitError> {
        self.backend.transact(vec![change]).await
    }

    /// Makes all of these changes or none, at one revision.
    ///
    /// # Errors
    /// As [`Store::commit`], for the first change that cannot be made.
    pub async fn transact(&self, changes: Vec<Change>) -> Result<Revision, CommitError> {
        self.backend.transact(changes).await
    }

    /// The changes under `prefix` after `from`.
    ///
    /// # Errors
    /// When those are no longer kept.
    pub fn watch(&self, prefix: &str, from: Revision) -> Result<Watch<P>, Compacted> {
        self.shared.bells.watch(&self.shared.index, prefix, from)
    }

    /// Forgets the changes up to `revision`. Only for tests and operators: the history is bounded by itself.
    pub fn compact(&self, revision: Revision) {
        self.shared.index.compact(revision, &|dropped| self.shared.bells.lose(dropped));
    }

    /// Writes every value on disk anew, sealed as values are sealed now. When this returns nothing is left that was sealed before.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub async fn rewrite(&self) -> Result<(), RewriteError> {
        self.backend.rewrite().await
    }

    /// Writes everything as it is now into a fresh folder, from which [`crate::restore`] makes a store again.
    ///
    /// # Errors
    /// When the folder is not empty or cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<Revision, BackupError> {
        self.backend.backup(to).await
    }
}

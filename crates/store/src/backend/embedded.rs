//! Our own log: one writer, group commit, a checkpoint now and then.
//!
//! A folder holds `format`, `lock`, the newest `checkpoint-<revision>` and the segments `log-<first revision>` after it. Every
//! segment and checkpoint is a sequence of [`frame`]s.

mod checkpoint;
mod folder;
mod frame;
mod replay;
mod writer;

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use thiserror::Error;
use tokio::sync::oneshot;

use crate::{Change, CommitError, Project, Revision, RewriteError, Seal, SealError, index::Applied, store::Shared};

use super::Backend;

pub use checkpoint::{BackupError, RestoreError, restore};

/// Where the log lies, and how it behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder; made, with mode 0700, when it is not there.
    pub folder: PathBuf,
    /// A checkpoint is written when the log has grown by this many bytes, and by as much as the last checkpoint holds.
    pub checkpoint_bytes: u64,
}

impl Settings {
    /// The usual settings for a folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), checkpoint_bytes: 16 << 20 }
    }
}

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process: stop that one, or name another folder", .0.display())]
    InUse(PathBuf),
    /// A newer version wrote it.
    #[error("{} has format {found:?}, which this version does not know: use the newer version that wrote it", .folder.display())]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// What its `format` file says.
        found: String,
    },
    /// What was acknowledged cannot be read any more.
    #[error("{} is damaged at byte {offset} ({reason}): restore a backup into a fresh folder", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// How it shows.
        reason: &'static str,
    },
    /// A value could not be opened.
    #[error("the value of {key} cannot be opened: check the encryption keys")]
    Unseal {
        /// The key.
        key: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// The file system refused.
    #[error("cannot {attempt} {}", .path.display())]
    File {
        /// What was tried.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The writer's thread could not be started.
    #[error("cannot start the writer")]
    Spawn(#[source] std::io::Error),
    /// Opening panicked, which is a defect of ours.
    #[error("opening the store panicked")]
    Panicked,
}

/// The longest value of one key in bytes. The API bounds its requests far below.
pub const VALUE_MAX: usize = 32 << 20;

/// The embedded log. Its writer ends, and the folder is unlocked, when this is dropped.
pub struct Embedded {
    messages: mpsc::Sender<Message>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer is asked.
enum Message {
    Transact { changes: Vec<Change>, answer: oneshot::Sender<Result<Revision, CommitError>> },
    Backup { to: PathBuf, answer: oneshot::Sender<Result<Revision, BackupError>> },
    Rewrite { answer: oneshot::Sender<Result<(), RewriteError>> },
    Checkpointed { result: Result<checkpoint::Written, std::io::Error> },
    Close,
}

/// What was on disk, and what starts the writer on it.
pub(crate) struct Opened {
    pub(crate) records: Vec<Applied>,
    pub(crate) revision: Revision,
    pub(crate) start: Start,
}

/// Starts the writer once the index is there.
pub(crate) struct Start {
    log: writer::Log,
    seal: Arc<dyn Seal>,
}

impl Embedded {
    /// Reads the folder: the checkpoint, then the log after it; a torn end, which was never acknowledged, is cut off.
    pub(crate) fn load(settings: Settings, seal: Arc<dyn Seal>) -> Result<Opened, OpenError> {
        let folder = folder::Folder::open(&settings.folder)?;
        let replayed = replay::replay(&folder, seal.as_ref())?;
        let revision = replayed.revision;
        let log = writer::Log::new(settings, folder, &replayed)?;
        Ok(Opened { records: replayed.live.into_values().collect(), revision, start: Start { log, seal } })
    }
}

impl Start {
    pub(crate) fn start<P: Project>(self, shared: Arc<Shared<P>>) -> Result<Embedded, OpenError> {
        let (messages, inbox) = mpsc::channel();
        let own = messages.clone();
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer::Writer::new(self.log, self.seal, shared, own).run(&inbox))
            .map_err(OpenError::Spawn)?;
        Ok(Embedded { messages, writer: Some(writer) })
    }
}

impl Embedded {
    fn send(&self, message: Message) -> bool {
        self.messages.send(message).is_ok()
    }

    /// Writes a checkpoint that begins after this call, and waits until it has replaced what was before.
    pub(crate) async fn rewrite(&self) -> Result<(), RewriteError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Rewrite { answer });
        answered.await.unwrap_or(Err(RewriteError::Stopped))
    }

    /// Writes everything as it is into a fresh folder.
    pub(crate) async fn backup(&self, to: &Path) -> Result<Revision, BackupError> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Backup { to: to.to_owned(), answer });
        answered.await.unwrap_or(Err(BackupError::Stopped))
    }
}

impl Backend for Embedded {
    fn transact(&self, changes: Vec<Change>) -> Pin<Box<dyn Future<Output = Result<Revision, CommitError>> + Send + '_>> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Transact { changes, answer });
        Box::pin(async move { answered.await.unwrap_or(Err(CommitError::Stopped)) })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.send(Message::Close);
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported by its thread; every commit since has answered that the store stopped.
            let _ = writer.join();
        }
    }
}

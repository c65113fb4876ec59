//! The writer: one thread that takes what has gathered, writes it as one frame, makes it durable once, and answers everyone.

use std::{
    collections::HashMap,
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::{
    Change, CommitError, Expect, Op, OpenError, Project, Revision, RewriteError, Seal,
    index::{Applied, Snapshot},
    store::Shared,
};

use super::{
    Message, Settings, VALUE_MAX, checkpoint,
    folder::{Folder, private},
    frame::Frame,
    replay::Replayed,
};

/// A group is closed when it holds this many bytes, so that nobody waits for a frame that never ends.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// Revisions are reserved in steps of this many for changes that are not on disk; a crash skips the rest.
const RESERVED_STEP: Revision = 1 << 20;

/// A change, and its sealed value if it goes to the disk.
type Prepared = (Applied, Option<Vec<u8>>);
type Rewritten = oneshot::Sender<Result<(), RewriteError>>;
type Answer = oneshot::Sender<Result<Revision, CommitError>>;

/// The open segment and what is known of the files.
pub(super) struct Log {
    settings: Settings,
    folder: Folder,
    file: File,
    path: PathBuf,
    /// The length of the segment: everything before is on disk.
    length: u64,
    /// The bytes since the last checkpoint.
    grown: u64,
    /// The bytes of the last checkpoint.
    checkpoint: u64,
    /// The last revision given out.
    revision: Revision,
    /// No revision up to here is used again after a crash.
    reserved: Revision,
}

impl Log {
    /// Opens the last segment for writing, or makes the first.
    pub(super) fn new(settings: Settings, folder: Folder, replayed: &Replayed) -> Result<Self, OpenError> {
        let revision = replayed.revision;
        let opened = match &replayed.last_segment {
            Some((path, length)) => private().open(path).map(|file| (path.clone(), file, *length)),
            None => folder.create_segment(revision + 1).map(|(path, file)| (path, file, 0)),
        };
        let (path, mut file, length) =
            opened.map_err(|source| OpenError::File { attempt: "open the log in", path: folder.path().to_owned(), source })?;
        file.seek(SeekFrom::Start(length)).map_err(|source| OpenError::File {
            attempt: "seek in",
            path: path.clone(),
            source,
        })?;
        let (grown, checkpoint) = (replayed.log_bytes, replayed.checkpoint_bytes);
        Ok(Self { settings, folder, file, path, length, grown, checkpoint, revision, reserved: revision })
    }

    /// Appends a frame and makes it durable.
    fn append(&mut self, frame: Frame) -> Result<(), CommitError> {
        let bytes = frame.finish();
        if let Err(source) = self.file.write_all(&bytes) {
            warn!(path = %self.path.display(), error = &source as &dyn std::error::Error, "a write failed; its changes are refused");
            let restored = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            return Err(if restored.is_ok() { CommitError::Write(Arc::new(source)) } else { CommitError::Stopped });
        }
        // After a failed sync nobody knows what the disk holds, and a second sync would lie: stop.
        if let Err(source) = self.file.sync_data() {
            error!(path = %self.path.display(), error = &source as &dyn std::error::Error, "the log could not be made durable");
            return Err(CommitError::Stopped);
        }
        self.length += bytes.len() as u64;
        self.grown += bytes.len() as u64;
        Ok(())
    }
}

/// One group of transactions on its way to the disk.
struct Group {
    frame: Frame,
    applied: Vec<Applied>,
    /// Who waits for what. A refusal waits too: whoever tries again at once must then see what was in the way.
    answers: Vec<(Answer, Result<Revision, CommitError>)>,
    /// What keys will be after this group: created and modified, `None` when removed.
    after: HashMap<Arc<str>, Option<(Revision, Revision)>>,
}

fn refuse(waiting: &mut Vec<Rewritten>, source: std::io::Error) {
    let source = Arc::new(source);
    waiting.drain(..).for_each(|answer| drop(answer.send(Err(RewriteError::Write(Arc::clone(&source))))));
}

/// The writer's thread.
pub(super) struct Writer<P: Project> {
    log: Log,
    seal: Arc<dyn Seal>,
    shared: Arc<Shared<P>>,
    own: mpsc::Sender<Message>,
    stopped: bool,
    /// The checkpoint that is being written.
    checkpointing: Option<JoinHandle<()>>,
    /// Who waits for a checkpoint that has not begun yet, and who for the one that runs.
    waiting: Vec<Rewritten>,
    served: Vec<Rewritten>,
}

impl<P: Project> Writer<P> {
    pub(super) fn new(log: Log, seal: Arc<dyn Seal>, shared: Arc<Shared<P>>, own: mpsc::Sender<Message>) -> Self {
        Self { log, seal, shared, own, stopped: false, checkpointing: None, waiting: Vec::new(), served: Vec::new() }
    }

    /// Serves until the store is dropped.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Message>) {
        let mut held = None;
        while let Some(message) = held.take().or_else(|| inbox.recv().ok()) {
            match message {
                Message::Transact { changes, answer } => {
                    let (group, next) = self.gather(changes, answer, inbox);
                    self.commit(group);
                    held = next;
                }
                Message::Backup { to, answer } => self.backup(to, answer),
                Message::Rewrite { answer } => {
                    self.waiting.push(answer);
                    if self.checkpointing.is_none() {
                        self.checkpoint();
                    }
                }
                Message::Checkpointed { result } => self.checkpointed(result),
                Message::Close => break,
            }
        }
        self.release();
        // Whoever opens the folder next must not find it changing. A panic was reported by its thread.
        if let Some(checkpoint) = self.checkpointing.take() {
            let _ = checkpoint.join();
        }
    }

    /// Takes this transaction and all that wait behind it. Returns the first message that is none.
    fn gather(&mut self, changes: Vec<Change>, answer: Answer, inbox: &mpsc::Receiver<Message>) -> (Group, Option<Message>) {
        let mut group =
            Group { frame: Frame::new(self.log.reserved), applied: Vec::new(), answers: Vec::new(), after: HashMap::new() };
        let snapshot = self.shared.index.snapshot();
        self.admit(&mut group, &snapshot, changes, answer);
        while group.frame.len() < GROUP_BYTES_MAX {
            match inbox.try_recv() {
                Ok(Message::Transact { changes, answer }) => self.admit(&mut group, &snapshot, changes, answer),
                Ok(message) => return (group, Some(message)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    /// Adds a transaction to the group if what it expects holds, or refuses it.
    fn admit(&mut self, group: &mut Group, snapshot: &Snapshot<P::Fields>, changes: Vec<Change>, answer: Answer) {
        if self.stopped {
            let _ = answer.send(Err(CommitError::Stopped));
            return;
        }
        match self.prepare(group, snapshot, changes) {
            Ok(prepared) => {
                let revision = if prepared.is_empty() { self.log.revision } else { self.log.revision + 1 };
                for (applied, sealed) in prepared {
                    group.after.insert(Arc::clone(&applied.key), applied.value.as_ref().map(|_| (applied.created, revision)));
                    if let Some(sealed) = sealed {
                        let value = applied.value.is_some().then_some(sealed.as_slice());
                        group.frame.push(&applied.key, value, applied.created, revision);
                    }
                    group.applied.push(applied);
                }
                self.log.revision = revision;
                group.answers.push((answer, Ok(revision)));
            }
            Err(refused) => group.answers.push((answer, Err(refused))),
        }
    }

    /// What the changes do, with the bytes for the disk where they go there; nothing is kept of a transaction that is refused.
    fn prepare(&self, group: &Group, snapshot: &Snapshot<P::Fields>, changes: Vec<Change>) -> Result<Vec<Prepared>, CommitError> {
        let revision = self.log.revision + 1;
        let mut prepared = Vec::with_capacity(changes.len());
        for Change { key, expect, op, durable } in changes {
            let current = match group.after.get(&key) {
                Some(state) => *state,
                None => snapshot.get(&key).map(|entry| (entry.created, entry.modified)),
            };
            let holds = match expect {
                Expect::Absent => current.is_none(),
                Expect::Revision(expected) => current.is_some_and(|(_, modified)| modified == expected),
                Expect::Any => true,
            };
            if !holds {
                return Err(CommitError::Conflict { key, current: current.map(|(_, modified)| modified) });
            }
            let created = current.map_or(revision, |(created, _)| created);
            match op {
                Op::Put(value) => {
                    if value.len() > VALUE_MAX || key.len() > VALUE_MAX {
                        return Err(CommitError::TooLarge { bytes: value.len(), max: VALUE_MAX, key });
                    }
                    let sealed = durable.then(|| self.seal.seal(&key, &value)).transpose();
                    let sealed = sealed.map_err(|source| CommitError::Seal { key: Arc::clone(&key), source })?;
                    prepared.push((Applied { key, value: Some(value), created, revision }, sealed));
                }
                Op::Delete if current.is_some() => {
                    prepared.push((Applied { key, value: None, created, revision }, durable.then(Vec::new)));
                }
                Op::Delete | Op::Check => {}
            }
        }
        Ok(prepared)
    }

    /// Writes the group, shows it, answers everyone in it.
    fn commit(&mut self, mut group: Group) {
        let beyond = self.log.revision > self.log.reserved;
        let written = if group.frame.is_empty() && !beyond {
            Ok(())
        } else {
            // What is not on disk needs its revisions reserved there; what is, carries its own.
            let unwritten = group.frame.is_empty();
            let reserved = if unwritten { self.log.revision + RESERVED_STEP } else { self.log.reserved.max(self.log.revision) };
            group.frame.set_reserved(reserved);
            self.log.append(group.frame).inspect(|()| self.log.reserved = reserved)
        };
        if let Err(refused) = written {
            self.stopped |= matches!(refused, CommitError::Stopped);
            for (answer, outcome) in group.answers {
                let _ = answer.send(outcome.and_then(|_| Err(refused.clone())));
            }
            return;
        }
        self.shared.apply(group.applied);
        for (answer, outcome) in group.answers {
            // Whoever asked may be gone; then nobody needs the answer.
            let _ = answer.send(outcome);
        }
        if self.checkpointing.is_none() && self.log.grown > self.log.settings.checkpoint_bytes.max(self.log.checkpoint) {
            self.checkpoint();
        }
    }

    /// Begins a new segment, and writes everything before it as a checkpoint on a thread of its own.
    fn checkpoint(&mut self) {
        let snapshot = self.shared.index.snapshot();
        let (path, file) = match self.log.folder.create_segment(self.log.revision + 1) {
            Ok(created) => created,
            Err(source) => {
                warn!(error = &source as &dyn std::error::Error, "no checkpoint: a new segment cannot be made");
                return refuse(&mut self.waiting, source);
            }
        };
        (self.log.path, self.log.file, self.log.length, self.log.grown) = (path, file, 0, 0);
        let (folder, reserved) = (self.log.folder.path().to_owned(), self.log.reserved);
        let (seal, own) = (Arc::clone(&self.seal), self.own.clone());
        let work = move || {
            let result = checkpoint::write(&folder, &snapshot, reserved, seal.as_ref());
            let _ = own.send(Message::Checkpointed { result });
        };
        match std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(work) {
            Ok(thread) => {
                self.checkpointing = Some(thread);
                self.served = std::mem::take(&mut self.waiting);
            }
            Err(source) => {
                warn!(error = &source as &dyn std::error::Error, "no checkpoint: its thread cannot be started");
                refuse(&mut self.waiting, source);
            }
        }
    }

    /// Removes what the new checkpoint replaces.
    fn checkpointed(&mut self, result: Result<checkpoint::Written, std::io::Error>) {
        self.checkpointing = None;
        let removed = result.and_then(|written| {
            self.log.checkpoint = written.bytes;
            let segments = self
                .log
                .folder
                .segments()?
                .into_iter()
                .filter(|(first, path)| *first <= written.revision && *path != self.log.path);
            let older = self.log.folder.checkpoints()?.into_iter().filter(|(revision, _)| *revision < written.revision);
            segments.chain(older).try_for_each(|(_, path)| std::fs::remove_file(path))
        });
        match removed {
            Ok(()) => self.served.drain(..).for_each(|answer| drop(answer.send(Ok(())))),
            Err(source) => {
                warn!(
                    error = &source as &dyn std::error::Error,
                    "the checkpoint failed; the log is kept and the next one tries again"
                );
                refuse(&mut self.served, source);
            }
        }
        if !self.waiting.is_empty() {
            self.checkpoint();
        }
    }

    fn backup(&self, to: PathBuf, answer: oneshot::Sender<Result<Revision, super::BackupError>>) {
        let (snapshot, seal, reserved) =
            (self.shared.index.snapshot(), Arc::clone(&self.seal), self.log.reserved.max(self.log.revision));
        let work = move || {
            let result = checkpoint::backup(&to, &snapshot, reserved, seal.as_ref());
            let _ = answer.send(result);
        };
        // When no thread can be started the answer is dropped, which says that the store stopped.
        let _ = std::thread::Builder::new().name("store-backup".to_owned()).spawn(work);
    }

    /// At a clean end the revisions that were reserved but not used are free again.
    fn release(&mut self) {
        if !self.stopped && self.log.reserved > self.log.revision {
            let mut frame = Frame::new(self.log.revision);
            frame.set_reserved(self.log.revision);
            let _ = self.log.append(frame);
        }
    }
}

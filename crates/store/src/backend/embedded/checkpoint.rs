//! Checkpoints, backups and their return: everything at one revision, in one file of frames.

use std::{
    fs,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{OpenError, Revision, Seal, Snapshot};

use super::{
    folder::{self, Folder},
    frame::Frame,
    replay,
};

/// A frame of a checkpoint is closed at this many bytes.
const FRAME_BYTES: usize = 1 << 20;

/// A checkpoint that was written.
pub(super) struct Written {
    pub(super) revision: Revision,
    pub(super) bytes: u64,
}

/// Why a backup was not made.
#[derive(Debug, Error)]
pub enum BackupError {
    /// A backup never overwrites.
    #[error("{} is not empty: name a fresh folder", .0.display())]
    NotEmpty(PathBuf),
    /// The file system refused.
    #[error("cannot write the backup to {}", .path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store has stopped.
    #[error("the store has stopped")]
    Stopped,
}

/// Why a backup was not restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The backup cannot be read.
    #[error("the backup cannot be read")]
    Read(#[source] OpenError),
    /// There is no backup.
    #[error("{} holds no backup", .0.display())]
    Missing(PathBuf),
    /// The copy failed.
    #[error("the backup cannot be copied")]
    Copy(#[source] BackupError),
    /// The file system refused.
    #[error("cannot copy {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Writes a checkpoint beside the log; after a crash it is there whole or not at all.
pub(super) fn write<F>(path: &Path, snapshot: &Snapshot<F>, reserved: Revision, seal: &dyn Seal) -> std::io::Result<Written> {
    let revision = snapshot.revision();
    let passing = path.join("checkpoint.new");
    let result = fill(&passing, snapshot, reserved, seal).and_then(|bytes| {
        fs::rename(&passing, path.join(format!("checkpoint-{revision:020}")))?;
        folder::sync(path)?;
        Ok(Written { revision, bytes })
    });
    if result.is_err() {
        // A half-written one only takes room; the next overwrites it.
        let _ = fs::remove_file(&passing);
    }
    result
}

fn fill<F>(path: &Path, snapshot: &Snapshot<F>, reserved: Revision, seal: &dyn Seal) -> std::io::Result<u64> {
    let file = folder::private().create(true).truncate(true).open(path)?;
    let mut output = BufWriter::with_capacity(FRAME_BYTES, file);
    let mut bytes = 0;
    let mut frame = Frame::new(reserved);
    for entry in snapshot.range("", None) {
        let sealed = seal.seal(&entry.key, &entry.value).map_err(std::io::Error::other)?;
        frame.push(&entry.key, Some(&sealed), entry.created, entry.modified);
        if frame.len() > FRAME_BYTES {
            let full = std::mem::replace(&mut frame, Frame::new(reserved)).finish();
            bytes += full.len() as u64;
            output.write_all(&full)?;
        }
    }
    // The empty frame at the end tells a whole checkpoint from one that was cut between two frames.
    let ending = if frame.is_empty() { vec![frame] } else { vec![frame, Frame::new(reserved)] };
    for frame in ending {
        let last = frame.finish();
        bytes += last.len() as u64;
        output.write_all(&last)?;
    }
    output.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    Ok(bytes)
}

/// Writes a backup: a folder that holds one checkpoint and nothing else.
pub(super) fn backup<F>(to: &Path, snapshot: &Snapshot<F>, reserved: Revision, seal: &dyn Seal) -> Result<Revision, BackupError> {
    let failed = |source| BackupError::Write { path: to.to_owned(), source };
    require_empty(to)?;
    fs::create_dir_all(to).map_err(failed)?;
    let written = write(to, snapshot, reserved, seal).map_err(failed)?;
    Ok(written.revision)
}

fn require_empty(folder: &Path) -> Result<(), BackupError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().map_or(Ok(()), |_| Err(BackupError::NotEmpty(folder.to_owned()))),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(BackupError::Write { path: folder.to_owned(), source }),
    }
}

/// Makes a store's folder of a backup. The backup is read whole first, so that a damaged one is found now and not at the next start.
///
/// # Errors
/// When the backup is damaged or `to` is not empty; `to` is left as it was then.
pub fn restore(from: &Path, to: &Path, seal: &dyn Seal) -> Result<Revision, RestoreError> {
    let read = |source| RestoreError::File { path: from.to_owned(), source };
    let (_, checkpoint) = newest(from).map_err(read)?.ok_or_else(|| RestoreError::Missing(from.to_owned()))?;
    let revision = replay::check(&checkpoint, seal).map_err(RestoreError::Read)?;
    require_empty(to).map_err(RestoreError::Copy)?;
    let folder = Folder::open(to).map_err(RestoreError::Read)?;
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = fs::read(&checkpoint).map_err(read)?;
    folder::write_whole(folder.path(), &name, &bytes).map_err(|source| RestoreError::File { path: to.join(&name), source })?;
    Ok(revision)
}

fn newest(folder: &Path) -> std::io::Result<Option<(Revision, PathBuf)>> {
    let mut found: Vec<(Revision, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(revision) = name.to_str().and_then(|name| name.strip_prefix("checkpoint-")?.parse().ok()) {
            found.push((revision, entry.path()));
        }
    }
    found.sort();
    Ok(found.pop())
}

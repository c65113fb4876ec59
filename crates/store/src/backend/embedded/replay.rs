//! What the folder holds: the newest checkpoint and the log after it, joined.

use std::{
    collections::BTreeMap,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::warn;

use crate::{Revision, Seal, index::Applied};

use super::{
    OpenError,
    folder::{Folder, private},
    frame::{self, Found, Frames, Record},
};

/// What was replayed.
#[derive(Default)]
pub(super) struct Replayed {
    pub(super) live: BTreeMap<Arc<str>, Applied>,
    /// The last revision that may have been given out.
    pub(super) revision: Revision,
    /// What the last frame reserved.
    reserved: Revision,
    /// Whether the last frame was an empty one, as a checkpoint's last is.
    ended: bool,
    /// The last segment and its length; `None` in a fresh folder.
    pub(super) last_segment: Option<(PathBuf, u64)>,
    /// The bytes of the log since the checkpoint.
    pub(super) log_bytes: u64,
    /// The bytes of the checkpoint.
    pub(super) checkpoint_bytes: u64,
}

/// Reads everything. A torn end of the last segment is cut off; damage anywhere else is an error.
pub(super) fn replay(folder: &Folder, seal: &dyn Seal) -> Result<Replayed, OpenError> {
    let listed = |source| OpenError::File { attempt: "list", path: folder.path().to_owned(), source };
    let mut replayed = Replayed::default();
    let mut from = 0;
    if let Some((revision, path)) = folder.checkpoints().map_err(listed)?.pop() {
        replayed.checkpoint_bytes = read_checkpoint(&mut replayed, &path, seal)?;
        replayed.revision = replayed.revision.max(revision);
        from = revision;
    }
    let segments = folder.segments().map_err(listed)?;
    let count = segments.len();
    for (number, (_, path)) in segments.into_iter().enumerate() {
        let length = read(&mut replayed, &path, from, number + 1 == count, seal)?;
        replayed.log_bytes += length;
        replayed.last_segment = Some((path, length));
    }
    replayed.revision = replayed.revision.max(replayed.reserved);
    Ok(replayed)
}

/// Reads a checkpoint only to see that it is whole. Returns its revision.
pub(super) fn check(path: &Path, seal: &dyn Seal) -> Result<Revision, OpenError> {
    let mut replayed = Replayed::default();
    read_checkpoint(&mut replayed, path, seal)?;
    Ok(replayed.revision)
}

fn read_checkpoint(replayed: &mut Replayed, path: &Path, seal: &dyn Seal) -> Result<u64, OpenError> {
    let offset = read(replayed, path, 0, false, seal)?;
    if !replayed.ended {
        return Err(OpenError::Damaged { path: path.to_owned(), offset, reason: "the checkpoint has no end" });
    }
    Ok(offset)
}

/// Reads one file into `replayed`, without records up to `from`. Returns the length of what is sound.
fn read(replayed: &mut Replayed, path: &Path, from: Revision, may_be_torn: bool, seal: &dyn Seal) -> Result<u64, OpenError> {
    let failed = |attempt| move |source| OpenError::File { attempt, path: path.to_owned(), source };
    let mut frames = Frames::new(BufReader::with_capacity(1 << 20, File::open(path).map_err(failed("open"))?));
    loop {
        match frames.next().map_err(failed("read"))? {
            Found::Frame { reserved, records } => {
                replayed.reserved = reserved;
                replayed.ended = records.is_empty();
                for record in records.into_iter().filter(|record| record.revision > from) {
                    apply(replayed, record, seal)?;
                }
            }
            Found::End => return Ok(frames.offset),
            Found::Torn { rest, .. } if may_be_torn && !frame::holds_a_frame(&rest) => {
                warn!(path = %path.display(), offset = frames.offset, bytes = rest.len(), "an unfinished write at the end of the log was cut off");
                let file = private().open(path).map_err(failed("open"))?;
                file.set_len(frames.offset).and_then(|()| file.sync_all()).map_err(failed("shorten"))?;
                return Ok(frames.offset);
            }
            Found::Torn { reason, .. } => {
                return Err(OpenError::Damaged { path: path.to_owned(), offset: frames.offset, reason });
            }
        }
    }
}

fn apply(replayed: &mut Replayed, record: Record, seal: &dyn Seal) -> Result<(), OpenError> {
    let Record { key, value, created, revision } = record;
    replayed.revision = replayed.revision.max(revision);
    let Some(sealed) = value else {
        replayed.live.remove(key.as_str());
        return Ok(());
    };
    let value = seal.open(&key, &sealed).map_err(|source| OpenError::Unseal { key: key.clone(), source })?;
    let key: Arc<str> = key.into();
    replayed.live.insert(Arc::clone(&key), Applied { key, value: Some(value.into()), created, revision });
    Ok(())
}

//! The folder of the log: its lock, its format, the names in it, and writes of its entries that survive a crash.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::Revision;

use super::OpenError;

/// What `format` says. Another number is another layout.
const FORMAT: &str = "coracle-store 1\n";

/// The folder, locked as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes or opens the folder and locks it against other processes.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let file = |attempt, path: &Path, source| OpenError::File { attempt, path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| file("make the folder", path, source))?;
        let lock_path = path.join("lock");
        let lock = private().create(true).truncate(false).open(&lock_path).map_err(|source| file("open", &lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(file("lock", &lock_path, source)),
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.check_format()?;
        Ok(folder)
    }

    fn check_format(&self) -> Result<(), OpenError> {
        let path = self.path.join("format");
        let file = |attempt, source| OpenError::File { attempt, path: path.clone(), source };
        match fs::read_to_string(&path) {
            Ok(found) if found == FORMAT => Ok(()),
            Ok(found) => Err(OpenError::Newer { folder: self.path.clone(), found: found.trim_end().to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                write_whole(&self.path, "format", FORMAT.as_bytes()).map_err(|source| file("write", source))
            }
            Err(source) => Err(file("read", source)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The segments, oldest first, with their first revision.
    pub(super) fn segments(&self) -> std::io::Result<Vec<(Revision, PathBuf)>> {
        self.numbered("log-")
    }

    /// The checkpoints, oldest first, with their revision.
    pub(super) fn checkpoints(&self) -> std::io::Result<Vec<(Revision, PathBuf)>> {
        self.numbered("checkpoint-")
    }

    fn numbered(&self, prefix: &str) -> std::io::Result<Vec<(Revision, PathBuf)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some(revision) = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok()) {
                found.push((revision, entry.path()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// A new segment, known to the folder even after a crash.
    pub(super) fn create_segment(&self, first: Revision) -> std::io::Result<(PathBuf, File)> {
        let path = self.path.join(format!("log-{first:020}"));
        let file = private().create(true).truncate(true).open(&path)?;
        sync(&self.path)?;
        Ok((path, file))
    }
}

/// Options for a file that only its owner may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a whole file under a passing name, then gives it its own: after a crash it is there whole or not at all.
pub(super) fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let passing = folder.join(format!("{name}.new"));
    let mut file = private().create(true).truncate(true).open(&passing)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&passing, folder.join(name))?;
    sync(folder)
}

//! Files of the key folder: written whole or not at all, readable by their owner alone.

use super::PkiError;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes the folder with mode 0700, or sets that mode on an existing one.
pub(super) fn prepare_folder(path: &Path) -> Result<(), PkiError> {
    let failed = |source| PkiError::PrepareFolder { path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Reads a file that may be missing.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PkiError::ReadFile { path: path.to_owned(), source }),
    }
}

/// Writes a file by rename, mode 0600, on disk before this returns.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), PkiError> {
    replace(path, content).map_err(|source| PkiError::WriteFile { path: path.to_owned(), source })
}

fn replace(path: &Path, content: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

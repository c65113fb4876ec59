//! Device files: the six that every program expects, those that were asked for, or all of the host's for a privileged container.

use std::{
    fs, io,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    path::Path,
};

use rustix::{
    fs::{FileType, Gid, Mode, Uid, chownat, makedev, mknodat, symlinkat},
    io::Errno,
};

use super::place;
use crate::{
    container::ContainerSpec,
    process::{Attempt as _, Failure},
};

/// Name, major and minor number of what every container has.
pub(crate) const STANDARD: &[(&str, u32, u32)] =
    &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// What a privileged container has of its own instead of the host's.
const OWN: &[&str] = &["pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "core", "ptmx", "console"];

/// Fills `/dev`.
pub(super) fn make(root: &OwnedFd, spec: &ContainerSpec) -> Result<(), Failure> {
    let dev = place::find(root, "/dev").attempt("find /dev")?;
    for (name, major, minor) in STANDARD {
        let mode = Mode::from_raw_mode(0o666);
        mknodat(&dev, *name, FileType::CharacterDevice, mode, makedev(*major, *minor))
            .attempt(format_args!("make /dev/{name}"))?;
    }
    for (name, target) in LINKS {
        symlinkat(*target, &dev, *name).attempt(format_args!("link /dev/{name}"))?;
    }
    for device in &spec.devices {
        copy(root, &device.source, &device.target).attempt(format_args!("make device {}", device.target))?;
    }
    if spec.privileged {
        all(root, Path::new("/dev"), "/dev", 0);
    }
    Ok(())
}

/// Every device of the host; one that goes away meanwhile does not matter.
fn all(root: &OwnedFd, folder: &Path, target: &str, depth: u32) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else { continue };
        if depth == 0 && OWN.contains(&name) {
            continue;
        }
        let target = format!("{target}/{name}");
        if kind.is_dir() && depth < 4 {
            all(root, &entry.path(), &target, depth + 1);
        } else if kind.is_char_device() || kind.is_block_device() {
            let _ = copy(root, &entry.path(), &target);
        }
    }
}

fn copy(root: &OwnedFd, source: &Path, target: &str) -> io::Result<()> {
    let found = fs::metadata(source)?;
    let kind = if found.file_type().is_block_device() { FileType::BlockDevice } else { FileType::CharacterDevice };
    let path = Path::new(target);
    let (Some(parent), Some(name)) = (path.parent().and_then(Path::to_str), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = place::make_folder(root, parent)?;
    match mknodat(&parent, name, kind, Mode::from_raw_mode(found.mode() & 0o777), found.rdev()) {
        Ok(()) => {
            let owner = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
            Ok(chownat(&parent, name, Some(owner.0), Some(owner.1), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?)
        }
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

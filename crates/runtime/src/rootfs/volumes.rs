//! What the owner of a container mounts into it.

use std::{fs, os::fd::OwnedFd};

use rustix::mount::MountFlags;

use super::place;
use crate::{
    container::{Mount, Propagation, Tmpfs},
    process::{Attempt as _, Failure},
};

/// Copies the sources of two-way mounts while this process still shares mounts with the host: a copy stays in that company.
pub(super) fn take_shared(mounts: &[Mount]) -> Result<Vec<Option<OwnedFd>>, Failure> {
    let copy = |mount: &Mount| match mount.propagation {
        Propagation::Bidirectional => place::copy_tree(&mount.source, true).attempt(what(mount)).map(Some),
        Propagation::Private | Propagation::HostToContainer => Ok(None),
    };
    mounts.iter().map(copy).collect()
}

fn what(mount: &Mount) -> String {
    format!("mount {} at {}", mount.source.display(), mount.target)
}

/// Binds each in its order.
pub(super) fn mount(root: &OwnedFd, mounts: &[Mount], shared: Vec<Option<OwnedFd>>) -> Result<(), Failure> {
    for (mount, shared) in mounts.iter().zip(shared) {
        let tree = match shared {
            Some(tree) => tree,
            None => place::copy_tree(&mount.source, true).attempt(what(mount))?,
        };
        if mount.propagation == Propagation::Private {
            place::set_attributes(&tree, 0, place::PRIVATE, true).attempt(what(mount))?;
        } else if mount.propagation == Propagation::HostToContainer {
            place::set_attributes(&tree, 0, place::SLAVE, true).attempt(what(mount))?;
        }
        if mount.read_only {
            place::set_attributes(&tree, place::READ_ONLY, 0, mount.recursive_read_only).attempt(what(mount))?;
        }
        let is_folder = fs::metadata(&mount.source).attempt(what(mount))?.is_dir();
        let make = if is_folder { place::make_folder } else { place::make_file };
        let target = make(root, &mount.target).attempt(what(mount))?;
        place::attach(&tree, &target).attempt(what(mount))?;
    }
    Ok(())
}

/// Memory file systems of the container's own.
pub(super) fn mount_tmpfs(root: &OwnedFd, list: &[Tmpfs]) -> Result<(), Failure> {
    for tmpfs in list {
        let place = place::make_folder(root, &tmpfs.target).attempt(format_args!("make {}", tmpfs.target))?;
        let options = std::ffi::CString::new(tmpfs.options.as_str()).attempt("read mount options")?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", place::path(&place), "tmpfs", flags, options.as_c_str())
            .attempt(format_args!("mount {}", tmpfs.target))?;
    }
    Ok(())
}

//! The layers of an image with a writable one on top. Layers are shared by all containers of the machine and never written.

use std::{io, os::fd::OwnedFd, path::Path};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};

use super::place;
use crate::{
    image::Image,
    process::{Attempt as _, Failure},
};

/// Mounts the image with the writable `layer` on `folder/root` and returns the open top.
pub(super) fn mount(image: &Image, fill: Option<&Path>, folder: &Path, layer: &Path) -> Result<OwnedFd, Failure> {
    let root = open(image, fill, folder, layer).attempt("mount the layers")?;
    let place =
        rustix::fs::open(folder.join("root"), rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
            .attempt("open the root")?;
    place::attach(&root, &place).attempt("mount the root")?;
    Ok(root)
}

/// The layers over each other, mounted nowhere yet: the image, what fills it up, and the writable one. `folder` has an empty one, for an image
/// without any. Each layer is named by itself, so neither their number nor a colon in a path matters; older kernels want them in one word.
pub(super) fn open(image: &Image, fill: Option<&Path>, folder: &Path, layer: &Path) -> io::Result<OwnedFd> {
    let layers: Vec<&Path> = fill.into_iter().chain(image.layers.iter().rev().map(AsRef::as_ref)).collect();
    match attempt(&layers, folder, layer, true) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => attempt(&layers, folder, layer, false),
        done => done,
    }
}

fn attempt(layers: &[&Path], folder: &Path, writable: &Path, one_by_one: bool) -> io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let empty = folder.join("empty");
    let layers = if layers.is_empty() { &[empty.as_path()][..] } else { layers };
    if one_by_one {
        for layer in layers {
            fsconfig_set_string(&context, "lowerdir+", *layer)?;
        }
    } else {
        let joined: Vec<_> = layers.iter().map(|layer| layer.to_string_lossy()).collect();
        fsconfig_set_string(&context, "lowerdir", joined.join(":"))?;
    }
    fsconfig_set_string(&context, "upperdir", writable.join("upper"))?;
    fsconfig_set_string(&context, "workdir", writable.join("work"))?;
    // The writable layer does not outlive the machine's power: nothing in it is worth waiting for the disk.
    fsconfig_set_flag(&context, "volatile")?;
    fsconfig_create(&context)?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

//! A container's root file system: its layers, who is who in it, and what is mounted on it. Built by the child in a mount namespace of its
//! own, by open files and never by a path that the image could bend; nothing of it shows on the host.

mod devices;
pub(crate) mod fill;
mod kernel;
mod overlay;
pub(crate) mod place;
mod users;
mod volumes;

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    mount::{MountPropagationFlags, UnmountFlags},
};

pub use users::{UserError, resolve_user};

use crate::{
    plan::Plan,
    process::{Attempt as _, Failure},
};

/// Builds the whole root of a container in this process's mount namespace, and returns its open top.
pub(crate) fn build(plan: &Plan, pod: &Path, folder: &Path) -> Result<OwnedFd, Failure> {
    let spec = &plan.container;
    let shared = volumes::take_shared(&spec.mounts)?;
    rustix::mount::mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .attempt("set the propagation of mounts")?;
    let root = overlay::mount(&spec.image, plan.fill.as_deref(), folder, &plan.layer)?;
    kernel::mount(&root, plan, pod)?;
    devices::make(&root, spec)?;
    volumes::mount_tmpfs(&root, &spec.tmpfs)?;
    volumes::mount(&root, &spec.mounts, shared)?;
    let working_dir = spec.working_dir.as_deref().unwrap_or(&spec.image.config.working_dir);
    if !working_dir.is_empty() {
        // A file of that name is reported when the program is to start there.
        let _ = place::make_folder(&root, working_dir);
    }
    kernel::mask(&root, spec)?;
    Ok(root)
}

/// Makes `root` the root of this process, and lets the old one go.
pub(crate) fn enter(root: OwnedFd, read_only: bool) -> Result<(), Failure> {
    if read_only {
        place::set_attributes(&root, place::READ_ONLY, 0, false).attempt("make the root read-only")?;
    }
    let old = own_root().attempt("open the old root")?;
    rustix::process::fchdir(&root).attempt("enter the root")?;
    drop(root);
    rustix::process::pivot_root(".", ".").attempt("change the root")?;
    // The old root now lies over the new one; what happens to it must not reach the host.
    rustix::process::fchdir(&old).attempt("return to the old root")?;
    let apart = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change(".", apart).attempt("part from the host's mounts")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).attempt("let the old root go")?;
    std::env::set_current_dir("/").attempt("enter the root")
}

/// The root of this process.
pub(crate) fn own_root() -> io::Result<OwnedFd> {
    Ok(open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Binds the terminal as `/dev/console`.
pub(crate) fn bind_console(root: &OwnedFd, terminal: &crate::process::streams::Terminal) -> Result<(), Failure> {
    let console = place::make_file(root, "/dev/console").attempt("make /dev/console")?;
    let source = format!("/proc/self/fd/{}", terminal.slave.as_raw_fd());
    rustix::mount::mount_bind(source, place::path(&console)).attempt("bind /dev/console")
}

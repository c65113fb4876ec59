//! The first line of `main`: this binary is also the supervisor of a pod and the keeper of a machine. Never returns in such a process.

mod allocator;

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub use allocator::Allocator;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
static SEALED: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// Runs the role that the first argument names, if it is one of ours, and exits. Call it before any thread or allocator is set up.
pub fn branch() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(role) = arguments.next() else { return };
    let code = if role == crate::supervise::ROLE {
        let Some(dir) = arguments.next() else { return };
        let join = arguments.next().and_then(|pid| pid.to_str()?.parse().ok());
        crate::supervise::main(Path::new(&dir), join)
    } else if role == crate::keeper::ROLE {
        let Some(socket) = arguments.next() else { return };
        crate::keeper::main(Path::new(&socket))
    } else {
        return;
    };
    // SAFETY: ends the process; nothing was started in it that needs an orderly end.
    unsafe { libc::_exit(code) }
}

/// Names the program that is executed as supervisor or keeper, for a process whose own `main` does not call [`branch`], as tests.
pub fn use_program(path: PathBuf) {
    let _ = PROGRAM.set(path);
}

/// What to execute for one of the roles. What runs near a container is never the file on disk: a container that finds a way to
/// the program of its supervisor must not be able to write it, so it is seen through a mount that is read-only and attached nowhere.
pub(crate) fn program() -> PathBuf {
    let path = unsealed_program();
    match SEALED.get_or_init(|| seal(&path).or_else(|_| copy(&path)).ok()) {
        Some(file) => PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())),
        None => path,
    }
}

/// The same without the seal, for a role that no container comes near.
pub(crate) fn unsealed_program() -> PathBuf {
    PROGRAM.get().cloned().unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

fn seal(path: &Path) -> io::Result<OwnedFd> {
    let file = crate::rootfs::place::copy_tree(path, false)?;
    crate::rootfs::place::set_attributes(&file, crate::rootfs::place::READ_ONLY, 0, false)?;
    Ok(file)
}

/// Where mounts may not be made, or the file has been replaced since: a copy in memory that nobody can write.
fn copy(path: &Path) -> io::Result<OwnedFd> {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let file = memfd_create("coracle", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut to = std::fs::File::from(file);
    io::copy(&mut std::fs::File::open(path)?, &mut to)?;
    fcntl_add_seals(&to, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(to.into())
}

//! Makes the processes that become containers and execs: one `clone3` each, with a socket on which the new process says how far it came.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// A new process, as its parent holds it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its number in the supervisor's process namespace.
    pub pid: i32,
    /// A handle that never means another process.
    pub pidfd: OwnedFd,
    /// Where it reports; ends when its program is executed.
    pub status: OwnedFd,
}

#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Clones this single-threaded process into new namespaces (`flags`), straight into a v2 cgroup if one is given, and runs `body` there.
/// `body` gets the status socket, executes a program or returns; when it returns, the process ends.
pub(crate) fn clone_into(flags: i32, cgroup: Option<RawFd>, body: impl FnOnce(&OwnedFd)) -> io::Result<Child> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut pidfd: RawFd = -1;
    let mut arguments = CloneArguments {
        flags: u64::from(flags.cast_unsigned()) | libc::CLONE_PIDFD.cast_unsigned() as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        ..CloneArguments::default()
    };
    if let Some(cgroup) = cgroup {
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = u64::from(cgroup.cast_unsigned());
    }
    // SAFETY: without CLONE_VM this is a fork; the caller has one thread, so no lock is held by another one in the copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut arguments, size_of::<CloneArguments>()) };
    match pid {
        0 => {
            drop(ours);
            body(&theirs);
            // SAFETY: ends the copy without running the parent's exit handlers.
            unsafe { libc::_exit(255) }
        }
        pid if pid > 0 => {
            // SAFETY: the kernel has just stored a new descriptor here, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = i32::try_from(pid).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            Ok(Child { pid, pidfd, status: ours })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Moves a process into the cgroups whose `cgroup.procs` are open here; one that is gone does not matter.
pub(crate) fn move_into(cgroups: &[OwnedFd], pid: i32) {
    let mut text = itoa(pid);
    text.push('\n');
    for file in cgroups {
        let _ = rustix::io::write(file, text.as_bytes());
    }
}

fn itoa(number: i32) -> String {
    number.to_string()
}

/// Whether this open file is a folder, that is: a v2 cgroup to clone into.
pub(crate) fn is_folder(file: &OwnedFd) -> bool {
    rustix::fs::fstat(file).is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// The raw number of a cgroup folder among the files, if one is there.
pub(crate) fn cgroup_folder(files: &[OwnedFd]) -> Option<RawFd> {
    files.iter().find(|file| is_folder(file)).map(AsRawFd::as_raw_fd)
}

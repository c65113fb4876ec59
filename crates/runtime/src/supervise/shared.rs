//! What the containers of a pod share, and the supervisor's own withdrawal from where it was started.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, open},
    process::{DumpableBehavior, set_child_subreaper, set_dumpable_behavior, setsid},
    thread::{LinkNameSpaceType, move_into_link_name_space, set_name},
};

use crate::pod::{Network, PodSpec};

/// Leaves the agent's session and its open files, and takes in orphans.
pub(super) fn withdraw() -> io::Result<()> {
    let _ = setsid();
    let _ = set_name(c"coracle-pod");
    set_child_subreaper(Some(rustix::process::getpid()))?;
    // Nobody else may look into a process that is about to become a container.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    std::env::set_current_dir("/")?;
    // SAFETY: nothing in this process has opened a descriptor above the standard ones yet.
    unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
    Ok(())
}

/// Blocks every signal, and returns where those of ended children are read.
pub(super) fn block_signals() -> io::Result<OwnedFd> {
    use nix::sys::{
        signal::{SigSet, SigmaskHow, Signal, sigprocmask},
        signalfd::{SfdFlags, SignalFd},
    };
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    Ok(SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?.into())
}

/// Opens for its place alone.
pub(super) fn open_path(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    let flags = if path.as_ref().starts_with("/proc") { OFlags::RDONLY } else { OFlags::PATH | OFlags::DIRECTORY };
    Ok(open(path.as_ref(), flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: a plain call on this single-threaded process; no flag here shares or copies memory.
    if unsafe { libc::unshare(flags) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn enter(path: &str, kind: LinkNameSpaceType) -> io::Result<()> {
    Ok(move_into_link_name_space(open_path(path)?.as_fd(), Some(kind))?)
}

/// Makes the pod's namespaces around this process; returns the process that is the first of a shared process namespace, or 0.
pub(super) fn make(spec: &PodSpec) -> Result<i32, String> {
    let failed = |what: String, error: io::Error| format!("{what}: {error}");
    let mut flags = libc::CLONE_NEWUTS;
    if !spec.host_ipc {
        flags |= libc::CLONE_NEWIPC;
    }
    match &spec.network {
        Network::Host => {}
        Network::New => flags |= libc::CLONE_NEWNET,
        Network::Namespace(path) => {
            let path = path.to_string_lossy();
            let place = open(path.as_ref(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let entered = place.and_then(|place| move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)));
            entered.map_err(|error| failed(format!("enter network namespace {path}"), error.into()))?;
        }
    }
    unshare(flags).map_err(|error| failed("make namespaces".to_owned(), error))?;
    rustix::system::sethostname(spec.hostname.as_bytes())
        .map_err(|error| failed("set the host's name".to_owned(), error.into()))?;
    if spec.network == Network::New {
        raise_loopback().map_err(|error| failed("raise loopback".to_owned(), error))?;
    }
    for (name, value) in &spec.sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        fs::write(&path, value).map_err(|error| failed(format!("set sysctl {name}"), error))?;
    }
    if spec.share_processes && !spec.host_pid {
        unshare(libc::CLONE_NEWPID).map_err(|error| failed("make a process namespace".to_owned(), error))?;
        return pause().map_err(|error| failed("make the first process".to_owned(), error));
    }
    Ok(0)
}

/// Enters the namespaces that a process of this pod still holds.
pub(super) fn join(pid: i32, spec: &PodSpec) -> io::Result<i32> {
    for (name, kind) in [
        ("uts", LinkNameSpaceType::HostNameAndNISDomainName),
        ("ipc", LinkNameSpaceType::InterProcessCommunication),
        ("net", LinkNameSpaceType::Network),
    ] {
        enter(&format!("/proc/{pid}/ns/{name}"), kind)?;
    }
    if spec.share_processes && !spec.host_pid {
        enter(&format!("/proc/{pid}/ns/pid"), LinkNameSpaceType::ProcessID)?;
    }
    Ok(0)
}

/// The first process of a shared process namespace: it reaps, and its end is the end of all.
fn pause() -> io::Result<i32> {
    let made = super::child::clone_into(0, None, |_| {
        let _ = set_name(c"pause");
        // SAFETY: closes the supervisor's files in this copy, which uses none.
        unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
        let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` is initialised by `sigfillset` before it is read; the calls only wait for signals and take exit codes.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            loop {
                libc::sigwaitinfo(set.as_ptr(), std::ptr::null_mut());
                while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
            }
        }
    })?;
    Ok(made.pid)
}

fn raise_loopback() -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    use std::os::fd::AsRawFd as _;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: all-zero is a valid `ifreq`; the kernel reads the name and the flags, which are set below.
    let done = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
            *to = from.cast_signed();
        }
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or_default();
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

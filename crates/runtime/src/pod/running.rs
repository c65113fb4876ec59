//! A container that was started, until it is removed. Learns how it ended from whoever reaped it: the supervisor, this process, the kernel
//! or the keeper, in this order.

use std::{
    fmt, io,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::{io::Interest, sync::watch};

use crate::{
    cgroup,
    container::{ContainerSpec, Exit},
    logs::pump::Pump,
    pod::{PodError, door},
    readiness,
    supervise::record::{self, Alive, Ended},
};

/// A container that was started. A clone is the same container; dropping the handle ends nothing.
#[derive(Clone)]
pub struct Container(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub spec: ContainerSpec,
    pub pod_dir: PathBuf,
    pub folder: PathBuf,
    /// Its writable layer.
    pub layer: PathBuf,
    pub cgroup: String,
    pub alive: Alive,
    /// Whether the end of its first process is the end of all.
    pub own_processes: bool,
    pub handle: Option<OwnedFd>,
    pub pump: Arc<Pump>,
    /// A writing end of its standard input, which keeps it open.
    pub stdin: Mutex<Option<OwnedFd>>,
    pub terminal: Option<OwnedFd>,
    pub exit: watch::Sender<Option<Exit>>,
}

impl fmt::Debug for Container {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Container").field("id", &self.0.spec.id).field("pid", &self.0.alive.pid).finish_non_exhaustive()
    }
}

impl Container {
    /// What it was started with.
    pub fn spec(&self) -> &ContainerSpec {
        &self.0.spec
    }

    /// Its first process, as the host sees it.
    pub fn pid(&self) -> i32 {
        self.0.alive.pid
    }

    /// Its cgroup.
    pub fn cgroup(&self) -> &str {
        &self.0.cgroup
    }

    /// When its program was started.
    pub fn started(&self) -> SystemTime {
        self.0.alive.started
    }

    /// How it ended, once it has, and its last log line is in the file.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.0.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        ended.unwrap_or_else(|| self.exit_of(Ended::Unseen, SystemTime::now()))
    }

    /// How it ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.0.exit.borrow().clone()
    }

    /// Signals its first process; nothing if it has ended.
    pub async fn signal(&self, signal: i32) -> Result<(), PodError> {
        let Some(handle) = &self.0.handle else { return Ok(()) };
        // SAFETY: a plain call on an open handle, which never means another process.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), signal, std::ptr::null::<()>(), 0) };
        match io::Error::last_os_error() {
            error if sent != 0 && error.raw_os_error() != Some(libc::ESRCH) => {
                Err(PodError::Signal { id: self.0.spec.id.clone(), source: error })
            }
            _ => Ok(()),
        }
    }

    /// How many log lines a full disk has cost.
    pub fn lines_dropped(&self) -> u64 {
        self.0.pump.dropped()
    }

    fn exit_of(&self, ended: Ended, finished: SystemTime) -> Exit {
        Exit {
            code: ended.code(),
            signal: ended.signal(),
            unseen: ended == Ended::Unseen,
            oom_killed: cgroup::oom_kills(&self.0.cgroup) > 0,
            started: self.0.alive.started,
            finished,
        }
    }

    /// Waits for its end, learns how it ended, lets its last lines reach the file, and only then tells anyone.
    pub(super) fn follow(&self) {
        let container = self.clone();
        tokio::spawn(async move {
            if let Some(handle) = &container.0.handle
                && let Ok(handle) = handle.try_clone().and_then(|handle| readiness::watch(handle, Interest::READABLE))
            {
                let _ = handle.readable().await;
            }
            let (ended, finished) = container.learn().await;
            if !container.0.own_processes {
                let cgroup = container.0.cgroup.clone();
                let _ = tokio::task::spawn_blocking(move || cgroup::kill(&cgroup)).await;
            }
            let exit = container.exit_of(ended, finished);
            container.0.pump.finish().await;
            container.0.stdin.lock().unwrap_or_else(PoisonError::into_inner).take();
            container.0.exit.send_replace(Some(exit));
        });
    }

    async fn learn(&self) -> (Ended, SystemTime) {
        let inner = &self.0;
        if let Some((ended, _, finished)) = record::read_exit(&inner.folder) {
            return (ended, finished);
        }
        let _ = door::ask(&inner.pod_dir, "reap", &[]).await;
        if let Some((ended, _, finished)) = record::read_exit(&inner.folder) {
            return (ended, finished);
        }
        let now = SystemTime::now();
        let seen = inner.handle.as_ref().and_then(|handle| take_code(handle).or_else(|| code_of_gone(handle)));
        let ended = match seen {
            Some(ended) => ended,
            None => crate::keeper::orphan(inner.alive.pid, inner.alive.ticks).await.unwrap_or(Ended::Unseen),
        };
        let _ = record::write_exit(&inner.folder, ended, inner.alive.started, now);
        (ended, now)
    }
}

/// A handle on a process that is surely the one meant.
pub(super) fn handle_of(alive: &Alive) -> Option<OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(alive.pid)?, PidfdFlags::empty()).ok()?;
    alive.is_there().then_some(handle)
}

/// Reaps an orphan that fell to this process; nothing if it is not a child of it.
fn take_code(handle: &OwnedFd) -> Option<Ended> {
    // SAFETY: all-zero is a valid `siginfo_t`; the kernel fills it for an ended child of this process.
    let (done, info) = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let id = libc::id_t::try_from(handle.as_raw_fd()).ok()?;
        (libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED | libc::WNOHANG), info)
    };
    // SAFETY: an ended child has a process number and a status.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if done != 0 || pid == 0 {
        return None;
    }
    Some(if info.si_code == libc::CLD_EXITED { Ended::Code(status) } else { Ended::Signal(status) })
}

/// What the kernel remembers of a process that somebody else has reaped.
fn code_of_gone(handle: &OwnedFd) -> Option<Ended> {
    const WANT_EXIT: u64 = 1 << 3;
    const GET_INFO: libc::Ioctl = 0xC040_FF0B;
    /// The words of the answer that are asked for: which are filled in, and the code in the upper half of the last.
    const WORDS: usize = 8;
    let mut words = [0_u64; WORDS];
    words[0] = WANT_EXIT;
    // SAFETY: the kernel fills 64 bytes, which the array has.
    let done = unsafe { libc::ioctl(handle.as_raw_fd(), GET_INFO, words.as_mut_ptr()) };
    if done != 0 || words[0] & WANT_EXIT == 0 {
        return None;
    }
    i32::try_from(words[WORDS - 1] >> 32).ok().map(Ended::of_wait)
}

//! How a new process of the supervisor becomes a container, or a further program in one. Runs in the child alone, from its making to
//! `execve`, as a list of steps that each say what they were about when they fail.

pub(crate) mod capabilities;
mod execute;
pub(crate) mod filter;
pub(crate) mod privileges;
pub(crate) mod streams;

use std::{
    fmt, io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
};

use crate::{plan::Plan, rootfs, session::ExecSpec, supervise::frame};

/// What an exec is handed.
pub(crate) struct Joining {
    /// The container's first process.
    pub target: OwnedFd,
    /// What to run, in a file of its own since it may be long.
    pub spec: OwnedFd,
    /// Standard input, output and error, unless it has a terminal.
    pub streams: Vec<OwnedFd>,
    /// The cgroups that it enters itself.
    pub late: Vec<OwnedFd>,
}

/// Why a process did not become what it should.
#[derive(Debug)]
pub(crate) struct Failure {
    /// 0 if it could not be set up; else what a shell returns for a program that cannot be executed.
    pub code: i32,
    /// As container engines word it.
    pub message: String,
}

impl Failure {
    /// A step of the set-up that failed.
    pub fn step(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self { code: 0, message: format!("{what}: {error}") }
    }
}

/// Adds to an error what was attempted.
pub(crate) trait Attempt<T> {
    /// What was attempted.
    fn attempt(self, what: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Attempt<T> for Result<T, E> {
    fn attempt(self, what: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::step(what, error))
    }
}

fn report(status: &OwnedFd, failure: &Failure) {
    let _ = frame::send(status, &format!("failed {} {}", failure.code, failure.message), &[]);
}

/// Turns this process into the container whose plan lies in `folder`, a folder of the pod in `pod`; it goes into the cgroups `late` itself.
pub(crate) fn become_container(pod: &Path, folder: &Path, late: &[OwnedFd], status: &OwnedFd) {
    if let Err(failure) = container(pod, folder, late, status) {
        report(status, &failure);
    }
}

fn container(pod: &Path, folder: &Path, late: &[OwnedFd], status: &OwnedFd) -> Result<(), Failure> {
    let plan = Plan::read(folder).attempt("read the plan")?;
    let spec = &plan.container;
    rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::setsid().attempt("start a session")?;
    privileges::lower_oom_rank(spec.oom_score_adj);
    if !spec.tty {
        streams::of_container(folder, spec.stdin)?;
    }
    let root = rootfs::build(&plan, pod, folder)?;
    if spec.tty {
        let terminal = streams::open_terminal(&root, &spec.user)?;
        rootfs::bind_console(&root, &terminal)?;
        terminal.take_over(status)?;
    }
    rootfs::enter(root, spec.read_only_root)?;
    wait_for_leave(status)?;
    new_keyring(&spec.id);
    enter_late(late)?;
    let folder = spec.working_dir.clone().unwrap_or_else(|| spec.image.config.working_dir.clone());
    execute::run(&plan, &spec.argv, &[], &folder)
}

/// Turns this process into a further program of the container whose plan lies in `folder`.
pub(crate) fn become_exec(folder: &Path, joining: Joining, status: &OwnedFd) {
    if let Err(failure) = exec(folder, joining, status) {
        report(status, &failure);
    }
}

fn exec(folder: &Path, joining: Joining, status: &OwnedFd) -> Result<(), Failure> {
    let plan = Plan::read(folder).attempt("read the plan")?;
    let spec: ExecSpec =
        serde_json::from_reader(io::BufReader::new(std::fs::File::from(joining.spec))).attempt("read the exec")?;
    rustix::process::setsid().attempt("start a session")?;
    privileges::lower_oom_rank(plan.container.oom_score_adj);
    if !spec.tty {
        streams::standard(&joining.streams)?;
    }
    drop(joining.streams);
    wait_for_leave(status)?;
    let mut kinds = libc::CLONE_NEWNS;
    if plan.cgroups.is_unified() {
        kinds |= libc::CLONE_NEWCGROUP;
    }
    // SAFETY: a plain call; this process has one thread and shares no file system state.
    if unsafe { libc::setns(joining.target.as_raw_fd(), kinds) } != 0 {
        return Err(Failure::step("enter the container", io::Error::last_os_error()));
    }
    drop(joining.target);
    if spec.tty {
        let root = rootfs::own_root().attempt("open the root")?;
        streams::open_terminal(&root, &plan.container.user)?.take_over(status)?;
    }
    let folder = plan.container.working_dir.clone().unwrap_or_else(|| plan.container.image.config.working_dir.clone());
    let mut extra = spec.env.clone();
    if spec.tty && !extra.iter().any(|(name, _)| name == "TERM") {
        extra.push(("TERM".to_owned(), "xterm".to_owned()));
    }
    enter_late(&joining.late)?;
    execute::run(&plan, &spec.argv, &extra, &folder)
}

/// Goes into the cgroups that a process is not to be in while it is made.
fn enter_late(doors: &[OwnedFd]) -> Result<(), Failure> {
    doors.iter().try_for_each(|door| rustix::io::write(door, b"0").map(drop)).attempt("enter the cgroup")
}

/// Until the supervisor has moved this process into its cgroups, no program of the container may run.
fn wait_for_leave(status: &OwnedFd) -> Result<(), Failure> {
    match frame::receive(status) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(Failure::step("wait for the supervisor", "it is gone")),
        Err(error) => Err(Failure::step("wait for the supervisor", error)),
    }
}

/// Keys of the host's session are not the container's. A full quota of keys only means that there is none.
fn new_keyring(id: &str) {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    if let Ok(name) = std::ffi::CString::new(format!("_ses.{id}")) {
        // SAFETY: the kernel reads a terminated string.
        unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) };
    }
}

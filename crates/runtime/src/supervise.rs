//! The supervising process of a pod: one thread, one loop, a few kilobytes. Holds the pod's namespaces, starts, reaps and remembers its
//! processes, and keeps a reading end of every log pipe. Never reads what it need not: a specification is read by the child that becomes it.

mod child;
pub(crate) mod frame;
pub(crate) mod record;
mod requests;
mod shared;

use std::{
    io,
    os::fd::{AsFd, FromRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
};

use crate::pod::PodSpec;

/// The role's name, the first argument of the process.
pub(crate) const ROLE: &str = "pod-supervisor";

/// A process of the pod, from its making until it is reaped (an exec) or forgotten (a container).
struct Process {
    pid: i32,
    pidfd: Option<OwnedFd>,
    /// The container's name; none for an exec.
    container: Option<String>,
    /// While it has not yet executed its program.
    status: Option<OwnedFd>,
    /// Why it could not.
    failure: Option<String>,
    started: SystemTime,
    ended: bool,
    /// Who waits for it: for the start of a container, for the end of an exec.
    connection: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    /// Ends of its pipes that keep bytes and readers alive when the agent is not there.
    _spare: Vec<OwnedFd>,
    /// A writing end of its standard input.
    stdin: Option<OwnedFd>,
}

struct Supervisor {
    dir: PathBuf,
    spec: PodSpec,
    signals: OwnedFd,
    listener: OwnedFd,
    /// What its children's process namespace is, but for an exec.
    process_namespace: OwnedFd,
    connections: Vec<OwnedFd>,
    processes: Vec<Process>,
    ends: bool,
}

/// Runs the supervisor of the pod in `dir`, in the namespaces of process `join` if one is given. The agent is at the other end of descriptor 0.
pub(crate) fn main(dir: &Path, join: Option<i32>) -> i32 {
    // SAFETY: descriptor 0 is the socket that the agent gave; nobody else in this process uses it.
    let agent = unsafe { OwnedFd::from_raw_fd(0) };
    match Supervisor::new(dir, join, &agent) {
        Ok((mut supervisor, pause)) => {
            let _ = frame::send(&agent, &format!("ready {pause}"), &[]);
            supervisor.connections.push(agent);
            supervisor.serve();
            0
        }
        Err(failure) => {
            let _ = frame::send(&agent, &format!("failed {failure}"), &[]);
            1
        }
    }
}

impl Supervisor {
    fn new(dir: &Path, join: Option<i32>, agent: &OwnedFd) -> Result<(Self, i32), String> {
        let failed = |what: &str, error: io::Error| format!("{what}: {error}");
        shared::withdraw().map_err(|error| failed("withdraw from the terminal", error))?;
        let signals = shared::block_signals().map_err(|error| failed("block signals", error))?;
        // It was started ahead of what it needs; an agent that changes its mind closes the connection.
        if !frame::receive(agent).is_ok_and(|message| message.is_some()) {
            return Err("the agent is gone".to_owned());
        }
        let text = std::fs::read(dir.join("pod.json")).map_err(|error| failed("read pod.json", error))?;
        let spec: PodSpec = serde_json::from_slice(&text).map_err(|error| format!("read pod.json: {error}"))?;
        let pause = match join {
            Some(pid) => shared::join(pid, &spec).map_err(|error| failed("join the pod's namespaces", error))?,
            None => shared::make(&spec)?,
        };
        let process_namespace =
            shared::open_path("/proc/self/ns/pid_for_children").map_err(|error| failed("open /proc/self/ns", error))?;
        let listener = listen(dir).map_err(|error| failed("listen", error))?;
        let supervisor = Self {
            dir: dir.to_owned(),
            spec,
            signals,
            listener,
            process_namespace,
            connections: Vec::new(),
            processes: Vec::new(),
            ends: false,
        };
        Ok((supervisor, pause))
    }

    fn serve(&mut self) {
        while !self.ends {
            let (ready, starting) = match self.wait() {
                Ok(events) => events,
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
            };
            if ready[0] {
                self.reap();
            }
            for pid in starting {
                self.follow_start(pid);
            }
            for index in (0..self.connections.len()).rev() {
                if ready.get(index + 2).copied().unwrap_or_default() {
                    self.answer(index);
                }
            }
            if ready[1]
                && let Ok(connection) = rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC)
            {
                self.connections.push(connection);
            }
        }
    }

    /// Which of signals, listener and connections are ready, in this order, and which starting processes reported.
    fn wait(&self) -> rustix::io::Result<(Vec<bool>, Vec<i32>)> {
        let starting = || self.processes.iter().filter_map(|process| Some((process.pid, process.status.as_ref()?)));
        let mut polled: Vec<PollFd<'_>> = [&self.signals, &self.listener]
            .into_iter()
            .chain(&self.connections)
            .chain(starting().map(|(_, status)| status))
            .map(|file| PollFd::new(file, PollFlags::IN))
            .collect();
        poll(&mut polled, None)?;
        let ready = |from: &[PollFd<'_>]| from.iter().map(|one| !one.revents().is_empty()).collect::<Vec<_>>();
        let split = 2 + self.connections.len();
        let reported = ready(&polled[split..]);
        let pids = starting().map(|(pid, _)| pid).zip(reported).filter_map(|(pid, reported)| reported.then_some(pid)).collect();
        Ok((ready(&polled[..split]), pids))
    }

    /// Takes the exit codes of all that have ended, orphans too.
    fn reap(&mut self) {
        let mut buffer = [0_u8; 128];
        while rustix::io::read(&self.signals, &mut buffer).is_ok_and(|read| read > 0) {}
        loop {
            let mut status = 0;
            // SAFETY: `status` is a valid place for the kernel to write to.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            if pid <= 0 {
                return;
            }
            self.ended(pid, record::Ended::of_wait(status));
        }
    }

    fn ended(&mut self, pid: i32, end: record::Ended) {
        while self.processes.iter().any(|process| process.pid == pid && process.status.is_some()) {
            self.follow_start(pid);
        }
        let Some(index) = self.processes.iter().position(|process| process.pid == pid && !process.ended) else { return };
        let process = &mut self.processes[index];
        process.ended = true;
        process.stdin = None;
        if let Some(container) = &process.container {
            let folder = record::container_dir(&self.dir, container);
            let _ = record::write_exit(&folder, end, process.started, SystemTime::now());
        } else {
            if let Some(connection) = &process.connection {
                let _ = frame::send(connection, &format!("exit {}", end.code()), &[]);
            }
            self.processes.swap_remove(index);
        }
    }

    /// Reads what a starting process reports: its terminal, its failure, or by its end that its program runs.
    fn follow_start(&mut self, pid: i32) {
        let Some(index) = self.processes.iter().position(|process| process.pid == pid) else { return };
        let process = &mut self.processes[index];
        let Some(status) = &process.status else { return };
        match frame::receive(status) {
            Ok(Some(mut message)) if message.text == "tty" => process.terminal = message.files.pop(),
            Ok(Some(message)) => process.failure = Some(message.text),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(None) | Err(_) => self.started(index),
        }
    }

    fn started(&mut self, index: usize) {
        let process = &mut self.processes[index];
        process.status = None;
        process.started = SystemTime::now();
        let pidfd = process.pidfd.take();
        if let Some(failure) = process.failure.take() {
            if let Some(connection) = process.connection.take() {
                let _ = frame::send(&connection, &failure, &[]);
            }
            self.processes.swap_remove(index);
            return;
        }
        let alive = record::Alive {
            pid: process.pid,
            ticks: record::start_ticks(process.pid).unwrap_or_default(),
            started: process.started,
        };
        let files: Vec<_> = pidfd.iter().chain(&process.terminal).map(AsFd::as_fd).collect();
        if let Some(container) = &process.container {
            let _ = record::write_alive(&record::container_dir(&self.dir, container), &alive);
        }
        if let Some(connection) = &process.connection {
            let _ = frame::send(connection, &format!("started {}", alive.to_text()), &files);
        }
        if process.container.is_some() {
            process.connection = None;
        } else {
            process.terminal = None;
        }
    }
}

/// A socket that is named in the pod's folder, however long that folder's name is.
fn listen(dir: &Path) -> io::Result<OwnedFd> {
    let folder = shared::open_path(dir)?;
    let name = dir.join("sock");
    let _ = std::fs::remove_file(&name);
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &socket_address(&folder)?)?;
    rustix::net::listen(&socket, 64)?;
    Ok(socket)
}

/// The address of the socket in an open folder; a path may be longer than an address can hold.
pub(crate) fn socket_address(folder: &OwnedFd) -> io::Result<SocketAddrUnix> {
    use std::os::fd::AsRawFd as _;
    Ok(SocketAddrUnix::new(format!("/proc/self/fd/{}/sock", folder.as_raw_fd()))?)
}

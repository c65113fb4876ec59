//! The keeper's loop: signals, requests, and the moments at which something is due. One thread, and nothing that waits.

use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, Write as _},
    os::{
        fd::{AsFd, FromRawFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Answer, Program, Request,
    kept::{Process, Wish},
};
use crate::{cgroup, supervise::record};

/// So many orphans are remembered.
const ORPHANS_MAX: usize = 4096;

struct Keeper {
    listener: UnixListener,
    signals: OwnedFd,
    /// In the order of their start.
    kept: Vec<Process>,
    orphans: VecDeque<(i32, u64, i32)>,
    connections: Vec<BufReader<UnixStream>>,
    /// Who waits until a process is gone; without a name, until all are.
    waiting: Vec<(Option<String>, UnixStream)>,
    ending: bool,
}

/// Runs the keeper that listens at `socket`; who started it is at the other end of descriptor 0.
pub(crate) fn main(socket: &Path) -> i32 {
    // SAFETY: descriptor 0 is the socket that the starter gave; nobody else in this process uses it.
    let mut starter = unsafe { UnixStream::from_raw_fd(0) };
    let mut keeper = match Keeper::new(socket) {
        Ok(keeper) => keeper,
        Err(error) => {
            let _ = writeln!(starter, "{error}");
            return 1;
        }
    };
    let _ = writeln!(starter, "ready");
    // Its place is taken, so that nothing opened later becomes a standard stream.
    if let Ok(nothing) = std::fs::File::options().read(true).write(true).open("/dev/null") {
        // SAFETY: replaces the starter's socket by an open file; both numbers are valid.
        unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&nothing), 0) };
        std::mem::forget(starter);
    }
    keeper.serve();
    let _ = std::fs::remove_file(socket);
    0
}

impl Keeper {
    fn new(socket: &Path) -> io::Result<Self> {
        use nix::sys::{
            signal::{SigSet, SigmaskHow, Signal, sigprocmask},
            signalfd::{SfdFlags, SignalFd},
        };
        use std::os::unix::fs::PermissionsExt as _;
        let _ = rustix::process::setsid();
        let _ = rustix::thread::set_name(c"coracle-keeper");
        crate::program::become_subreaper()?;
        std::env::set_current_dir("/")?;
        let mut set = SigSet::empty();
        set.extend([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None)?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?.into();
        if UnixStream::connect(socket).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another keeper is there"));
        }
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket)?;
        std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            signals,
            kept: Vec::new(),
            orphans: VecDeque::new(),
            connections: Vec::new(),
            waiting: Vec::new(),
            ending: false,
        })
    }

    fn serve(&mut self) {
        loop {
            self.act(Instant::now());
            if self.ending && self.kept.is_empty() {
                self.tell();
                return;
            }
            let Ok(ready) = self.wait() else { continue };
            if ready[0] {
                self.signalled();
            }
            for index in (0..self.connections.len()).rev() {
                if ready.get(index + 2).copied().unwrap_or_default() {
                    self.request(index);
                }
            }
            if ready[1]
                && let Ok((stream, _)) = self.listener.accept()
            {
                self.connections.push(BufReader::new(stream));
            }
        }
    }

    /// Which of signals, listener and connections are ready, in this order; none when something is due.
    fn wait(&self) -> rustix::io::Result<Vec<bool>> {
        let due = self.kept.iter().filter_map(|process| match process.wish {
            Wish::Stop(killed) => Some(killed),
            Wish::Run | Wish::Stay => process.due,
        });
        let wait = due.min().map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        let files = [self.signals.as_fd(), self.listener.as_fd()];
        let files = files.into_iter().chain(self.connections.iter().map(|one| one.get_ref().as_fd()));
        let mut polled: Vec<PollFd<'_>> = files.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)).collect();
        poll(&mut polled, wait.as_ref())?;
        Ok(polled.iter().map(|one| !one.revents().is_empty()).collect())
    }

    /// Does what is due, and answers those who waited for it.
    fn act(&mut self, now: Instant) {
        for process in &mut self.kept {
            match process.wish {
                Wish::Stop(killed) if killed <= now => process.signal(libc::SIGKILL),
                Wish::Run if process.due.is_some_and(|due| due <= now) => process.again(now),
                _ => {}
            }
        }
        self.kept.retain(|process| process.state.pid.is_some() || !matches!(process.wish, Wish::Stop(_)));
        if self.ending {
            // One after the other, the latest first: what was started last may need what was started before.
            let running = self.kept.iter().any(|process| matches!(process.wish, Wish::Stop(_)));
            if !running && let Some(process) = self.kept.last_mut() {
                stop(process, now);
                return self.act(now);
            }
        }
        self.tell();
    }

    fn tell(&mut self) {
        let gone = |name: &Option<String>| match name {
            Some(name) => !self.kept.iter().any(|process| process.state.name == *name),
            None => self.kept.is_empty(),
        };
        let (done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting).into_iter().partition(|(name, _)| gone(name));
        self.waiting = waiting;
        for (_, mut stream) in done {
            answer(&mut stream, &Answer::Done);
        }
    }

    fn signalled(&mut self) {
        let mut buffer = [0_u8; 128 * 8];
        while let Ok(read) = rustix::io::read(&self.signals, &mut buffer) {
            let numbers = buffer[..read].chunks(128).filter_map(|one| one.first());
            if numbers.into_iter().any(|number| i32::from(*number) == libc::SIGTERM || i32::from(*number) == libc::SIGINT) {
                self.ending = true;
            }
        }
        self.take_ended();
    }

    fn take_ended(&mut self) {
        while let Some((pid, ticks, code)) = reap() {
            match self.kept.iter_mut().find(|process| process.state.pid == Some(pid)) {
                Some(process) => process.ended(code, Instant::now()),
                None => {
                    self.orphans.push_back((pid, ticks, code));
                    if self.orphans.len() > ORPHANS_MAX {
                        self.orphans.pop_front();
                    }
                }
            }
        }
    }

    fn request(&mut self, index: usize) {
        let mut line = String::new();
        let read = self.connections[index].read_line(&mut line);
        if !read.is_ok_and(|read| read > 0) {
            self.connections.swap_remove(index);
            return;
        }
        let reply = match serde_json::from_str::<Request>(&line) {
            Ok(Request::Start(program)) => self.start(program),
            Ok(Request::Stop(name)) => {
                let process = self.kept.iter_mut().find(|process| process.state.name == name);
                if let Some(process) = process {
                    stop(process, Instant::now());
                }
                return self.waits(index, Some(name));
            }
            Ok(Request::Kill(name)) => self.kill(&name),
            Ok(Request::List) => Answer::List(self.kept.iter().map(|process| process.state.clone()).collect()),
            Ok(Request::Orphan { pid, ticks }) => {
                let found = self.orphans.iter().rev().find(|orphan| (orphan.0, orphan.1) == (pid, ticks));
                Answer::Orphan(found.map(|orphan| orphan.2))
            }
            Ok(Request::Shutdown) => {
                self.ending = true;
                return self.waits(index, None);
            }
            Err(error) => Answer::Refused(error.to_string()),
        };
        answer(self.connections[index].get_mut(), &reply);
    }

    fn waits(&mut self, index: usize, name: Option<String>) {
        let stream = self.connections.swap_remove(index).into_inner();
        self.waiting.push((name, stream));
    }

    fn start(&mut self, program: Program) -> Answer {
        let known = self.kept.iter().position(|process| process.state.name == program.name);
        if let Some(index) = known {
            if self.kept[index].state.pid.is_some() {
                return Answer::Refused(format!("{} runs already", program.name));
            }
            self.kept.remove(index);
        }
        match Process::start(program) {
            Ok(process) => {
                let pid = process.state.pid.unwrap_or_default();
                self.kept.push(process);
                Answer::Started(pid)
            }
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    /// Ends a process and all of its cgroup at once, as a power cut would: nobody sees how any of it ended.
    fn kill(&mut self, name: &str) -> Answer {
        let Some(process) = self.kept.iter_mut().find(|process| process.state.name == name) else {
            return Answer::Refused(format!("there is no {name}"));
        };
        process.wish = Wish::Stay;
        process.due = None;
        process.signal(libc::SIGKILL);
        let Some(path) = process.program.kill_cgroup.clone() else { return Answer::Done };
        let killed = cgroup::processes(&path).and_then(|processes| cgroup::kill(&path).map(|()| processes));
        self.take_ended();
        match killed {
            Ok(processes) => {
                self.orphans.retain(|(pid, ..)| !processes.contains(pid));
                Answer::Done
            }
            Err(error) => Answer::Refused(error.to_string()),
        }
    }
}

fn stop(process: &mut Process, now: Instant) {
    if !matches!(process.wish, Wish::Stop(_)) {
        process.wish = Wish::Stop(now + Duration::from_millis(process.program.grace_ms));
        process.signal(libc::SIGTERM);
    }
}

fn answer(stream: &mut UnixStream, answer: &Answer) {
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let _ = stream.write_all(&line);
    }
}

/// Takes the code of one child that has ended, and with it when it was made, which tells it apart from others of its number.
fn reap() -> Option<(i32, u64, i32)> {
    let mut status = 0;
    // SAFETY: all-zero is a valid `siginfo_t`; the kernel fills it for an ended child, which has a process number.
    let pid = unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        if libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) != 0 {
            return None;
        }
        info.si_pid()
    };
    if pid == 0 {
        return None;
    }
    let ticks = record::start_ticks(pid).unwrap_or_default();
    // SAFETY: `status` is a valid place for the kernel to write to.
    let reaped = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
    (reaped == pid).then(|| (pid, ticks, record::Ended::of_wait(status).code()))
}

//! One kept process: its start, and when it is started again.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::Stdio,
    time::{Duration, Instant},
};

use super::{Kept, Program};
use crate::{cgroup, container::Limits, process::privileges::reset_signals};

const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
/// One that ran so long is started again at once.
const STEADY: Duration = Duration::from_secs(30);

/// What is to become of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It is to run.
    Run,
    /// It was asked to end, and is killed at this moment.
    Stop(Instant),
    /// It was killed, and stays so until it is started.
    Stay,
}

/// One kept process.
pub(super) struct Process {
    pub program: Program,
    pub state: Kept,
    pub wish: Wish,
    /// When to start it again.
    pub due: Option<Instant>,
    started: Instant,
    back_off: Duration,
}

impl Process {
    /// Starts a program for the first time.
    pub fn start(program: Program) -> io::Result<Self> {
        let pid = spawn(&program)?;
        Ok(Self {
            state: Kept { name: program.name.clone(), pid: Some(pid), restarts: 0, exit: None },
            program,
            wish: Wish::Run,
            due: None,
            started: Instant::now(),
            back_off: Duration::ZERO,
        })
    }

    /// Notes its end, and when it is to be started again: at once the first time, later and later while it does not stay up.
    pub fn ended(&mut self, code: i32, now: Instant) {
        self.state.pid = None;
        self.state.exit = Some(code);
        if self.wish != Wish::Run || !self.program.restart {
            return;
        }
        if now.duration_since(self.started) >= STEADY {
            self.back_off = Duration::ZERO;
        }
        self.due = Some(now + self.back_off);
        self.back_off = (self.back_off * 2).clamp(BACK_OFF_FIRST, BACK_OFF_MAX);
    }

    /// Starts it again.
    pub fn again(&mut self, now: Instant) {
        self.due = None;
        self.started = now;
        self.state.restarts += 1;
        match spawn(&self.program) {
            Ok(pid) => self.state.pid = Some(pid),
            Err(_) => self.ended(127, now),
        }
    }

    /// Signals it, if it runs.
    pub fn signal(&self, signal: i32) {
        if let Some(pid) = self.state.pid {
            // SAFETY: a plain call; the process is a child that is not reaped yet, so the number is its own.
            unsafe { libc::kill(pid, signal) };
        }
    }
}

fn spawn(program: &Program) -> io::Result<i32> {
    let (name, arguments) = program.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let network = program.network.as_ref().map(File::open).transpose()?;
    let doors = match &program.cgroup {
        Some(path) => {
            cgroup::create(path, &Limits::default())?;
            cgroup::procs(path)?
        }
        None => Vec::new(),
    };
    let output = || -> io::Result<Stdio> {
        let Some(path) = &program.log else { return Ok(Stdio::null()) };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(File::options().create(true).append(true).open(path)?.into())
    };
    #[expect(clippy::disallowed_methods, reason = "this crate is where programs are started")]
    let mut command = std::process::Command::new(name);
    command.args(arguments).envs(program.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(output()?).stderr(output()?).process_group(0);
    // SAFETY: only system calls on open files are made between fork and execution; the keeper has one thread.
    unsafe {
        command.pre_exec(move || {
            reset_signals();
            for door in &doors {
                rustix::io::write(door, b"0")?;
            }
            match &network {
                Some(network) if libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) != 0 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        });
    }
    // It is reaped with all others; the handle is not needed.
    command.spawn().map(|child| child.id().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait() {
        let now = Instant::now();
        let program = Program { name: "a".into(), restart: true, ..Program::default() };
        let state = Kept { name: "a".into(), pid: Some(1), restarts: 0, exit: None };
        let mut process = Process { program, state, wish: Wish::Run, due: None, started: now, back_off: Duration::ZERO };
        let mut waits = Vec::new();
        for _ in 0..10 {
            process.ended(1, now);
            waits.push(process.due.take().expect("again").duration_since(now).as_millis());
        }
        assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        process.ended(1, now + STEADY);
        assert_eq!(process.due.take(), Some(now + STEADY));
        process.wish = Wish::Stay;
        process.ended(1, now);
        assert_eq!(process.due, None);
    }
}

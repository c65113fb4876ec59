//! Standard input, output and error of a new process, and its terminal.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use rustix::fs::{Gid, Mode, OFlags, Uid, open, openat};

use super::{Attempt as _, Failure};
use crate::{container::User, supervise::frame};

/// Makes three open files the standard ones.
pub(super) fn standard(files: &[OwnedFd]) -> Result<(), Failure> {
    for (number, file) in files.iter().take(3).enumerate() {
        // SAFETY: the standard descriptors of this process are to be replaced; the number is one of 0, 1, 2.
        if unsafe { libc::dup2(file.as_raw_fd(), i32::try_from(number).unwrap_or_default()) } < 0 {
            return Err(Failure::step("set the standard streams", io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// The container's pipes. It holds both ends of its output, so that it does not fail when nobody else reads for a moment.
pub(super) fn of_container(folder: &Path, stdin: bool) -> Result<(), Failure> {
    let fifo = |name: &str, flags| open(folder.join(name), flags | OFlags::CLOEXEC, Mode::empty()).attempt("open the log pipes");
    let stdin = if stdin {
        fifo("stdin", OFlags::RDONLY)?
    } else {
        open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).attempt("open /dev/null")?
    };
    standard(&[stdin, fifo("stdout", OFlags::RDWR)?, fifo("stderr", OFlags::RDWR)?])
}

/// Both ends of a new terminal.
pub(crate) struct Terminal {
    master: OwnedFd,
    /// The container's end.
    pub slave: OwnedFd,
}

/// Makes a terminal in the container's own set of them.
pub(super) fn open_terminal(root: &OwnedFd, user: &User) -> Result<Terminal, Failure> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = openat(root, "dev/pts/ptmx", flags, Mode::empty()).attempt("open /dev/pts/ptmx")?;
    rustix::pty::unlockpt(&master).attempt("unlock the terminal")?;
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN stores an unsigned int, which `number` is.
    if unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) } != 0 {
        return Err(Failure::step("name the terminal", io::Error::last_os_error()));
    }
    let slave = openat(root, format!("dev/pts/{number}"), flags, Mode::empty()).attempt("open the terminal")?;
    rustix::fs::fchown(&slave, Some(Uid::from_raw(user.uid)), None::<Gid>).attempt("give the terminal away")?;
    Ok(Terminal { master, slave })
}

impl Terminal {
    /// Makes it the controlling terminal and the standard streams of this process, and hands the other end to the supervisor.
    pub fn take_over(self, status: &OwnedFd) -> Result<(), Failure> {
        frame::send(status, "tty", &[self.master.as_fd()]).attempt("hand over the terminal")?;
        rustix::process::ioctl_tiocsctty(&self.slave).attempt("take the terminal")?;
        standard(&[
            self.slave.try_clone().attempt("take the terminal")?,
            self.slave.try_clone().attempt("take the terminal")?,
            self.slave,
        ])
    }
}

//! What is kept of a container in its folder: who it is while it lives, and how it ended. Small text files, replaced whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A live process: a number alone may mean another one later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alive {
    /// Its number.
    pub pid: i32,
    /// When it was made, in clock ticks since boot.
    pub ticks: u64,
    /// When its program was executed.
    pub started: SystemTime,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// Nobody saw how: everything that could have seen it ended with it.
    Unseen,
}

/// Stands for the signal in the note of an end that nobody saw.
const UNSEEN: i32 = -1;

impl Ended {
    /// From what `waitpid` says, or the kernel's exit code of a process handle, which has the same form.
    pub fn of_wait(status: i32) -> Self {
        if libc::WIFSIGNALED(status) { Self::Signal(libc::WTERMSIG(status)) } else { Self::Code(libc::WEXITSTATUS(status)) }
    }

    /// As a shell sees it.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
            Self::Unseen => 255,
        }
    }

    /// The signal.
    pub fn signal(self) -> Option<i32> {
        match self {
            Self::Code(_) | Self::Unseen => None,
            Self::Signal(signal) => Some(signal),
        }
    }
}

/// The folder of a container in its pod's.
pub(crate) fn container_dir(pod: &Path, container: &str) -> PathBuf {
    pod.join("c").join(container)
}

/// When a process was made, in clock ticks since boot.
pub(crate) fn start_ticks(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also parentheses.
    text.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

fn time(nanos: &str) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::from_nanos(nanos.parse().ok()?))
}

impl Alive {
    /// In words.
    pub fn to_text(self) -> String {
        format!("{} {} {}", self.pid, self.ticks, nanos(self.started))
    }

    /// From words.
    pub fn from_words<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        Some(Self { pid: words.next()?.parse().ok()?, ticks: words.next()?.parse().ok()?, started: time(words.next()?)? })
    }

    /// Whether that very process is still there, ended but not reaped included.
    pub fn is_there(&self) -> bool {
        start_ticks(self.pid) == Some(self.ticks)
    }
}

fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, text)?;
    fs::rename(new, folder.join(name))
}

/// Notes that a container runs.
pub(crate) fn write_alive(folder: &Path, alive: &Alive) -> io::Result<()> {
    replace(folder, "alive", &alive.to_text())
}

/// The container that was noted.
pub(crate) fn read_alive(folder: &Path) -> Option<Alive> {
    Alive::from_words(fs::read_to_string(folder.join("alive")).ok()?.split(' '))
}

/// Notes how a container ended; a note that is there already stays, since the first who knew knew best.
pub(crate) fn write_exit(folder: &Path, ended: Ended, started: SystemTime, finished: SystemTime) -> io::Result<()> {
    if folder.join("exit").exists() {
        return Ok(());
    }
    let signal = if ended == Ended::Unseen { UNSEEN } else { ended.signal().unwrap_or_default() };
    replace(folder, "exit", &format!("{} {signal} {} {}", ended.code(), nanos(started), nanos(finished)))
}

/// How a container ended, when it started and when it ended.
pub(crate) fn read_exit(folder: &Path) -> Option<(Ended, SystemTime, SystemTime)> {
    let text = fs::read_to_string(folder.join("exit")).ok()?;
    let mut words = text.split(' ');
    let code = words.next()?.parse().ok()?;
    let signal: i32 = words.next()?.parse().ok()?;
    let ended = match signal {
        0 => Ended::Code(code),
        UNSEEN => Ended::Unseen,
        signal => Ended::Signal(signal),
    };
    Some((ended, time(words.next()?)?, time(words.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_read_as_it_was_written_and_the_first_note_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let (started, finished) = (UNIX_EPOCH + Duration::from_nanos(5), UNIX_EPOCH + Duration::from_nanos(9));
        assert_eq!(read_exit(folder.path()), None);
        write_exit(folder.path(), Ended::Signal(9), started, finished).expect("written");
        write_exit(folder.path(), Ended::Code(0), started, finished).expect("kept");
        assert_eq!(read_exit(folder.path()), Some((Ended::Signal(9), started, finished)));
        assert_eq!(Ended::Signal(9).code(), 137);
    }

    #[test]
    fn this_process_is_there_and_an_older_one_of_its_number_is_not() {
        let pid = std::process::id().cast_signed();
        let mut alive = Alive { pid, ticks: start_ticks(pid).expect("it runs"), started: UNIX_EPOCH };
        assert_eq!(Alive::from_words(alive.to_text().split(' ')), Some(alive));
        assert!(alive.is_there());
        alive.ticks -= 1;
        assert!(!alive.is_there());
    }
}

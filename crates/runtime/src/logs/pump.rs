//! Moves a container's output to its log file and to whoever is attached. A pipe is looked at first and emptied of whole lines only once
//! they are written, so that an agent that dies between leaves them for the next one.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use rustix::{
    fs::{Mode, OFlags, open},
    pipe::{PipeFlags, SpliceFlags, pipe_with, tee},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{LogFiles, file::LogFile, line};
use crate::readiness;

/// So many bytes are looked at together: what a pipe holds.
const LOOK_BYTES: usize = 64 * 1024;
/// A listener that is so many pieces behind is let go.
const LISTENER_PIECES_MAX: usize = 512;

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output, or a terminal.
    Output,
    /// Standard error.
    Error,
}

impl Stream {
    fn name(self) -> &'static str {
        if self == Self::Output { "stdout" } else { "stderr" }
    }
}

type Listener = (Stream, mpsc::Sender<Bytes>);

/// The output of one container.
#[derive(Debug)]
pub(crate) struct Pump {
    file: Mutex<LogFile>,
    listeners: Mutex<Vec<Listener>>,
    ended: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Pump {
    /// A pump that nothing flows through yet.
    pub fn new(files: LogFiles) -> Arc<Self> {
        let mut file = LogFile::new(files);
        file.make();
        let (ended, _) = watch::channel(false);
        Arc::new(Self { file: Mutex::new(file), listeners: Mutex::default(), ended, tasks: Mutex::default() })
    }

    /// Opens the reading ends of a container's pipes. Done before it starts, so that nothing it writes is without a reader.
    pub fn open(folder: &Path) -> io::Result<[OwnedFd; 2]> {
        let fifo = |name| open(folder.join(name), OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
        Ok([fifo("stdout")?, fifo("stderr")?])
    }

    /// Lets the pipes flow. To be called once the container has them open: a pipe that nobody writes to is at its end.
    pub fn flow(self: &Arc<Self>, [output, error]: [OwnedFd; 2]) -> io::Result<()> {
        for (stream, pipe) in [(Stream::Output, output), (Stream::Error, error)] {
            let pipe = readiness::watch(pipe, Interest::READABLE)?;
            let pump = Arc::clone(self);
            self.spawn(async move { pump.drain_pipe(stream, pipe).await });
        }
        Ok(())
    }

    /// Lets a terminal flow.
    pub fn flow_terminal(self: &Arc<Self>, master: OwnedFd) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&master, true)?;
        let master = readiness::watch(master, Interest::READABLE)?;
        let pump = Arc::clone(self);
        self.spawn(async move { pump.drain_terminal(master).await });
        Ok(())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(tokio::spawn(task));
    }

    /// To be called when the container has ended: what is in its pipes is the last; returns when that is in the file.
    pub async fn finish(&self) {
        self.ended.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            let _ = task.await;
        }
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What flows from now on.
    pub fn listen(&self, stream: Stream) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(LISTENER_PIECES_MAX);
        if !*self.ended.borrow() {
            self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push((stream, sender));
        }
        receiver
    }

    /// How many lines were lost to the disk.
    pub fn dropped(&self) -> u64 {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).dropped()
    }

    fn tell(&self, stream: Stream, data: &[u8]) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if data.is_empty() || listeners.is_empty() {
            return;
        }
        let data = Bytes::copy_from_slice(data);
        listeners.retain(|(wanted, sender)| *wanted != stream || sender.try_send(data.clone()).is_ok());
    }

    /// Writes the whole lines of `data`, and the rest too if it is the last; how many bytes are done with.
    fn log(&self, stream: Stream, data: &[u8], last: bool) -> usize {
        let mut text = Vec::with_capacity(data.len() + 64);
        let (taken, lines) = line::format(data, last, stream.name(), SystemTime::now(), &mut text);
        if lines > 0 {
            self.file.lock().unwrap_or_else(PoisonError::into_inner).add(&text, lines);
        }
        taken
    }

    async fn drain_pipe(&self, stream: Stream, pipe: AsyncFd<OwnedFd>) {
        let mut told = 0;
        let mut ended = self.ended.subscribe();
        loop {
            let last = *ended.borrow_and_update();
            match BUFFER.with_borrow_mut(|buffer| self.step(buffer, stream, pipe.get_ref().as_fd(), last, &mut told)) {
                Ok(Step::Moved) => tokio::task::yield_now().await,
                Ok(Step::End) => return,
                Ok(Step::Wait) if last => return,
                Ok(Step::Wait) => tokio::select! {
                    ready = pipe.readable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => return,
                    },
                    changed = ended.changed() => if changed.is_err() { return },
                },
                Err(error) => return tracing::warn!(%error, "a log pipe cannot be read"),
            }
        }
    }

    /// Looks into the pipe once, writes what is whole and takes it out. `told` is how much of what stays the listeners know already.
    fn step(&self, buffer: &mut Buffer, stream: Stream, pipe: BorrowedFd<'_>, last: bool, told: &mut usize) -> io::Result<Step> {
        let (length, at_end) = match buffer.look(pipe)? {
            Look::Bytes(length) => (length, false),
            Look::Nothing => (0, false),
            Look::End => (0, true),
        };
        if length == 0 {
            return Ok(if at_end { Step::End } else { Step::Wait });
        }
        // The last look is the last only if all fits into it.
        let whole = last && length < LOOK_BYTES;
        let data = &buffer.data[..length];
        self.tell(stream, &data[(*told).min(length)..]);
        let taken = self.log(stream, data, whole);
        let mut left = taken;
        while left > 0 {
            let read = rustix::io::read(pipe, &mut buffer.data[..left])?;
            if read == 0 {
                break;
            }
            left -= read;
        }
        *told = length - taken;
        Ok(if taken > 0 {
            Step::Moved
        } else if hung_up(pipe) {
            // A part of a line is all there is, and nobody will end it.
            let mut rest = vec![0; length];
            let read = rustix::io::read(pipe, &mut rest)?;
            self.log(stream, &rest[..read], true);
            Step::Moved
        } else {
            Step::Wait
        })
    }

    async fn drain_terminal(&self, master: AsyncFd<OwnedFd>) {
        let mut ended = self.ended.subscribe();
        let mut held = Vec::new();
        let mut buffer = vec![0_u8; 4096];
        loop {
            let last = *ended.borrow_and_update();
            match rustix::io::read(master.get_ref(), &mut buffer) {
                Ok(read) if read > 0 => {
                    self.tell(Stream::Output, &buffer[..read]);
                    held.extend_from_slice(&buffer[..read]);
                    let taken = self.log(Stream::Output, &held, false);
                    held.drain(..taken);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) if !last => tokio::select! {
                    ready = master.readable() => match ready {
                        Ok(mut ready) => ready.clear_ready(),
                        Err(_) => break,
                    },
                    changed = ended.changed() => if changed.is_err() { break },
                },
                // A terminal without anyone on the other side fails rather than ends.
                Ok(_) | Err(_) => break,
            }
        }
        self.log(Stream::Output, &held, true);
    }
}

enum Step {
    /// There may be more at once.
    Moved,
    /// There is nothing whole.
    Wait,
    /// Nobody will ever write again.
    End,
}

enum Look {
    Bytes(usize),
    Nothing,
    End,
}

/// Whether the last writer is gone.
fn hung_up(pipe: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::new(&pipe, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
}

/// Room for one look, and the pipe through which it is taken; one of each is kept for each thread.
struct Buffer {
    data: Vec<u8>,
    pipe: Option<(OwnedFd, OwnedFd)>,
}

thread_local! {
    static BUFFER: RefCell<Buffer> = const { RefCell::new(Buffer { data: Vec::new(), pipe: None }) };
}

impl Buffer {
    /// Copies what is in the pipe without taking it out.
    fn look(&mut self, from: BorrowedFd<'_>) -> io::Result<Look> {
        self.data.resize(LOOK_BYTES, 0);
        // Out of its place until it is empty again: a pipe that may still hold something is not used twice.
        let (read, write) = match self.pipe.take() {
            Some(pipe) => pipe,
            None => pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?,
        };
        let length = match tee(from, &write, LOOK_BYTES, SpliceFlags::NONBLOCK) {
            Ok(0) => {
                self.pipe = Some((read, write));
                return Ok(Look::End);
            }
            Ok(length) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                self.pipe = Some((read, write));
                return Ok(Look::Nothing);
            }
            Err(error) => return Err(error.into()),
        };
        let mut filled = 0;
        while filled < length {
            let got = rustix::io::read(&read, &mut self.data[filled..length])?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += got;
        }
        self.pipe = Some((read, write));
        Ok(Look::Bytes(length))
    }
}

#[cfg(test)]
mod tests;

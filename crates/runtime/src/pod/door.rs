//! The way to a supervisor: starts it, asks it, and replaces it when it is gone.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, socketpair};
use tokio::io::{Interest, unix::AsyncFd};

use crate::{
    readiness,
    supervise::{self, frame},
};

/// A connection to a supervisor.
pub(super) struct Connection(AsyncFd<OwnedFd>);

impl Connection {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Self(readiness::watch(socket, Interest::READABLE | Interest::WRITABLE)?))
    }

    /// Connects to the supervisor of the pod in `dir`.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let folder = rustix::fs::open(dir, flags, rustix::fs::Mode::empty())?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&socket, &supervise::socket_address(&folder)?)?;
        Self::new(socket)
    }

    /// The process at the other end.
    pub fn peer(&self) -> io::Result<i32> {
        Ok(rustix::net::sockopt::socket_peercred(self.0.get_ref())?.pid.as_raw_pid())
    }

    /// Sends one request.
    pub async fn send(&self, text: &str, files: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, |socket| frame::send(socket, text, files)).await
    }

    /// Receives one answer; the end of the connection is an error.
    pub async fn receive(&self) -> io::Result<frame::Message> {
        let message = self.0.async_io(Interest::READABLE, |socket| frame::receive(socket)).await?;
        message.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Starts the supervisor of the pod in `dir`, in the namespaces of `join` if one is given; its number, and a way to hear that it is ready.
pub(super) fn spawn(dir: &Path, join: Option<i32>) -> io::Result<(i32, Starting)> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    #[expect(clippy::disallowed_methods, reason = "this crate is where programs are started")]
    let mut command = tokio::process::Command::new(crate::early::program());
    command.arg0("coracle").arg(supervise::ROLE).arg(dir).env_clear();
    // A supervisor asks the small allocator alone; the fast one, which is in the program too, is to set up as little as it can.
    command.env("_RJEM_MALLOC_CONF", "tcache:false");
    if let Some(pid) = join {
        command.arg(pid.to_string());
    }
    let mut child = command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let pid = child.id().map_or(0, u32::cast_signed);
    // Its end is noticed where it is asked something; here it is only reaped.
    tokio::spawn(async move { child.wait().await });
    Ok((pid, Starting(Connection::new(ours)?)))
}

/// A supervisor that was started and has not yet said that it is ready; it ends when this is dropped before it was asked to be.
pub(super) struct Starting(Connection);

impl Starting {
    /// Lets it begin, since all that it needs is there, and waits for it; the first process of its shared process namespace, or 0.
    pub async fn ready(self) -> io::Result<i32> {
        self.0.send("go", &[]).await?;
        let message = self.0.receive().await?;
        match message.text.split_once(' ') {
            Some(("ready", pause)) => pause.parse().map_err(|_| io::ErrorKind::InvalidData.into()),
            Some(("failed", why)) => Err(io::Error::other(why.to_owned())),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Asks the supervisor in `dir` one thing.
pub(super) async fn ask(dir: &Path, text: &str, files: &[OwnedFd]) -> io::Result<(frame::Message, Connection)> {
    let connection = Connection::open(dir)?;
    let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
    connection.send(text, &files).await?;
    let message = connection.receive().await?;
    Ok((message, connection))
}

/// Whether this failure means that there is no supervisor any more.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotFound
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
    )
}

/// The mount point of the pod's shared memory.
pub(super) fn shm(dir: &Path) -> PathBuf {
    dir.join("shm")
}

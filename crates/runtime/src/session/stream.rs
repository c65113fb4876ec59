//! The streams of a session: a terminal, what flows from a container, and an input that ends with its first writer.

use std::{
    io,
    os::fd::OwnedFd,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd},
    net::unix::pipe,
    sync::mpsc,
};

use super::Output;
use crate::{container::Container, readiness};

/// Our end of a terminal.
#[derive(Clone)]
pub(crate) struct Terminal(Arc<AsyncFd<OwnedFd>>);

impl Terminal {
    /// A further handle on an open terminal.
    pub fn new(master: &Arc<OwnedFd>) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(master, true)?;
        Ok(Self(Arc::new(readiness::watch(master.try_clone()?, Interest::READABLE | Interest::WRITABLE)?)))
    }
}

impl AsyncRead for Terminal {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            let into = buffer.initialize_unfilled();
            let read = ready.try_io(|terminal| Ok(rustix::io::read(terminal.get_ref(), &mut *into)?));
            match read {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                // A terminal without anyone on the other side fails rather than ends.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Poll::Ready(Ok(())),
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.0.poll_write_ready(context))?;
            if let Ok(written) = ready.try_io(|terminal| Ok(rustix::io::write(terminal.get_ref(), data)?)) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a listener hears, as a stream to read.
pub(crate) fn flow(mut pieces: mpsc::Receiver<Bytes>) -> Output {
    let pieces = futures::stream::poll_fn(move |context| pieces.poll_recv(context).map(|piece| piece.map(Ok::<_, io::Error>)));
    Box::new(tokio_util::io::StreamReader::new(pieces))
}

/// The input of a container that ends when its first writer leaves.
pub(crate) struct Once {
    pipe: pipe::Sender,
    container: Container,
}

impl Once {
    /// The one writer.
    pub fn new(pipe: pipe::Sender, container: Container) -> Self {
        Self { pipe, container }
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.container.close_stdin();
    }
}

impl AsyncWrite for Once {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.pipe).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(context)
    }
}

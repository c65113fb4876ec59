//! Netlink in few lines: messages are written into one buffer, sent in one call and answered before that call returns, so that nothing
//! here ever waits. Knows the framing alone; which message means what is the business of its callers.
//!
//! The kernel works on a request inside of `sendmsg`, hence every answer already lies in the socket afterwards. A ready-made binding was
//! tried first: it cannot say what the rule set needs (dynamic map elements, hashes, masquerading) and waits for each answer.

pub(crate) mod message;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use message::{Batch, parse_messages};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt};

/// Room for one datagram of answers; the kernel never fills more than 32 KiB at once.
const RECEIVE_BYTES: usize = 64 * 1024;
/// A rule set for ten thousand services goes out in one piece.
const SEND_BUFFER_BYTES: usize = 64 * 1024 * 1024;
/// Refusals of a whole batch must not overrun the queue of answers.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Why the kernel was not told, or did not do it.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket could be had.
    #[error("cannot open a netlink socket")]
    Open(#[source] io::Error),
    /// The request did not go out.
    #[error("cannot send {what} to the kernel")]
    Send {
        /// The first message of the request.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer did not come in.
    #[error("cannot read the kernel's answer to {what}")]
    Receive {
        /// The first message of the request.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel said no.
    #[error("the kernel refused to {what}{hint}")]
    Refused {
        /// What the refused message was to do.
        what: &'static str,
        /// The kernel's own words, if it had any.
        hint: String,
        /// Its error number.
        #[source]
        source: io::Error,
    },
    /// The request was neither confirmed nor refused.
    #[error("the kernel did not answer the request to {what}")]
    Unanswered {
        /// The first message of the request.
        what: &'static str,
    },
}

impl NetlinkError {
    /// The kernel's error number, if it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// Which part of the kernel a socket speaks to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Family {
    Route,
    Netfilter,
}

/// A socket that belongs to the network namespace that its opener was in, wherever it is used later.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket into the network namespace of the calling thread.
    pub(crate) fn open(family: Family) -> Result<Self, NetlinkError> {
        let protocol = match family {
            Family::Route => None,
            Family::Netfilter => Some(netlink::NETFILTER),
        };
        let open = || -> rustix::io::Result<OwnedFd> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
            // Both need CAP_NET_ADMIN over the initial user namespace; without it the small buffers must do.
            let _ = sockopt::set_socket_send_buffer_size_force(&fd, SEND_BUFFER_BYTES);
            let _ = sockopt::set_socket_recv_buffer_size_force(&fd, RECEIVE_BUFFER_BYTES);
            Ok(fd)
        };
        let fd = open().map_err(|errno| NetlinkError::Open(errno.into()))?;
        speak_plainly(&fd).map_err(NetlinkError::Open)?;
        Ok(Self { fd, sequence: 1, buffer: vec![0; RECEIVE_BYTES] })
    }

    /// Sends a batch of requests and gathers what became of it. Refusals whose error number is in `tolerated` count as done.
    pub(crate) fn execute(&mut self, batch: Batch, tolerated: &[i32]) -> Result<(), NetlinkError> {
        self.exchange(batch, tolerated, |_, _| ()).map(|_| ())
    }

    /// Sends one dump request and hands each answer (kind and payload) to `each`. Says whether the kernel found the dump to be consistent.
    pub(crate) fn dump(&mut self, batch: Batch, each: impl FnMut(u16, &[u8])) -> Result<(), NetlinkError> {
        self.exchange(batch, &[], each).map(|_| ())
    }

    fn exchange(&mut self, batch: Batch, tolerated: &[i32], mut each: impl FnMut(u16, &[u8])) -> Result<(), NetlinkError> {
        let Some(what) = batch.labels().first().copied() else { return Ok(()) };
        let first = self.sequence;
        let (bytes, labels) = batch.finish(first);
        self.sequence = self.sequence.wrapping_add(u32::try_from(labels.len()).unwrap_or(u32::MAX)).max(1);
        rustix::net::send(&self.fd, &bytes, SendFlags::empty())
            .map_err(|errno| NetlinkError::Send { what, source: errno.into() })?;
        let mut answered = false;
        let mut refusal = None;
        loop {
            let length = match rustix::net::recv(&self.fd, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Ok((length, _)) => length,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(NetlinkError::Receive { what, source: errno.into() }),
            };
            for message in parse_messages(&self.buffer[..length]) {
                let index = message.sequence.wrapping_sub(first) as usize;
                // Answers to an earlier request that was given up.
                if index >= labels.len() {
                    continue;
                }
                match message.outcome() {
                    None => each(message.kind, message.payload),
                    Some((errno, _)) if errno == 0 || tolerated.contains(&errno) => answered = true,
                    Some((errno, hint)) => {
                        refusal.get_or_insert(NetlinkError::Refused {
                            what: labels[index],
                            hint,
                            source: io::Error::from_raw_os_error(errno),
                        });
                    }
                }
            }
        }
        match refusal {
            Some(refusal) => Err(refusal),
            None if answered => Ok(()),
            None => Err(NetlinkError::Unanswered { what }),
        }
    }
}

/// Asks for errors in words, and for answers that do not repeat the request.
fn speak_plainly(fd: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        #[expect(unsafe_code, reason = "no safe wrapper has these two options")]
        // SAFETY: the pointer and length describe `on`, which outlives the call; the descriptor is open.
        let result = unsafe {
            libc::setsockopt(
                fd.as_fd().as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                std::ptr::from_ref(&on).cast(),
                libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4),
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

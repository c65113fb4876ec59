//! Messages between agent and supervisor: one packet each, text of a few words, with open files beside it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// No message is longer; what is larger goes through a file.
pub(crate) const BYTES_MAX: usize = 4096;
/// No message carries more open files.
const FILES_MAX: usize = 24;

/// A received message.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// Its words.
    pub text: String,
    /// The files that came with it.
    pub files: Vec<OwnedFd>,
}

impl Message {
    /// The words, split at spaces, in order.
    pub fn words(&self) -> std::str::Split<'_, char> {
        self.text.split(' ')
    }
}

/// Sends one message whole.
pub(crate) fn send(socket: impl AsFd, text: &str, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let end = text.len().min(BYTES_MAX);
    sendmsg(socket, &[IoSlice::new(&text.as_bytes()[..end])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one message; `None` at the end of the connection.
pub(crate) fn receive(socket: impl AsFd) -> io::Result<Option<Message>> {
    let mut buffer = [0_u8; BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FILES_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut message = Message { text: String::from_utf8_lossy(&buffer[..received.bytes]).into_owned(), files: Vec::new() };
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = part {
            message.files.extend(files);
        }
    }
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn a_message_arrives_whole_and_with_its_files() {
        let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a pair");
        send(&a, "start web-1", &[a.as_fd(), b.as_fd()]).expect("sent");
        send(&a, "end", &[]).expect("sent");
        let first = receive(&b).expect("received").expect("a message");
        assert_eq!(first.words().collect::<Vec<_>>(), ["start", "web-1"]);
        assert_eq!(first.files.len(), 2);
        drop(first);
        assert_eq!(receive(&b).expect("received").expect("a message").text, "end");
        drop(a);
        assert!(receive(&b).expect("the end").is_none());
    }
}

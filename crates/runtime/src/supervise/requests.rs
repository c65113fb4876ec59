//! What the agent may ask of a supervisor, one connection a request. Never reads a specification: the new process does that itself.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::SystemTime,
};

use rustix::{
    fs::{Mode, OFlags, open},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{Process, Supervisor, child, frame, record};
use crate::process::{self, Joining};

impl Supervisor {
    /// Answers the request that waits on a connection, or lets go of a connection that ended.
    pub(super) fn answer(&mut self, index: usize) {
        let message = match frame::receive(&self.connections[index]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Ok(Some(message)) => message,
            Ok(None) | Err(_) => {
                self.connections.swap_remove(index);
                return;
            }
        };
        let word = message.words().next().unwrap_or_default().to_owned();
        let argument = message.words().nth(1).unwrap_or_default().to_owned();
        let late = message.words().nth(2).and_then(|count| count.parse().ok()).unwrap_or_default();
        match word.as_str() {
            "start" => self.start(index, argument, message.files, late),
            "exec" => self.exec(index, &argument, message.files, late),
            "reap" => {
                self.reap();
                self.say(index, "ok", &[]);
            }
            "socket" => self.give_socket(index, &argument),
            "terminal" => self.give_terminal(index, &argument),
            "close-stdin" => {
                self.container(&argument).map(|process| process.stdin.take());
                self.say(index, "ok", &[]);
            }
            "forget" => {
                self.processes.retain(|process| !process.ended || process.container.as_ref() != Some(&argument));
                self.say(index, "ok", &[]);
            }
            "end" => {
                self.say(index, "ok", &[]);
                self.ends = true;
            }
            _ => self.say(index, "failed unknown request", &[]),
        }
    }

    fn say(&self, index: usize, text: &str, files: &[OwnedFd]) {
        let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        let _ = frame::send(&self.connections[index], text, &files);
    }

    fn container(&mut self, id: &str) -> Option<&mut Process> {
        self.processes.iter_mut().find(|process| process.container.as_deref() == Some(id))
    }

    /// `start ID LATE` with the cgroups to enter, of which the child enters the last `LATE` itself: it becomes the container whose plan lies
    /// in its folder.
    fn start(&mut self, index: usize, id: String, mut early: Vec<OwnedFd>, late: usize) {
        let late = early.split_off(early.len().saturating_sub(late));
        let folder = record::container_dir(&self.dir, &id);
        let fifo = |name: &str, flags| open(folder.join(name), flags | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty());
        let spare = ["stdout", "stderr"].iter().filter_map(|name| fifo(name, OFlags::RDONLY).ok()).collect();
        let stdin = fifo("stdin", OFlags::RDWR).ok();
        let mut flags = libc::CLONE_NEWNS;
        if !self.spec.host_pid && !self.spec.share_processes {
            flags |= libc::CLONE_NEWPID;
        }
        let pod = self.dir.clone();
        let cgroup = child::cgroup_folder(&early);
        let made = child::clone_into(flags, cgroup, |status| process::become_container(&pod, &folder, &late, status));
        self.made(index, made, Some(id), spare, stdin, &early);
    }

    /// `exec ID LATE` with the container's process handle, the specification, three streams, and the cgroups to enter.
    fn exec(&mut self, index: usize, id: &str, mut files: Vec<OwnedFd>, late: usize) {
        if files.len() < 5 {
            return self.say(index, "failed too few files", &[]);
        }
        let mut cgroups = files.split_off(5);
        let late = cgroups.split_off(cgroups.len().saturating_sub(late));
        let mut files = files.into_iter();
        let (Some(target), Some(spec)) = (files.next(), files.next()) else { return };
        let folder = record::container_dir(&self.dir, id);
        let joining = Joining { target, spec, streams: files.collect(), late };
        // Children are made in the container's process namespace; one that has ended takes no more.
        let own = !self.spec.host_pid && !self.spec.share_processes;
        // SAFETY: both are plain calls; the caller's own process namespace does not change, that of its next children does.
        let entered = !own || unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&joining.target), libc::CLONE_NEWPID) } == 0;
        if !entered {
            return self.say(index, "failed 0 the container has ended", &[]);
        }
        let cgroup = child::cgroup_folder(&cgroups);
        let made = child::clone_into(0, cgroup, |status| process::become_exec(&folder, joining, status));
        if own {
            let _ = move_into_link_name_space(self.process_namespace.as_fd(), Some(LinkNameSpaceType::ProcessID));
        }
        self.made(index, made, None, Vec::new(), None, &cgroups);
    }

    /// Moves the new process where it belongs while it sets itself up, then lets it execute its program.
    fn made(
        &mut self,
        index: usize,
        made: io::Result<child::Child>,
        container: Option<String>,
        spare: Vec<OwnedFd>,
        stdin: Option<OwnedFd>,
        cgroups: &[OwnedFd],
    ) {
        let connection = self.connections.swap_remove(index);
        let child = match made {
            Ok(child) => child,
            Err(error) => {
                let _ = frame::send(&connection, &format!("failed 0 cannot make a process: {error}"), &[]);
                return;
            }
        };
        child::move_into(cgroups, child.pid);
        let _ = frame::send(&child.status, "go", &[]);
        self.processes.push(Process {
            pid: child.pid,
            pidfd: Some(child.pidfd),
            container,
            status: Some(child.status),
            failure: None,
            started: SystemTime::now(),
            ended: false,
            connection: Some(connection),
            terminal: None,
            _spare: spare,
            stdin,
        });
    }

    /// `socket 4|6`: a socket belongs to the network that it was made in, so the agent can connect it from outside.
    fn give_socket(&self, index: usize, version: &str) {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let family = if version == "6" { AddressFamily::INET6 } else { AddressFamily::INET };
        match socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None) {
            Ok(socket) => self.say(index, "ok", &[socket]),
            Err(error) => self.say(index, &format!("failed 0 {error}"), &[]),
        }
    }

    fn give_terminal(&mut self, index: usize, id: &str) {
        let copy = self.container(id).and_then(|process| process.terminal.as_ref()?.try_clone().ok());
        match copy {
            Some(terminal) => self.say(index, "ok", &[terminal]),
            None => self.say(index, "failed 0 no terminal", &[]),
        }
    }
}

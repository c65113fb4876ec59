//! Ways into a running pod: a further program, the streams of a container, a port.

use std::{
    io::{self, Write as _},
    os::fd::OwnedFd,
    sync::Arc,
};

use rustix::{
    fs::{MemfdFlags, Mode, OFlags, memfd_create, open},
    pipe::{PipeFlags, pipe_with},
};
use tokio::{net::TcpStream, net::unix::pipe};

use super::{
    Pod, PodError, adopt, door,
    running::Container,
    start::{doors, refusal},
};
use crate::{
    logs::pump::Stream,
    session::{Control, ExecSpec, Session, Waiting, stream},
    supervise::frame::Message,
};

/// Asks the pod's supervisor; one that has died is replaced, and asked again.
pub(super) async fn ask(pod: &Pod, text: &str, files: &[OwnedFd]) -> Result<(Message, door::Connection), PodError> {
    let dir = &pod.spec().dir;
    let failed = |source| PodError::ReachSupervisor { id: pod.spec().id.clone(), source };
    match door::ask(dir, text, files).await {
        Err(error) if door::is_gone(&error) => {
            adopt::revive(pod).await?;
            door::ask(dir, text, files).await.map_err(failed)
        }
        done => done.map_err(failed),
    }
}

/// Runs a further program in a container.
pub(super) async fn run(pod: &Pod, container: &Container, exec: &ExecSpec) -> Result<Session, PodError> {
    let id = &container.spec().id;
    let failed = |error: io::Error| PodError::StartContainer { message: format!("prepare the exec: {error}") };
    let Some(handle) = &container.0.handle else { return Err(PodError::FindContainer(id.clone())) };
    let (ours, theirs) = streams(exec).map_err(failed)?;
    let mut files = vec![handle.try_clone().map_err(failed)?, in_memory(exec).map_err(failed)?];
    files.extend(theirs);
    let doors = doors(pod, container.spec(), container.cgroup(), false).map_err(failed)?;
    let request = format!("exec {id} {}", doors.late.len());
    files.extend(doors.early.into_iter().chain(doors.late));
    let (mut message, connection) = ask(pod, &request, &files).await?;
    drop(files);
    if !message.text.starts_with("started ") {
        return Err(refusal(&message.text));
    }
    let terminal = if exec.tty { message.files.pop() } else { None };
    let [stdin, stdout, stderr] = ours;
    let mut session = Session {
        stdin: stdin.map(pipe::Sender::from_owned_fd).transpose().map_err(failed)?.map(|end| Box::new(end) as _),
        stdout: stdout.map(pipe::Receiver::from_owned_fd).transpose().map_err(failed)?.map(|end| Box::new(end) as _),
        stderr: stderr.map(pipe::Receiver::from_owned_fd).transpose().map_err(failed)?.map(|end| Box::new(end) as _),
        control: Control::new(terminal, exit_of(connection)),
    };
    if let Some(terminal) = &session.control.terminal {
        let terminal = stream::Terminal::new(terminal).map_err(failed)?;
        session.stdin = exec.stdin.then(|| Box::new(terminal.clone()) as _);
        session.stdout = exec.stdout.then(|| Box::new(terminal) as _);
    }
    Ok(session)
}

/// The exit code, whenever the supervisor tells it; one whose supervisor dies meanwhile is not known.
fn exit_of(connection: door::Connection) -> Waiting {
    let (sender, receiver) = tokio::sync::watch::channel(None);
    tokio::spawn(async move {
        let message = connection.receive().await;
        let code = message.ok().and_then(|message| message.text.strip_prefix("exit ")?.parse().ok());
        sender.send_replace(Some(code.unwrap_or(255)));
    });
    Waiting::Exec(receiver)
}

/// A file in memory that holds the specification.
fn in_memory(exec: &ExecSpec) -> io::Result<OwnedFd> {
    let mut file = std::fs::File::from(memfd_create("exec", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(exec)?)?;
    io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

/// Our ends and the program's ends of its three streams; nothing where nobody asked, or the terminal takes their place.
fn streams(exec: &ExecSpec) -> io::Result<([Option<OwnedFd>; 3], [OwnedFd; 3])> {
    let wanted = |asked: bool| if asked && !exec.tty { pipe_with(PipeFlags::CLOEXEC).map(Some) } else { Ok(None) };
    let nothing = || open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let (mut ours, mut theirs) = ([None, None, None], [nothing()?, nothing()?, nothing()?]);
    for (index, asked) in [exec.stdin, exec.stdout, exec.stderr].into_iter().enumerate() {
        if let Some((read, write)) = wanted(asked)? {
            let (mine, other) = if index == 0 { (write, read) } else { (read, write) };
            rustix::io::ioctl_fionbio(&mine, true)?;
            ours[index] = Some(mine);
            theirs[index] = other;
        }
    }
    Ok((ours, theirs))
}

/// Joins the standard streams of a container.
pub(super) fn attach(container: &Container) -> Result<Session, PodError> {
    let failed = |error: io::Error| PodError::StartContainer { message: format!("attach: {error}") };
    let inner = &container.0;
    let mut session = Session {
        stdin: None,
        stdout: Some(stream::flow(inner.pump.listen(Stream::Output))),
        stderr: None,
        control: Control::new(
            inner.terminal.as_ref().map(OwnedFd::try_clone).transpose().map_err(failed)?,
            Waiting::Container(container.clone()),
        ),
    };
    if let Some(terminal) = &session.control.terminal {
        let terminal = stream::Terminal::new(terminal).map_err(failed)?;
        session.stdin = container.spec().stdin.then(|| Box::new(terminal) as _);
        return Ok(session);
    }
    session.stderr = Some(stream::flow(inner.pump.listen(Stream::Error)));
    let spare = inner.stdin.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(spare) = &*spare {
        // A description of its own, so that it alone does not block.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let own = open(inner.folder.join("stdin"), flags, Mode::empty()).or_else(|_| rustix::io::dup(spare));
        let sender = own.map_err(io::Error::from).and_then(pipe::Sender::from_owned_fd).map_err(failed)?;
        session.stdin = Some(if container.spec().stdin_once {
            Box::new(stream::Once::new(sender, container.clone()))
        } else {
            Box::new(sender)
        });
    }
    drop(spare);
    Ok(session)
}

impl Container {
    /// Ends its standard input: nobody can write to it any more.
    pub(crate) fn close_stdin(&self) {
        let inner = Arc::clone(&self.0);
        inner.stdin.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime
                .spawn(async move { door::ask(&inner.pod_dir, &format!("close-stdin {}", inner.spec.id), &[]).await.map(drop) });
        }
    }
}

/// Connects to a port of loopback inside the pod's network, of the old protocol first.
pub(super) async fn dial(pod: &Pod, port: u16) -> Result<TcpStream, PodError> {
    let failed = |source| PodError::Dial { id: pod.spec().id.clone(), port, source };
    let mut first = None;
    for (version, address) in [("4", std::net::IpAddr::from([127, 0, 0, 1])), ("6", std::net::Ipv6Addr::LOCALHOST.into())] {
        let (mut message, _) = ask(pod, &format!("socket {version}"), &[]).await?;
        let Some(socket) = message.files.pop() else { continue };
        let socket = tokio::net::TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
        match socket.connect((address, port).into()).await {
            Ok(stream) => return Ok(stream),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(failed(first.unwrap_or_else(|| io::ErrorKind::Unsupported.into())))
}

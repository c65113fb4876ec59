//! How others speak to a keeper: a connection for each request, a line each way.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
};

use super::{Answer, KeeperError, Kept, Program, ROLE, Request};

/// The door to a keeper.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Starts a keeper that listens at `socket`, detached from this process and its terminal; its complaints go to `log`.
    pub async fn spawn(socket: &Path, log: &Path) -> Result<Self, KeeperError> {
        start(socket, log).await.map_err(KeeperError::Start)?;
        Self::connect(socket).await
    }

    /// The keeper that listens at `socket`.
    pub async fn connect(socket: &Path) -> Result<Self, KeeperError> {
        let client = Self { socket: socket.to_owned() };
        client.list().await?;
        Ok(client)
    }

    /// Starts a process and keeps it; refused if one of that name runs. Returns its number.
    pub async fn start(&self, program: &Program) -> Result<i32, KeeperError> {
        match self.ask(&Request::Start(program.clone())).await? {
            Answer::Started(pid) => Ok(pid),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Asks it to end, kills it after its grace, and forgets it; returns when it is gone. Fine if there is none.
    pub async fn stop(&self, name: &str) -> Result<(), KeeperError> {
        self.done(&Request::Stop(name.to_owned())).await
    }

    /// Kills it and everything in its `kill_cgroup` at once, and does not start it again; `start` may.
    pub async fn kill(&self, name: &str) -> Result<(), KeeperError> {
        self.done(&Request::Kill(name.to_owned())).await
    }

    /// All that are kept.
    pub async fn list(&self) -> Result<Vec<Kept>, KeeperError> {
        match self.ask(&Request::List).await? {
            Answer::List(list) => Ok(list),
            answer => Err(unexpected(&answer)),
        }
    }

    /// The exit code of an orphan that fell to the keeper, by its process id and its start time in clock ticks (field 22 of `/proc/PID/stat`).
    pub async fn orphan_exit(&self, pid: i32, start_ticks: u64) -> Result<Option<i32>, KeeperError> {
        match self.ask(&Request::Orphan { pid, ticks: start_ticks }).await? {
            Answer::Orphan(code) => Ok(code),
            answer => Err(unexpected(&answer)),
        }
    }

    /// Stops all that it keeps, in reverse order of their start, then ends itself.
    pub async fn shutdown(&self) -> Result<(), KeeperError> {
        self.done(&Request::Shutdown).await
    }

    async fn done(&self, request: &Request) -> Result<(), KeeperError> {
        match self.ask(request).await? {
            Answer::Done => Ok(()),
            answer => Err(unexpected(&answer)),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, KeeperError> {
        let reach = |source| KeeperError::Reach { path: self.socket.clone(), source };
        match self.exchange(request).await.map_err(reach)? {
            Answer::Refused(why) => Err(KeeperError::Obey(why)),
            answer => Ok(answer),
        }
    }

    async fn exchange(&self, request: &Request) -> io::Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).await?;
        if answer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&answer)?)
    }
}

fn unexpected(answer: &Answer) -> KeeperError {
    KeeperError::Obey(format!("it answered {answer:?}"))
}

async fn start(socket: &Path, log: &Path) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    let log = std::fs::File::options().create(true).append(true).open(log)?;
    #[expect(clippy::disallowed_methods, reason = "this crate is where programs are started")]
    let mut command = tokio::process::Command::new(crate::early::unsealed_program());
    command.arg0("coracle").arg(ROLE).arg(socket);
    let mut child = command.stdin(Stdio::from(theirs)).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log)).spawn()?;
    drop(command);
    tokio::spawn(async move { child.wait().await });
    let mut stream = UnixStream::from_std(std::os::unix::net::UnixStream::from(ours))?;
    let mut answer = String::new();
    BufReader::new(&mut stream).read_line(&mut answer).await?;
    if answer == "ready\n" { Ok(()) } else { Err(io::Error::other(answer.trim().to_owned())) }
}

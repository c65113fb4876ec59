//! One run of a program in a container, or one look at its standard streams, as the caller holds it.

pub(crate) mod stream;

use std::{fmt, os::fd::OwnedFd, sync::Arc};

use rustix::termios::{Winsize, tcsetwinsize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use crate::{container::Container, pod::PodError};

/// A further program to run in a container; user, folder, capabilities and environment are the container's.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExecSpec {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Beyond the container's environment.
    pub env: Vec<(String, String)>,
    /// Whether it has a terminal of its own; then there is no separate standard error.
    pub tty: bool,
    /// Whether the caller writes its standard input.
    pub stdin: bool,
    /// Whether the caller reads its standard output.
    pub stdout: bool,
    /// Whether the caller reads its standard error.
    pub stderr: bool,
}

/// What the caller writes to.
pub type Input = Box<dyn AsyncWrite + Send + Sync + Unpin>;
/// What the caller reads from.
pub type Output = Box<dyn AsyncRead + Send + Sync + Unpin>;

/// The caller's ends. Taking a stream out of its field and dropping it closes it.
pub struct Session {
    /// Standard input, when asked for.
    pub stdin: Option<Input>,
    /// Standard output, when asked for.
    pub stdout: Option<Output>,
    /// Standard error, when asked for and there is no terminal.
    pub stderr: Option<Output>,
    pub(crate) control: Control,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").finish_non_exhaustive()
    }
}

/// What a session can do beside its streams; can be kept apart from them.
#[derive(Clone)]
pub struct Control {
    pub(crate) terminal: Option<Arc<OwnedFd>>,
    waiting: Waiting,
}

/// Whose end a session waits for.
#[derive(Clone)]
pub(crate) enum Waiting {
    /// That of a further program.
    Exec(watch::Receiver<Option<i32>>),
    /// That of the container.
    Container(Container),
}

impl Session {
    /// The part that resizes and waits, to hold apart from the streams.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Sets the size of the terminal; nothing without one.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), PodError> {
        self.control.resize(columns, rows)
    }

    /// The exit code of the program, or of the container for one who attached.
    pub async fn wait(&self) -> i32 {
        self.control.wait().await
    }
}

impl Control {
    pub(crate) fn new(terminal: Option<OwnedFd>, waiting: Waiting) -> Self {
        Self { terminal: terminal.map(Arc::new), waiting }
    }

    /// Sets the size of the terminal; nothing without one.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), PodError> {
        let Some(terminal) = &self.terminal else { return Ok(()) };
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(terminal, size).map_err(|error| PodError::Resize(error.into()))
    }

    /// The exit code of the program, or of the container for one who attached.
    pub async fn wait(&self) -> i32 {
        match &self.waiting {
            Waiting::Container(container) => container.wait().await.code,
            Waiting::Exec(code) => {
                let mut code = code.clone();
                code.wait_for(Option::is_some).await.ok().and_then(|code| *code).unwrap_or(255)
            }
        }
    }
}

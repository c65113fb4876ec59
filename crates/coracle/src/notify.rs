//! Telling whoever started us that we are ready: the datagram protocol of `sd_notify(3)`, so that the same program works below
//! systemd (`Type=notify`), below the keeper, and below `coracle up`, which listens here instead of asking again and again.

use std::{env, io, os::unix::net::UnixDatagram as Datagram, path::Path, time::Duration};

use anyhow::Context as _;
use tokio::net::UnixDatagram;

/// The variable that names the socket.
pub const SOCKET: &str = "NOTIFY_SOCKET";

/// Says that this process is ready; nothing happens when nobody asked.
pub fn ready(who: &str) {
    let Some(path) = env::var_os(SOCKET) else { return };
    let sent = Datagram::unbound().and_then(|socket| socket.send_to(format!("READY=1\nSTATUS={who}\n").as_bytes(), &path));
    // Whoever wanted to know may be gone: `up` returns as soon as it has heard all, and a restarted process tells again.
    if let Err(error) = sent {
        tracing::debug!(%error, "nobody hears that this process is ready");
    }
}

/// Hears who is ready.
pub struct Listener {
    socket: UnixDatagram,
}

impl Listener {
    /// Listens on a path, which is made anew.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", path.display()));
            }
            _ => {}
        }
        let socket = UnixDatagram::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
        Ok(Self { socket })
    }

    /// The next process that says that it is ready; `None` when nobody did for so long.
    ///
    /// # Errors
    /// When the socket breaks.
    pub async fn next(&self, patience: Duration) -> anyhow::Result<Option<String>> {
        let mut buffer = [0; 512];
        match tokio::time::timeout(patience, self.socket.recv(&mut buffer)).await {
            Err(_) => Ok(None),
            Ok(received) => {
                let length = received.context("cannot hear who is ready")?;
                let text = String::from_utf8_lossy(&buffer[..length]);
                Ok(Some(text.lines().find_map(|line| line.strip_prefix("STATUS=")).unwrap_or_default().to_owned()))
            }
        }
    }
}

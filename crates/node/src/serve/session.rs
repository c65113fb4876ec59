//! A session of a program in a container, whatever carries it: channels in, channels out, and at the end how the program ended.

use bytes::Bytes;
use runtime::session::{Input, Output, Session};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// The channels, as both protocols number them.
pub(super) const STDIN: u8 = 0;
pub(super) const STDOUT: u8 = 1;
pub(super) const STDERR: u8 = 2;
pub(super) const ERROR: u8 = 3;
pub(super) const RESIZE: u8 = 4;

const BUFFER: usize = 32 << 10;
const PIECES_MAX: usize = 16;

/// What goes over a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes.
    Data(Bytes),
    /// Nothing more comes.
    End,
}

/// A piece, and the channel that it came or goes by.
pub(super) type Numbered = (u8, Piece);

/// The session's end of the channels.
pub(super) struct Wire {
    inlet: mpsc::Receiver<Numbered>,
    outlet: mpsc::Sender<Numbered>,
}

impl Wire {
    /// Both directions apart.
    pub(super) fn split(self) -> (mpsc::Receiver<Numbered>, mpsc::Sender<Numbered>) {
        (self.inlet, self.outlet)
    }
}

/// The carrier's end of the channels.
pub(super) struct WireEnd {
    pub(super) to_session: mpsc::Sender<Numbered>,
    pub(super) from_session: mpsc::Receiver<Numbered>,
}

/// Both ends of fresh channels.
pub(super) fn wire() -> (Wire, WireEnd) {
    let (to_session, inlet) = mpsc::channel(PIECES_MAX);
    let (outlet, from_session) = mpsc::channel(PIECES_MAX);
    (Wire { inlet, outlet }, WireEnd { to_session, from_session })
}

/// What was asked of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    pub(super) tty: bool,
}

impl Wanted {
    /// From the parameters that the server passes on, or a client gives directly.
    pub(super) fn read(all: &[(String, String)]) -> Self {
        let on = |names: [&str; 2]| names.iter().any(|name| super::flag(all, name));
        let tty = super::flag(all, "tty");
        Self { stdin: on(["input", "stdin"]), stdout: on(["output", "stdout"]), stderr: on(["error", "stderr"]) && !tty, tty }
    }
}

/// Carries a session until its program ended and all it said is sent, or the client left.
pub(super) async fn run(mut session: Session, wire: Wire, is_exec: bool) {
    let Wire { inlet, outlet } = wire;
    let control = session.control();
    let (stdin, stdout, stderr) = (session.stdin.take(), session.stdout.take(), session.stderr.take());
    drop(session);
    let resizing = control.clone();
    let reading = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        read(inlet, stdin, |columns, rows| drop(resizing.resize(columns, rows))).await;
    }));
    let ended = async {
        let (out, errors) = (outlet.clone(), outlet.clone());
        tokio::join!(write(stdout, STDOUT, out), write(stderr, STDERR, errors));
        control.wait().await
    };
    tokio::select! {
        code = ended => {
            let status = if is_exec { outcome(code) } else { outcome(0) };
            let _ = outlet.send((ERROR, Piece::Data(status.to_string().into()))).await;
        }
        // A program outlives the client that started it, but its output goes nowhere.
        () = outlet.closed() => {}
    }
    drop(reading);
}

/// How a program ended, as clients read it.
pub(super) fn outcome(code: i32) -> serde_json::Value {
    if code == 0 {
        return json!({ "metadata": {}, "status": "Success" });
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with non-zero exit code: exit status {code}"),
        "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
    })
}

/// A session that could not begin.
pub(super) fn failure(message: &str) -> serde_json::Value {
    json!({ "metadata": {}, "status": "Failure", "reason": "InternalError", "message": message, "code": 500 })
}

/// Tells a client that its session could not begin.
pub(super) async fn refuse(wire: Wire, message: &str) {
    let _ = wire.outlet.send((ERROR, Piece::Data(failure(message).to_string().into()))).await;
}

/// Tells a client that its program could not be executed, and what a shell would return.
pub(super) async fn refuse_with(wire: Wire, message: &str, code: i32) {
    let mut told = outcome(code);
    told["message"] = message.into();
    let _ = wire.outlet.send((ERROR, Piece::Data(told.to_string().into()))).await;
}

async fn read(mut inlet: mpsc::Receiver<Numbered>, mut stdin: Option<Input>, resize: impl Fn(u16, u16)) {
    while let Some((channel, piece)) = inlet.recv().await {
        match (channel, piece) {
            (STDIN, Piece::Data(bytes)) => {
                if let Some(open) = &mut stdin
                    && (open.write_all(&bytes).await.is_err() || open.flush().await.is_err())
                {
                    stdin = None;
                }
            }
            (STDIN, Piece::End) => stdin = None,
            (RESIZE, Piece::Data(bytes)) => {
                // Sizes come as a stream of documents; a piece may hold several.
                for size in serde_json::Deserializer::from_slice(&bytes).into_iter::<Size>().flatten() {
                    resize(size.width, size.height);
                }
            }
            _ => {}
        }
    }
}

#[derive(serde::Deserialize)]
struct Size {
    #[serde(rename = "Width")]
    width: u16,
    #[serde(rename = "Height")]
    height: u16,
}

async fn write(stream: Option<Output>, channel: u8, outlet: mpsc::Sender<Numbered>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; BUFFER];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let piece = Piece::Data(Bytes::copy_from_slice(&buffer[..count]));
        if outlet.send((channel, piece)).await.is_err() {
            return;
        }
    }
    let _ = outlet.send((channel, Piece::End)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_is_told_as_clients_read_it() {
        assert_eq!(outcome(0)["status"], "Success");
        let failed = outcome(3);
        assert_eq!(failed["reason"], "NonZeroExitCode");
        assert_eq!(failed["details"]["causes"][0]["message"], "3");
    }

    #[test]
    fn what_is_wanted_is_read_in_both_spellings() {
        let of = |query: &str| Wanted::read(&super::super::parameters(query));
        assert_eq!(of("input=1&output=1&error=1"), Wanted { stdin: true, stdout: true, stderr: true, tty: false });
        assert_eq!(
            of("stdin=true&stdout=true&stderr=true&tty=true"),
            Wanted { stdin: true, stdout: true, stderr: false, tty: true }
        );
    }
}

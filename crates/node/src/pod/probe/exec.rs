//! Runs a program in the container and keeps the beginning of what it says.

use runtime::session::ExecSpec;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::pod::run::Target;
use crate::pod::steps::chain;

/// So much of the output is kept.
const OUTPUT_BYTES_MAX: usize = 10 << 10;

/// The exit code and what was said.
pub(in crate::pod) async fn run(target: &Target, argv: Vec<String>) -> Result<(i32, String), String> {
    let exec = ExecSpec { argv, stdout: true, stderr: true, ..ExecSpec::default() };
    let session = target.sandbox.exec(&target.running.spec().id, exec).await;
    let mut session = session.map_err(|error| chain(&error))?;
    let (stdout, stderr) = (session.stdout.take(), session.stderr.take());
    let control = session.control();
    drop(session);
    let ((mut said, complained), code) = tokio::join!(async { tokio::join!(read(stdout), read(stderr)) }, control.wait());
    said.extend(complained);
    said.truncate(OUTPUT_BYTES_MAX);
    Ok((code, String::from_utf8_lossy(&said).into_owned()))
}

/// Reads to the end, keeping the beginning.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
    }
    kept
}

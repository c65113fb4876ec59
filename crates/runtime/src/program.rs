//! Programs of the host: the one place that starts them.

use std::{io, process::Stdio};

use tokio::io::AsyncWriteExt as _;

/// What a program left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Exit code, 128 + n for a signal.
    pub code: i32,
    /// What it wrote.
    pub stdout: Vec<u8>,
    /// What it complained of.
    pub stderr: Vec<u8>,
}

/// Runs a program to its end; it is killed when the caller stops waiting.
pub async fn run(program: &str, arguments: &[&str], stdin: &[u8]) -> io::Result<Finished> {
    use std::os::unix::process::ExitStatusExt as _;
    #[expect(clippy::disallowed_methods, reason = "this is where programs are started")]
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let input = child.stdin.take();
    let feed = async {
        if let Some(mut input) = input {
            // A program need not read what it is given.
            let _ = input.write_all(stdin).await;
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    let output = output?;
    let code = output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or_default());
    Ok(Finished { code, stdout: output.stdout, stderr: output.stderr })
}

/// Makes this process the one to which orphans below it fall.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gets_its_input_and_gives_its_output_and_code() {
        let finished = run("/bin/sh", &["-c", "cat; echo bad >&2; exit 3"], b"text").await.expect("run");
        assert_eq!(finished, Finished { code: 3, stdout: b"text".to_vec(), stderr: b"bad\n".to_vec() });
        assert!(run("/no/such/program", &[], b"").await.is_err());
    }
}

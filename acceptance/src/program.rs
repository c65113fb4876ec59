//! Starting programs in tests, with all that they said kept for the failure's text.

use std::{
    io::Write as _,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail};

/// A program to be started.
#[derive(Debug)]
pub struct Program(Command, Option<String>);

/// What a program left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Its exit code, -1 after a signal.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Finished {
    /// What it printed, if it succeeded.
    ///
    /// # Errors
    /// When it did not.
    pub fn ok(self) -> anyhow::Result<String> {
        if self.code != 0 {
            bail!("exit code {}\n{}\n{}", self.code, self.stdout.trim_end(), self.stderr.trim_end());
        }
        Ok(self.stdout)
    }

    /// Everything that it said.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Program {
    /// A program by its name or path.
    #[expect(clippy::disallowed_methods, reason = "tests start programs as a user does")]
    pub fn new(name: impl AsRef<std::ffi::OsStr>) -> Self {
        Self(Command::new(name), None)
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<S: AsRef<std::ffi::OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.0.args(arguments);
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// What the program reads.
    #[must_use]
    pub fn input(mut self, text: &str) -> Self {
        self.1 = Some(text.to_owned());
        self
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(mut self) -> anyhow::Result<Finished> {
        let input = self.1.take();
        let name = format!("{:?}", self.0);
        self.0.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.0.spawn().with_context(|| format!("cannot start {name}"))?;
        if let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) {
            // A program that ends without reading all is no failure of the writing side.
            let _ = stdin.write_all(text.as_bytes());
        }
        let output = child.wait_with_output().with_context(|| format!("cannot wait for {name}"))?;
        Ok(Finished {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it with this program's own input and output; its exit code.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn through(mut self) -> anyhow::Result<i32> {
        let status = self.0.status().with_context(|| format!("cannot start {:?}", self.0))?;
        Ok(status.code().unwrap_or(101))
    }

    /// Starts it, with its input and output as pipes.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut self) -> anyhow::Result<Started> {
        let child = self.0.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Ok(Started(child.with_context(|| format!("cannot start {:?}", self.0))?))
    }
}

/// A program that runs beside the test, and ends with it.
#[derive(Debug)]
pub struct Started(pub Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program beside the test.
///
/// # Errors
/// When it cannot be started.
pub fn start(program: Program) -> anyhow::Result<Started> {
    program.spawn()
}

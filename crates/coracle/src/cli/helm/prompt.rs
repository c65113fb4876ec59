//! What a person types: names, and what is not shown. It keeps nothing.

use std::io::{BufRead, Write as _};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use super::Fault;
use crate::output;

/// Puts a terminal back as it was.
struct Silence(Termios);

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Stops the terminal from showing what is typed; fails where there is none.
fn silence() -> Result<Silence, Fault> {
    let before = termios::tcgetattr(std::io::stdin()).map_err(|_| Fault::new("inappropriate ioctl for device"))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    silent.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
    termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &silent)?;
    Ok(Silence(before))
}

fn ask(text: &str) {
    output::text(text);
    let _ = std::io::stdout().flush();
}

/// A text without the one end of a line that it may have.
fn without_end(mut text: String) -> String {
    let line = text.strip_suffix('\n').unwrap_or(&text);
    text.truncate(line.strip_suffix('\r').unwrap_or(line).len());
    text
}

/// The first line of what is read.
pub(super) fn first_line(mut reader: impl BufRead) -> Result<String, Fault> {
    let mut line = String::new();
    match reader.read_line(&mut line)? {
        0 => Err(Fault::new("EOF")),
        _ => Ok(without_end(line)),
    }
}

/// All of the standard input, which is one password.
pub(super) fn piped() -> Result<String, Fault> {
    Ok(without_end(std::io::read_to_string(std::io::stdin())?))
}

fn typed() -> Result<String, Fault> {
    first_line(std::io::stdin().lock())
}

/// Asks for what may be shown.
pub(super) fn shown(text: &str) -> Result<String, Fault> {
    ask(text);
    typed()
}

/// Asks for what is not shown, such as a password; the line stays open.
pub(super) fn hidden(text: &str) -> Result<String, Fault> {
    ask(text);
    let _silence = silence()?;
    typed()
}

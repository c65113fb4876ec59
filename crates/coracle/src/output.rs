//! What commands print: a table for people, JSON for programs, progress on a terminal. The only place that prints.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize as _, Stream};
use serde::Serialize;

/// For people, or for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Text for people
    #[default]
    Text,
    /// JSON for programs
    Json,
}

/// The form of the output, the same flag on every command that prints.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Form {
    /// The form of the output
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Output,
}

impl Form {
    /// Prints a result: as JSON, or as the text that `text` makes of it.
    pub fn print<T: Serialize>(self, result: &T, text: impl FnOnce(&T) -> String) {
        match self.output {
            Output::Json => line(&serde_json::to_string_pretty(result).unwrap_or_default()),
            Output::Text => line(text(result).trim_end()),
        }
    }
}

/// Prints a line of a command's result.
#[expect(clippy::print_stdout, reason = "the one place where results are printed")]
pub fn line(text: &str) {
    println!("{text}");
}

/// Prints a remark beside the result.
#[expect(clippy::print_stderr, reason = "the one place where remarks are printed")]
pub fn remark(text: &str) {
    eprintln!("{text}");
}

/// Sends what the program logs to the standard error; `RUST_LOG` chooses what.
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Rows below a heading, in columns that align.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let count = heading.len();
    let cell = |row: &[String], column: usize| row.get(column).map_or(0, |text| text.chars().count());
    let widths: Vec<usize> = (0..count)
        .map(|column| rows.iter().map(|row| cell(row, column)).max().unwrap_or(0).max(heading[column].chars().count()))
        .collect();
    let mut text = String::new();
    let heading: Vec<String> = heading.iter().map(|name| (*name).to_owned()).collect();
    for (index, row) in std::iter::once(&heading).chain(rows).enumerate() {
        let mut written = String::new();
        for (column, width) in widths.iter().enumerate() {
            let value = row.get(column).map_or("", String::as_str);
            written.push_str(value);
            written.extend(std::iter::repeat_n(' ', width - value.chars().count() + 3));
        }
        let written = written.trim_end();
        if index == 0 {
            text.push_str(&written.if_supports_color(Stream::Stdout, |text| text.bold()).to_string());
        } else {
            text.push_str(written);
        }
        text.push('\n');
    }
    text
}

/// Steps that take time, shown as they go: a spinner on a terminal, a line when done elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
}

impl Progress {
    /// Begins; the first step is named next.
    pub fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(80));
            bar
        });
        Self { bar, begun: Instant::now() }
    }

    /// What is being done now.
    pub fn step(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// What is done, with the time since the start.
    pub fn done(&self, text: &str) {
        let mark = "✓".if_supports_color(Stream::Stderr, |mark| mark.green()).to_string();
        let written = format!("{mark} {text} ({:.2} s)", self.begun.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.suspend(|| remark(&written)),
            None => remark(&written),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints a text of a command's result as it is.
#[expect(clippy::print_stdout, reason = "the one place where results are printed")]
pub fn text(text: &str) {
    print!("{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_do_not_trail() {
        let rows = vec![vec!["node-1".into(), "Ready".into()], vec!["a".into(), "NotReady".into()]];
        assert_eq!(table(&["NAME", "STATUS"], &rows), "NAME     STATUS\nnode-1   Ready\na        NotReady\n");
    }
}

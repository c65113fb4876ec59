//! What an ended container wants to be known: its termination message, or the end of its log when it failed and said nothing.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Container;

use super::container::message_file;

const MESSAGE_BYTES_MAX: u64 = 4096;
const LOG_BYTES_MAX: usize = 2048;
const LOG_LINES_MAX: usize = 80;

/// The message of a run.
pub(super) fn of(folder: &Path, spec: Option<&Container>, name: &str, restart: i32, code: i32, log: &Path) -> String {
    let said = of_file(folder, name, restart);
    let falls_back = spec.and_then(|spec| spec.termination_message_policy.as_deref()) == Some("FallbackToLogsOnError");
    if said.is_empty() && falls_back && code != 0 { tail(log) } else { said }
}

/// What the container wrote to its file.
pub(super) fn of_file(folder: &Path, name: &str, restart: i32) -> String {
    let Ok(file) = std::fs::File::open(message_file(folder, name, restart)) else { return String::new() };
    let mut bytes = Vec::new();
    let _ = file.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The end of a log, without the times and marks that the log format adds.
fn tail(log: &Path) -> String {
    let Ok(mut file) = std::fs::File::open(log) else { return String::new() };
    let length = file.metadata().map_or(0, |meta| meta.len());
    // Marks take room too: twice the bytes are surely enough for the lines that are kept.
    let back = length.min(64 << 10);
    let _ = file.seek(SeekFrom::Start(length - back));
    let mut bytes = Vec::new();
    let _ = file.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = Vec::new();
    let mut partial = false;
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(_), Some(_), Some(mark), Some(rest)) = (words.next(), words.next(), words.next(), words.next()) else {
            continue;
        };
        match lines.last_mut().filter(|_| partial) {
            Some(last) => last.push_str(rest),
            None => lines.push(rest.to_owned()),
        }
        partial = mark == "P";
    }
    let from = lines.len().saturating_sub(LOG_LINES_MAX);
    let mut kept = lines[from..].join("\n");
    // What a program wrote without an end of line has none here either.
    if !partial && !lines.is_empty() {
        kept.push('\n');
    }
    let mut cut = kept.len().saturating_sub(LOG_BYTES_MAX);
    while !kept.is_char_boundary(cut) {
        cut += 1;
    }
    kept.split_off(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_told_when_a_failed_container_said_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("0.log");
        let text = "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:01Z stderr P two \n2026-01-01T00:00:01Z stderr F three\n";
        std::fs::write(&log, text).unwrap();
        let policy = |policy: &str| Container { termination_message_policy: Some(policy.into()), ..Container::default() };
        let of = |spec: Container, code| of(dir.path(), Some(&spec), "a", 0, code, &log);
        assert_eq!(of(policy("FallbackToLogsOnError"), 1), "one\ntwo three\n");
        std::fs::write(&log, "2026-01-01T00:00:00Z stdout P DONE\n").unwrap();
        assert_eq!(of(policy("FallbackToLogsOnError"), 1), "DONE");
        assert_eq!(of(policy("FallbackToLogsOnError"), 0), "");
        assert_eq!(of(policy("File"), 1), "");
        std::fs::create_dir_all(dir.path().join("containers/a")).unwrap();
        std::fs::write(message_file(dir.path(), "a", 0), "said").unwrap();
        assert_eq!(of(policy("FallbackToLogsOnError"), 1), "said");
    }
}

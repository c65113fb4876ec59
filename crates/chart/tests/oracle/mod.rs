//! Talks to the oracle: Helm's own engine as a Go program beside this file, built once into the target folder.
#![expect(clippy::disallowed_methods, reason = "the truth is a program in another language, and tests may start it")]
#![expect(clippy::panic, reason = "without the oracle a test proves nothing and must fail")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// What Helm makes of a case: files by path, or an error. What is no UTF-8 comes with U+FFFD for each bad byte.
pub type Answer = Result<BTreeMap<String, String>, String>;

/// A line for the oracle, as a JSON tree or as whatever has its fields.
pub trait Case: Serialize + Sync {}

impl<T: Serialize + Sync> Case for T {}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    raw: BTreeMap<String, String>,
    error: Option<String>,
    raw_error: Option<String>,
    #[serde(default)]
    functions: BTreeMap<String, String>,
}

fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("chart-oracle-{}", std::process::id()));
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
        let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chart-oracle");
        let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).status();
        match built {
            Ok(status) if status.success() => {}
            Ok(status) => panic!("the oracle did not build: go build ended with {status}"),
            Err(error) => panic!("these tests compare with Helm's own engine and need Go 1.26 on the PATH: {error}"),
        }
        // Renamed in one step, so that tests in several processes do not disturb each other.
        std::fs::rename(&program, &kept).unwrap_or_else(|error| panic!("the oracle stays nowhere: {error}"));
        kept
    })
}

/// A batch of cases; `zone` is the local zone that the oracle runs in.
fn run<C: Case>(cases: &[C], zone: &str) -> Vec<Line> {
    let mut child = Command::new(program())
        .env("TZ", zone)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("the oracle does not start: {error}"));
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { panic!("the oracle has no pipes") };
    let lines: Vec<Line> = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut stdin = BufWriter::new(stdin);
            for case in cases {
                let line = serde_json::to_string(case).expect("a case is JSON");
                if stdin.write_all(line.as_bytes()).and_then(|()| stdin.write_all(b"\n")).is_err() {
                    return;
                }
            }
        });
        let answers = BufReader::new(stdout).lines().map_while(Result::ok);
        answers.map(|line| serde_json::from_str(&line).expect("the oracle speaks JSON")).collect()
    });
    let status = child.wait();
    assert!(
        lines.len() == cases.len(),
        "the oracle died ({status:?}) at case {}: {}",
        lines.len(),
        cases.get(lines.len()).map(|case| serde_json::to_string(case).unwrap_or_default()).unwrap_or_default()
    );
    lines
}

fn lossy(encoded: &str) -> String {
    let bytes = BASE64_STANDARD.decode(encoded).expect("the oracle writes base 64");
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out
}

/// What Helm makes of each case, with a local zone of choice.
pub fn ask_in<C: Case>(cases: &[C], zone: &str) -> Vec<Answer> {
    let answer = |line: Line| match (line.raw_error, line.error) {
        (Some(raw), _) => Err(lossy(&raw)),
        (None, Some(error)) => Err(error),
        (None, None) => {
            let mut files = line.files;
            files.extend(line.raw.into_iter().map(|(path, encoded)| (path, lossy(&encoded))));
            Ok(files)
        }
    };
    run(cases, zone).into_iter().map(answer).collect()
}

/// What Helm makes of each case.
#[allow(dead_code, reason = "not every test needs both")]
pub fn ask<C: Case>(cases: &[C]) -> Vec<Answer> {
    ask_in(cases, "UTC")
}

/// The functions that Helm registers, with their Go signatures.
#[allow(dead_code, reason = "not every test needs them")]
pub fn functions() -> BTreeMap<String, String> {
    let mut lines = run(&[serde_json::json!({ "list": true })], "UTC");
    lines.pop().map(|line| line.functions).unwrap_or_default()
}

/// A case of one template.
#[allow(dead_code, reason = "not every test needs it")]
pub fn template(text: &str, values: &Json) -> Json {
    serde_json::json!({ "templates": { "templates/t.yaml": text }, "values": values })
}

//! Programs of Go that say what is right.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "tests start programs, and say their seed")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value as Json;

/// A number from the environment.
pub fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// The seed unless `SEED` names one: who builds gets what everyone gets, who looks for differences tries others.
const USUAL_SEED: u64 = 1;

/// Chance that is the same each time, and another where `SEED` says so.
pub fn chance() -> StdRng {
    let seed = number("SEED", USUAL_SEED);
    println!("SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Builds the program of `tests/<name>` and asks it, a JSON line each.
pub fn ask(name: &str, questions: &[Json]) -> Vec<Json> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).status();
    assert!(built.expect("this test needs Go on the path").success(), "{name} does not build");
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(name);
    let mut input = child.stdin.take().expect("piped");
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect(name);
    writer.join().expect("writer").expect("all questions are taken");
    let text = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect();
    assert_eq!(answers.len(), questions.len(), "{name} answers everything");
    answers
}

/// Go hands every number back as a float.
#[allow(dead_code, reason = "not every test needs it")]
pub fn as_floats(value: &Json) -> Json {
    match value {
        Json::Number(number) => Json::from(number.as_f64().expect("finite")),
        Json::Array(items) => Json::Array(items.iter().map(as_floats).collect()),
        Json::Object(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), as_floats(value))).collect()),
        other => other.clone(),
    }
}

//! The YAML reader and writer beside Go's: thousands of generated values and texts, byte for byte and error for error.
//! `SEED` repeats a run, `CASES` lengthens it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value as Json, json};

#[path = "yaml/generate.rs"]
mod generate;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn oracle(questions: &[Json]) -> Vec<Json> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("yaml-oracle");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/yaml-oracle");
    #[expect(clippy::disallowed_methods, reason = "the oracle is a program of Go")]
    let built = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(source).status();
    assert!(built.expect("this test needs Go on the path").success(), "the oracle does not build");
    #[expect(clippy::disallowed_methods, reason = "the oracle is a program of Go")]
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("oracle");
    let mut input = child.stdin.take().expect("piped");
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("oracle");
    writer.join().expect("writer").expect("all questions are taken");
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("an answer")).collect()
}

fn text_of(answer: &Json, field: &str) -> String {
    answer[field].as_str().unwrap_or_default().to_owned()
}

#[test]
fn values_are_written_as_go_writes_them() {
    let seed = number("SEED", rand::rng().next_u64());
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let values: Vec<Json> = (0..number("CASES", 1500)).map(|_| generate::value(&mut random, 4)).collect();
    let questions: Vec<Json> =
        values.iter().flat_map(|value| ["write", "pretty"].map(|op| json!({"op": op, "value": value}))).collect();
    let answers = oracle(&questions);
    assert_eq!(answers.len(), questions.len());
    for (value, answers) in values.iter().zip(answers.chunks(2)) {
        if answers.iter().any(|answer| answer["error"] == "unstable") {
            continue;
        }
        let ours = chart::yaml::to_yaml(value).unwrap_or_default();
        assert_eq!(ours, text_of(&answers[0], "out"), "toYaml of {value}\n{}", answers[0]);
        let ours = chart::yaml::to_yaml_pretty(value).unwrap_or_default();
        assert_eq!(ours, text_of(&answers[1], "out"), "toYamlPretty of {value}\n{}", answers[1]);
    }
}

#[test]
fn texts_are_read_as_go_reads_them() {
    let seed = number("SEED", rand::rng().next_u64());
    println!("SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let texts: Vec<String> = (0..number("CASES", 6000)).map(|_| generate::text(&mut random)).collect();
    let ops = ["read", "strict"];
    let questions: Vec<Json> = texts
        .iter()
        .flat_map(|text| {
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            ops.map(|op| json!({"op": op, "text": text}))
        })
        .collect();
    let answers = oracle(&questions);
    assert_eq!(answers.len(), questions.len());
    let mut wrong = Vec::new();
    for (text, answers) in texts.iter().zip(answers.chunks(2)) {
        for (strict, answer) in [false, true].into_iter().zip(answers) {
            let ours = if strict { chart::yaml::read_strict(text.as_bytes()) } else { chart::yaml::read(text.as_bytes()) };
            let (value, error) = match ours {
                Ok(value) => (value, String::new()),
                Err(error) => (Json::Null, error.to_string()),
            };
            let expected = text_of(answer, "error");
            if error != expected {
                wrong.push(format!("{text:?}\n  ours:   {error}\n  theirs: {expected}"));
                continue;
            }
            if error.is_empty() {
                let theirs: Json = serde_json::from_str(&text_of(answer, "out")).expect("JSON");
                if generate::as_floats(&value) != generate::as_floats(&theirs) {
                    wrong.push(format!("{text:?}\n  ours:   {value}\n  theirs: {theirs}"));
                }
            }
        }
    }
    wrong.sort_by_key(String::len);
    wrong.truncate(10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! The YAML reader and writer beside Go's: thousands of generated values and texts, byte for byte and error for error.
//! `SEED` repeats a run, `CASES` lengthens it.

mod beside;
#[path = "yaml/generate.rs"]
mod generate;

use base64::Engine as _;
use rand::RngExt as _;
use serde_json::{Value as Json, json};

use beside::{as_floats, ask, chance, number};

fn text_of(answer: &Json, field: &str) -> String {
    answer[field].as_str().unwrap_or_default().to_owned()
}

#[test]
fn values_are_written_as_go_writes_them() {
    let mut random = chance();
    let values: Vec<Json> = (0..number("CASES", 1500)).map(|_| generate::value(&mut random, 4)).collect();
    let questions: Vec<Json> =
        values.iter().flat_map(|value| ["write", "pretty"].map(|op| json!({"op": op, "value": value}))).collect();
    let answers = ask("yaml-oracle", &questions);
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
    let mut random = chance();
    let texts: Vec<String> = (0..number("CASES", 6000)).map(|_| generate::text(&mut random)).collect();
    let ops = ["read", "strict"];
    let questions: Vec<Json> = texts
        .iter()
        .flat_map(|text| {
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            ops.map(|op| json!({"op": op, "text": text}))
        })
        .collect();
    let answers = ask("yaml-oracle", &questions);
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
                if as_floats(&value) != as_floats(&theirs) {
                    wrong.push(format!("{text:?}\n  ours:   {value}\n  theirs: {theirs}"));
                }
            }
        }
    }
    wrong.sort_by_key(String::len);
    wrong.truncate(10);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let mut random = chance();
    for _ in 0..number("CASES", 4000) {
        let mut bytes = generate::text(&mut random).into_bytes();
        for _ in 0..random.random_range(0..6) {
            if !bytes.is_empty() {
                let at = random.random_range(0..bytes.len());
                bytes[at] = random.random();
            }
        }
        let _ = chart::yaml::read(&bytes);
        let _ = chart::load::load_archive(&bytes);
    }
    for deep in ["[".repeat(5000), "{a: ".repeat(5000), "- ".repeat(5000), "? ".repeat(5000)] {
        assert!(chart::yaml::read(deep.as_bytes()).is_err());
    }
    let bomb = format!("a: &a [x,x]\n{}", (0..40).map(|at| format!("b{at}: &b{at} [*a,*a]\n")).collect::<String>());
    let _ = chart::yaml::read(bomb.as_bytes());
    let lines: String = (1..30).map(|at| format!("k{at}: &k{at} [*k{0},*k{0},*k{0},*k{0}]\n", at - 1)).collect();
    assert!(chart::yaml::read(format!("k0: &k0 x\n{lines}").as_bytes()).is_err(), "aliases do not expand without end");
}

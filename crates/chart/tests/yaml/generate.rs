//! Values and texts that look for trouble.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value as Json};

const WORDS: &[&str] = &[
    "",
    "y",
    "Y",
    "yes",
    "no",
    "on",
    "Off",
    "n",
    "true",
    "False",
    "null",
    "~",
    "Null",
    "0",
    "007",
    "0o17",
    "0x1F",
    "1_000",
    "08",
    "0b101",
    "-0b1",
    "1e3",
    "1.",
    ".5",
    "-.5e1",
    "+12",
    "-",
    "--",
    "---",
    "--- a",
    "...",
    "?",
    "? a",
    ":",
    ": a",
    "a: b",
    "a:b",
    "a #b",
    "#a",
    "a#b",
    "- a",
    "-a",
    "*a",
    "&a",
    "!a",
    "|",
    ">",
    "'",
    "\"",
    "%a",
    "@a",
    "`a",
    "[a",
    "{a",
    "a]",
    "a, b",
    "2001-01-01",
    "2001-1-1",
    "2001-13-01",
    "2001-02-30",
    "2001-12-14T21:59:43.10-05:00",
    "2001-12-14 21:59:43",
    "12:30:45",
    "1:20",
    "190:20:30.15",
    ".inf",
    "-.INF",
    ".nan",
    "<<",
    "=",
    "a\tb",
    "\ta",
    "a\t",
    " a",
    "a ",
    "a\nb",
    "a\n",
    "a\n\n",
    "\na",
    "\n",
    "\n\n",
    " a\nb",
    "a \nb",
    "a\n b",
    "a\r\nb",
    "a\rb",
    "\u{85}",
    "a\u{85}b",
    "a \u{85}\u{85} b",
    "\u{2028}",
    "a\u{2029}b",
    "\u{feff}",
    "\u{feff}ab",
    "a\u{feff}",
    "é",
    "日本語",
    "😀",
    "\u{a0}",
    "\u{7f}",
    "\u{1}",
    "\u{0}",
    "\\",
    "a\\nb",
    "long words that go on and on until the line is longer than eighty characters and then some more of them",
    "long  double  spaces  that  go  on  and  on  until  the  line  is  longer  than  eighty  characters  and  more",
    "# long words that need quotes and go on until the line is longer than eighty characters and then some more",
    "long \u{1} words that need escapes and go on until  the line is longer than eighty  characters and then  some more",
    "18446744073709551615",
    "9223372036854775808",
    "-9223372036854775808",
    "123456789012345678901234567890",
    "1e400",
    "key",
    "name",
    "a1",
    "a2",
    "a10",
    "a01",
    "a1b",
    "ab",
    "a-1",
    "a_1",
    "A",
    "Z",
    "b",
    "1a",
    "10",
    "2",
    "é1",
    "_",
    "{{ .Values }}",
];

/// Text of a table, or glued from pieces of it.
pub fn word(random: &mut StdRng) -> String {
    match random.random_range(0..10) {
        0 => (0..random.random_range(0..6)).map(|_| *WORDS.choose(random).expect("words")).collect(),
        1 => {
            let glue = [" ", "\n", ": ", " #", "\t", "  "];
            let pieces: Vec<&str> = (0..random.random_range(1..12)).map(|_| *WORDS.choose(random).expect("words")).collect();
            pieces.join(glue.choose(random).expect("glue"))
        }
        2 => "x".repeat(random.random_range(100..200)),
        _ => (*WORDS.choose(random).expect("words")).to_owned(),
    }
}

fn float(random: &mut StdRng) -> f64 {
    let tables =
        [0.0, -0.0, 1.0, 0.1, 1e6, 1e5, 999_999.5, 1e20, 1e21, 1e-5, 1e-7, 1.5e300, 9_007_199_254_740_993.0, 12_345_678.9];
    match random.random_range(0..3) {
        0 => *tables.choose(random).expect("floats"),
        1 => f64::from(random.random_range(-1_000_000..1_000_000)) / 1000.0,
        _ => {
            let value = f64::from_bits(random.random());
            if value.is_finite() { value } else { 1.0 }
        }
    }
}

/// A value of any shape.
pub fn value(random: &mut StdRng, depth: u32) -> Json {
    let kinds = if depth == 0 { 6 } else { 10 };
    match random.random_range(0..kinds) {
        0 => Json::Null,
        1 => Json::Bool(random.random()),
        2 => Json::from(random.random_range(-1000i64..1000)),
        3 => Json::from(float(random)),
        4 | 5 => Json::String(word(random)),
        6 | 7 => Json::Array((0..random.random_range(0..4)).map(|_| value(random, depth - 1)).collect()),
        _ => {
            let entries: Map<_, _> = (0..random.random_range(0..6)).map(|_| (word(random), value(random, depth - 1))).collect();
            // Such numbers overflow in go-yaml's order of keys, which then depends on chance.
            let overflow = |key: &str| key.split(|c: char| !c.is_ascii_digit()).any(|run| run.len() > 18);
            Json::Object(entries.into_iter().filter(|(key, _)| !overflow(key)).collect())
        }
    }
}

const LINES: &[&str] = &[
    "a: 1\n",
    "b: [1, 2, {c: d}]\n",
    "- x\n",
    "  - y: z\n",
    "  k: v\n",
    "    deep: yes\n",
    "c: &m {x: 1, y: 2}\n",
    "d: *m\n",
    "e:\n",
    "  <<: *m\n",
    "<<: {q: 1}\n",
    "  <<: [*m, {z: 3}]\n",
    "f: |\n",
    "  text\n",
    "    more\n",
    "g: >-\n",
    "# comment\n",
    "\n",
    "---\n",
    "...\n",
    "h: 'it''s'\n",
    "i: \"a\\tb\\u00e9\"\n",
    "? j\n",
    ": k\n",
    "? [a, b]\n",
    "l: !!str 1\n",
    "m: !!int \"3\"\n",
    "n: !!float 3\n",
    "o: !custom x\n",
    "p: !!binary aGVsbG8=\n",
    "1: one\n",
    "1.5: f\n",
    "true: t\n",
    "~: nil\n",
    "\ttab: 1\n",
    "q: {{ .Values.x }}\n",
    "r: a: b\n",
    "s: @x\n",
    "t: *unknown\n",
    "a: 2\n",
    "u: !!bool maybe\n",
    "v: \"unended\n",
    "w: [1, 2\n",
    "x: 0644\n",
    "y: 0o17\n",
    "z: 2001-01-01\n",
    "aa: 12e03\n",
    "bb: 1_000\n",
    "cc: .inf\n",
    "%YAML 1.1\n",
    "- - a\n",
    "-\n",
    "  ? complex\n",
    "dd: &s\n",
    "ee: - a\n",
    "ff: 'x' y\n",
    "gg: 18446744073709551615\n",
    "hh: a\n  b\n",
    "{a: 1}\n",
    "[1]\n",
    "ii: \"a\n  b\"\n",
];

/// A text that may or may not be YAML.
pub fn text(random: &mut StdRng) -> String {
    let mut text = match random.random_range(0..4) {
        0 => chart::yaml::to_yaml(&value(random, 4)).unwrap_or_default(),
        1 => value(random, 3).to_string(),
        2 => word(random),
        _ => (0..random.random_range(1..9)).map(|_| *LINES.choose(random).expect("lines")).collect(),
    };
    for _ in 0..random.random_range(0..3) {
        let at: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        let Some(at) = at.choose(random).copied() else { break };
        if random.random() {
            text.insert_str(
                at,
                [" ", "\n", ":", "-", "#", "\t", "'", "\"", "*", "&", "{", "]", ",", "%", "!"].choose(random).expect("bits"),
            );
        } else {
            text.remove(at);
        }
    }
    text
}

//! Settings, charts and rules that look for trouble.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value as Json, json};

fn pick<'t>(random: &mut StdRng, table: &'t [&'t str]) -> &'t str {
    table.choose(random).expect("something")
}

const KEYS: &[&str] = &["a", "b", "c", "sub", "other", "global", "tags", "x y", "enabled", "exports", "data", "front"];
const PIECES: &[&str] = &[
    "a",
    "b",
    "c",
    ".",
    "=",
    ",",
    "[",
    "]",
    "0",
    "1",
    "2",
    "{",
    "}",
    "\\",
    "true",
    "null",
    "False",
    "012",
    "12",
    "-3",
    "\"x\"",
    " ",
    "é",
    "a=1",
    "b[0]=x",
    "c.a=y",
    "a={1,2}",
    "a[1].b=z",
    "b[0][1]=q",
    "[-1]",
    "[70000]=1",
    "\\,",
    "\\.",
    "=[1,2]",
    "={\"k\":1}",
];

/// An argument of `--set`.
pub fn setting(random: &mut StdRng) -> String {
    let mut text: String = (0..random.random_range(1..8)).map(|_| pick(random, PIECES)).collect();
    if random.random_range(0..40) == 0 {
        text = format!("{}=1", "a.".repeat(random.random_range(25..35)));
    }
    text
}

/// A value of any kind.
pub fn value(random: &mut StdRng, depth: u32) -> Json {
    match random.random_range(0..if depth == 0 { 5 } else { 9 }) {
        0 => Json::Null,
        1 => Json::Bool(random.random()),
        2 => Json::from(random.random_range(-5..5)),
        3 | 4 => Json::from(pick(random, &["x", "y", "", "true"])),
        5 => Json::Array((0..random.random_range(0..3)).map(|_| value(random, depth - 1)).collect()),
        _ => Json::Object(table(random, depth - 1)),
    }
}

/// A table of values.
pub fn table(random: &mut StdRng, depth: u32) -> Map<String, Json> {
    (0..random.random_range(0..5)).map(|_| (pick(random, KEYS).to_owned(), value(random, depth))).collect()
}

/// Values that mean subcharts too.
pub fn user_values(random: &mut StdRng) -> Map<String, Json> {
    let mut values = table(random, 3);
    for name in ["sub", "other", "front"] {
        match random.random_range(0..4) {
            0 => drop(values.insert(name.to_owned(), json!({"enabled": random.random::<bool>(), "global": table(random, 2)}))),
            1 => drop(values.insert(name.to_owned(), Json::Object(table(random, 3)))),
            2 => {
                drop(values.insert("tags".to_owned(), json!({"front": random.random::<bool>(), "data": random.random::<bool>()})))
            }
            _ => drop(values.remove(name)),
        }
    }
    values
}

fn dependency(random: &mut StdRng, name: &str) -> Json {
    let mut dependency = json!({"name": name, "version": pick(random, &["1.0.0", "^1", ">=0.1", "2.x", "x"]), "repository": ""});
    let fields = dependency.as_object_mut().expect("object");
    if random.random_range(0..3) == 0 {
        let condition = pick(random, &["sub.enabled", "global.a,sub.enabled", "other.enabled", "a"]);
        fields.insert("condition".to_owned(), condition.into());
    }
    if random.random_range(0..3) == 0 {
        fields.insert("tags".to_owned(), json!([pick(random, &["front", "data", "none"])]));
    }
    if random.random_range(0..4) == 0 {
        fields.insert("alias".to_owned(), pick(random, &["front", "other", "a!"]).into());
    }
    if random.random_range(0..3) == 0 {
        let wish = [
            json!(["data"]),
            json!([{"child": "a", "parent": "b.c"}]),
            json!([{"child": "exports.data", "parent": "."}]),
            json!([1]),
        ];
        fields.insert("import-values".to_owned(), wish.choose(random).expect("wishes").clone());
    }
    dependency
}

/// A chart's files, with subcharts.
pub fn chart(random: &mut StdRng, depth: u32, name: &str) -> Map<String, Json> {
    let mut files = Map::new();
    let mut values = table(random, 3);
    if random.random_range(0..3) == 0 {
        values.insert("exports".to_owned(), json!({"data": table(random, 2)}));
    }
    let mut dependencies = Vec::new();
    if depth > 0 {
        for subchart in ["sub", "other"] {
            if random.random_range(0..3) == 0 {
                continue;
            }
            if random.random_range(0..5) != 0 {
                dependencies.push(dependency(random, subchart));
            }
            for (path, text) in chart(random, depth - 1, subchart) {
                files.insert(format!("charts/{subchart}/{path}"), text);
            }
        }
    }
    let mut metadata = json!({"apiVersion": pick(random, &["v1", "v2", "v2", "v2"]), "name": name, "version": pick(random, &["1.0.0", "1.2.3", "2.0.0"])});
    let fields = metadata.as_object_mut().expect("object");
    if random.random_range(0..8) == 0 {
        let odd = [
            ("appVersion", json!(1.16)),
            ("description", json!("a\tb\u{200b}")),
            ("version", json!(1)),
            ("type", json!("odd")),
            ("name", Json::Null),
            ("keywords", json!("x")),
            ("maintainers", json!([null])),
            ("dependencies", json!([null])),
            ("version", json!("x.y")),
        ];
        let (key, value) = odd.choose(random).expect("odd").clone();
        fields.insert(key.to_owned(), value);
    }
    if !dependencies.is_empty() {
        fields.insert("dependencies".to_owned(), dependencies.into());
    }
    files.insert("Chart.yaml".to_owned(), metadata.to_string().into());
    files.insert("values.yaml".to_owned(), Json::Object(values).to_string().into());
    files
}

/// A path inside of a chart.
pub fn path(random: &mut StdRng) -> String {
    let parts = ["a", "b.txt", "templates", ".x", "_y", "docs", "a[b", "c*"];
    let parts: Vec<&str> = (0..random.random_range(1..4)).map(|_| pick(random, &parts)).collect();
    parts.join("/")
}

/// The text of a `.helmignore`.
pub fn rules(random: &mut StdRng) -> String {
    let pieces =
        ["a", "*", "?", "/", "!", ".txt", "b", "[a-c]", "[^a]", "templates", "docs", "#", " ", "[", "\\", "**", "\n", ".", "_y"];
    (0..random.random_range(1..7)).map(|_| pick(random, &pieces)).collect()
}

//! Any text as YAML: what can be read is written, and read again it is the same. Strings survive too.
#![no_main]

use chart::yaml::{read, to_yaml, to_yaml_pretty};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};

/// Whether Helm's writer, and so ours, keeps a text: NEL becomes a space, a tab at the start of a block makes it unreadable, and `<<` is not
/// quoted, which is a merge where it is a key. Other texts may come to nothing, but must not bring the reader down.
fn is_kept(text: &str) -> bool {
    text.chars().all(|letter| matches!(letter, ' '..='~' | '\n')) && !text.contains("<<")
}

fn all_kept(value: &Json) -> bool {
    match value {
        Json::String(text) => is_kept(text),
        Json::Array(items) => items.iter().all(all_kept),
        Json::Object(map) => map.iter().all(|(key, value)| is_kept(key) && all_kept(value)),
        _ => true,
    }
}

/// Written and read again it is the same.
fn survives(value: &Json) {
    let kept = all_kept(value);
    for (how, text) in [("plain", to_yaml(value)), ("pretty", to_yaml_pretty(value))] {
        let Ok(text) = text else { continue };
        let again = read(text.as_bytes());
        if !kept {
            continue;
        }
        let again = again.unwrap_or_else(|error| panic!("{how}: {error}\n{value:?}\n{text}"));
        let equal = as_written(&again) == as_written(value);
        assert!(equal, "{how}:\n{value:?}\n{again:?}\n{text:?}");
    }
}

/// Numbers are floats once written and read.
fn as_written(value: &Json) -> Json {
    match value {
        Json::Number(number) => json!(number.as_f64()),
        Json::Array(items) => items.iter().map(as_written).collect(),
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), as_written(value))).collect(),
        other => other.clone(),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let _ = chart::values::read(bytes);
    if let Ok(value) = read(bytes) {
        survives(&value);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        survives(&json!(text));
        survives(&json!({text: [text, {"a": text}]}));
    }
});

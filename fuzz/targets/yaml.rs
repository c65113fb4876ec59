//! Any text as YAML: what can be read is written, and read again it is the same. Strings survive too.
#![no_main]

use chart::yaml::{read, to_yaml, to_yaml_pretty};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value as Json, json};

/// Written and read again it is the same.
fn survives(value: &Json) {
    for (how, text) in [("plain", to_yaml(value)), ("pretty", to_yaml_pretty(value))] {
        let Ok(text) = text else { continue };
        let again = read(text.as_bytes()).unwrap_or_else(|error| panic!("{how}: {error}\n{value:?}\n{text}"));
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

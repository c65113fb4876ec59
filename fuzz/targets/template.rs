//! Any text as a template: it parses or not, and what parses runs within bounds. Nothing may crash or hang.
#![no_main]

use chart::functions::Still;
use chart::render::{self, Given, Options, Release, Source};
use chart::template;
use chart::value::Value;
use libfuzzer_sys::fuzz_target;

/// What takes long by design: keys and hashes of passwords.
const SLOW: &[&str] = &["gen", "derivePassword", "htpasswd", "bcrypt", "buildCustomCert"];

/// Counts of so many digits make work that is asked for, and no fault.
const DIGITS_MAX: usize = 3;

fn asks_for_work(text: &str) -> bool {
    let long = text.split(|c: char| !c.is_ascii_digit()).any(|number| number.len() > DIGITS_MAX);
    long || SLOW.iter().any(|name| text.contains(name)) || text.contains(['e', 'E', 'x', 'X', 'p']) && text.contains("until")
}

fn values() -> Value {
    let values = serde_json::json!({
        "a": 1.0, "b": "text", "c": [1.0, "two", null, {"k": "v"}], "d": {"e": {"f": true}, "g": null},
        "tpl": "{{ .Values.b }}", "yaml": "a: [1, 2]\nb: {c: d}\n",
    });
    Value::from_json(&values)
}

fuzz_target!(|text: &str| {
    let source = Source { name: "c".into(), templates: vec![("templates/t".into(), text.into())], ..Source::default() };
    if asks_for_work(text) {
        let _ = chart::parse::parse(&"t".into(), &text.as_bytes().into());
        return;
    }
    let given = Given { values: values(), release: Release::default(), capabilities: template::imagined() };
    let options = Options { steps: Some(20_000), ..Options::default() };
    let _ = render::render(&source, &given, &Still, options);
});

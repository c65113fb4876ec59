//! Runs one case with ours, and reads what Helm's engine says to it.

use base64::Engine as _;
use chart::functions::Still;
use chart::render::{Capabilities, Given, HelmVersion, KubeVersion, Options, Release, Source, metadata, render};
use chart::value::{Str, Value, lossy};
use serde_json::{Value as Json, json};

/// One text for an answer of Helm's.
pub fn shown(answer: &Json) -> String {
    let decode =
        |text: &Json| base64::engine::general_purpose::STANDARD.decode(text.as_str().unwrap_or_default()).unwrap_or_default();
    if answer["rawError"].is_string() {
        return format!("error: {}", lossy(&decode(&answer["rawError"])));
    }
    if let Some(error) = answer["error"].as_str() {
        return format!("error: {error}");
    }
    let mut files: Vec<(String, String)> = Vec::new();
    for (path, text) in answer["files"].as_object().into_iter().flatten() {
        files.push((path.clone(), text.as_str().unwrap_or_default().to_owned()));
    }
    for (path, text) in answer["raw"].as_object().into_iter().flatten() {
        files.push((path.clone(), lossy(&decode(text)).into_owned()));
    }
    files.sort();
    files.iter().map(|(path, text)| format!("--- {path}\n{text}\n")).collect()
}

fn plant(json: &Json) -> Value {
    match json {
        Json::Object(entries) => {
            if let Some(text) = json["$int64"].as_str() {
                return Value::int64(text.parse().unwrap_or_default());
            }
            Value::Map(entries.iter().map(|(key, value)| (Str::from(key.as_str()), plant(value))).collect())
        }
        Json::Array(items) => Value::list(items.iter().map(plant).collect()),
        plain => Value::from_json(plain),
    }
}

fn source(chart: &Json) -> Source {
    let empty = json!({"apiVersion": "v2", "name": "c", "version": "0.1.0"});
    let about = chart["metadata"].as_object().or(empty.as_object()).expect("an object");
    let files = |key: &str| -> Vec<(String, Vec<u8>)> {
        let entries = chart[key].as_object().into_iter().flatten();
        entries.map(|(path, text)| (path.clone(), text.as_str().unwrap_or_default().as_bytes().to_vec())).collect()
    };
    Source {
        name: about["name"].as_str().unwrap_or_default().to_owned(),
        metadata: metadata(about),
        library: about.get("type").is_some_and(|kind| kind == "library"),
        files: files("files"),
        templates: files("templates"),
        dependencies: chart["dependencies"].as_array().into_iter().flatten().map(source).collect(),
    }
}

/// What ours says to a case, in the same form.
pub fn ours(case: &Json) -> String {
    let chart = if case["chart"].is_object() { case["chart"].clone() } else { json!({"templates": case["templates"]}) };
    let options = &case["options"];
    let text = |key: &str| options[key].as_str().unwrap_or_default().to_owned();
    let api_versions = options["apiVersions"].as_array().into_iter().flatten();
    let given = Given {
        values: plant(&case["values"]),
        release: Release {
            name: text("name"),
            namespace: text("namespace"),
            revision: options["revision"].as_i64().unwrap_or_default(),
            upgrade: options["upgrade"] == true,
        },
        capabilities: Capabilities {
            kube: KubeVersion {
                version: "v1.33.4-gke.1".into(),
                normalized: "v1.33.4".into(),
                major: "1".into(),
                minor: "33".into(),
            },
            api_versions: api_versions.map(|it| it.as_str().unwrap_or_default().to_owned()).collect(),
            helm: HelmVersion { version: "v4.3".into(), ..HelmVersion::default() },
        },
    };
    let how = Options { strict: options["strict"] == true, lint: options["lint"] == true, ..Options::default() };
    let rendered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| render(&source(&chart), &given, &Still, how)));
    match rendered {
        Ok(Ok(files)) => files.iter().map(|(path, text)| format!("--- {path}\n{text}\n")).collect(),
        Ok(Err(error)) => format!("error: {error}"),
        Err(_) => "a panic".to_owned(),
    }
}

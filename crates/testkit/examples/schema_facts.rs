//! Writes the tables of built-in schemas, `crates/api/src/schema/{facts,descriptions}.txt`, from the OpenAPI v3 documents of a Kubernetes release:
//!
//! `cargo run -p testkit --example schema_facts -- <kubernetes>/api/openapi-spec/v3 crates/api/src/schema`
//!
//! The build never needs those documents. The format is described at the head of `crates/api/src/schema/facts.rs`.
#![expect(clippy::print_stdout, reason = "a program for developers that says what it wrote")]

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

type Definitions = BTreeMap<String, Value>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(documents), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: schema_facts <folder of OpenAPI v3 documents> <folder of facts.txt>".into());
    };
    let definitions = read(Path::new(&documents))?;
    let kept = reachable(&definitions);
    let (mut facts, mut descriptions) = (String::new(), String::new());
    for name in &kept {
        write_definition(name, &definitions[name], &mut facts, &mut descriptions);
    }
    std::fs::write(Path::new(&target).join("facts.txt"), &facts)?;
    std::fs::write(Path::new(&target).join("descriptions.txt"), &descriptions)?;
    println!("{} definitions, {} bytes of facts, {} of descriptions", kept.len(), facts.len(), descriptions.len());
    Ok(())
}

fn read(documents: &Path) -> Result<Definitions, Box<dyn Error>> {
    let mut definitions = Definitions::new();
    for entry in std::fs::read_dir(documents)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let document: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        if let Some(schemas) = document.pointer("/components/schemas").and_then(Value::as_object) {
            definitions.extend(schemas.iter().map(|(name, schema)| (name.clone(), schema.clone())));
        }
    }
    Ok(definitions)
}

/// Stable definitions, and whatever they refer to.
fn reachable(definitions: &Definitions) -> BTreeSet<String> {
    let unstable =
        |name: &str| name.split('.').any(|part| part.starts_with('v') && (part.contains("alpha") || part.contains("beta")));
    let mut kept = BTreeSet::new();
    let mut open: Vec<String> = definitions.keys().filter(|name| !unstable(name)).cloned().collect();
    while let Some(name) = open.pop() {
        if let Some(schema) = definitions.get(&name)
            && kept.insert(name)
        {
            references(schema, &mut open);
        }
    }
    kept
}

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => found.push(reference_name(text).to_owned()),
                    other => references(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn reference_name(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

fn short(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("io.k8s.apimachinery.pkg.apis.meta.v1.") {
        format!("^{rest}")
    } else if let Some(rest) = name.strip_prefix("io.k8s.api.") {
        format!("~{rest}")
    } else {
        name.to_owned()
    }
}

fn text<'s>(schema: &'s Value, key: &str) -> Option<&'s str> {
    schema.get(key)?.as_str()
}

/// The type of a node in the table's letters.
fn type_of(schema: &Value) -> String {
    let reference = text(schema, "$ref").or_else(|| schema.pointer("/allOf/0/$ref").and_then(Value::as_str));
    if let Some(reference) = reference {
        return match reference_name(reference) {
            "io.k8s.apimachinery.pkg.api.resource.Quantity" => "q".to_owned(),
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString" => "x".to_owned(),
            "io.k8s.apimachinery.pkg.apis.meta.v1.Time" => "s:date-time".to_owned(),
            "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime" => "s:micro-time".to_owned(),
            name => format!("&{}", short(name)),
        };
    }
    let format = text(schema, "format").map_or(String::new(), |format| format!(":{format}"));
    match text(schema, "type") {
        Some("boolean") => "b".to_owned(),
        Some("integer") => format!("i{format}"),
        Some("number") => format!("n{format}"),
        Some("string") => format!("s{format}"),
        Some("array") => format!("[{}]", schema.get("items").map_or("*".to_owned(), type_of)),
        Some("object") => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => format!("{{{}}}", type_of(values)),
            _ => "o".to_owned(),
        },
        _ => "*".to_owned(),
    }
}

fn attributes(schema: &Value) -> String {
    let mut out = String::new();
    match text(schema, "x-kubernetes-list-type") {
        Some("map") => {
            let keys: Vec<&str> =
                schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let _ = write!(out, " l:{}", keys.join(","));
        }
        Some("set") => out.push_str(" set"),
        _ => {}
    }
    if text(schema, "x-kubernetes-map-type") == Some("atomic") {
        out.push_str(" atomic");
    }
    if let Some(strategy) = text(schema, "x-kubernetes-patch-strategy") {
        let key = text(schema, "x-kubernetes-patch-merge-key").map_or(String::new(), |key| format!(":{key}"));
        let _ = write!(out, " p:{strategy}{key}");
    }
    out
}

fn one_line(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', " ")
}

fn write_definition(name: &str, schema: &Value, facts: &mut String, descriptions: &mut String) {
    let _ = writeln!(facts, "@{} {}{}", short(name), type_of(schema), attributes(schema));
    let _ = writeln!(descriptions, "@{}\t{}", short(name), one_line(text(schema, "description").unwrap_or("")));
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let none = Map::new();
    for (field, node) in schema.get("properties").and_then(Value::as_object).unwrap_or(&none) {
        let _ = write!(facts, "{field} {}{}", type_of(node), attributes(node));
        if required.contains(&field.as_str()) {
            facts.push_str(" !");
        }
        match node.get("default") {
            Some(default) if default.as_object().is_none_or(|map| !map.is_empty()) => {
                let _ = write!(facts, " ={default}");
            }
            _ => {}
        }
        facts.push('\n');
        let _ = writeln!(descriptions, "{field}\t{}", one_line(text(node, "description").unwrap_or("")));
    }
}

//! The rules for templates and what they give. It never applies anything.

use serde_json::Value as Json;

use super::{Linter, Severity, Subject};
use crate::dependencies;
use crate::functions::Facts;
use crate::load;
use crate::render::{self, Given, Options, Release};
use crate::schema;
use crate::template::{imagined, source};
use crate::value::Value;
use crate::values;
use crate::yaml;

/// Where findings about all templates stand.
const FOLDER: &str = "templates/";

/// What a document says of itself.
#[derive(Default)]
pub(super) struct Head {
    pub(super) api_version: String,
    pub(super) kind: String,
    name: String,
}

impl Head {
    /// The head of a document; none of one that is empty.
    pub(super) fn read(text: &str) -> Result<Option<Self>, String> {
        let value = yaml::read(text.as_bytes()).map_err(|error| error.to_string())?;
        let text = |value: Option<&Json>| value.and_then(Json::as_str).unwrap_or_default().to_owned();
        match value {
            Json::Null => Ok(None),
            Json::Object(map) => Ok(Some(Self {
                api_version: text(map.get("apiVersion")),
                kind: text(map.get("kind")),
                name: text(map.get("metadata").and_then(|metadata| metadata.get("name"))),
            })),
            Json::String(_) => refuse("string"),
            Json::Array(_) => refuse("array"),
            Json::Bool(_) => refuse("bool"),
            Json::Number(_) => refuse("number"),
        }
    }
}

fn refuse(kind: &str) -> Result<Option<Head>, String> {
    let wanted = "rules.k8sYamlStruct";
    Err(format!("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type {wanted}"))
}

/// The documents of a text as a stream of YAML parts them.
pub(super) fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(String::new());
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
        }
    }
    documents.retain(|document| !document.trim().is_empty());
    documents
}

pub(super) fn lint(linter: &mut Linter, subject: &Subject<'_>, facts: &dyn Facts) {
    if !subject.files.iter().any(|file| file.name.starts_with(FOLDER)) {
        linter.rule(Severity::Warning, FOLDER, Err("directory does not exist".to_owned()));
        return;
    }
    let mut chart = match load::load(subject.files.to_vec()) {
        Ok(loaded) => loaded.chart,
        Err(error) => {
            linter.rule(Severity::Error, FOLDER, Err(error.to_string()));
            return;
        }
    };
    if dependencies::process(&mut chart, subject.values).is_err() {
        return;
    }
    let Ok(first) = values::coalesce(&chart, subject.values) else { return };
    let Ok(coalesced) = values::coalesce(&chart, &values::to_tree(&first.values)) else { return };
    if !subject.skip_schema
        && let Err(error) = schema::check(&chart, &values::to_tree(&coalesced.values))
    {
        linter.rule(Severity::Error, FOLDER, Err(error.to_string()));
        return;
    }
    let mut capabilities = imagined();
    if let Some(kube) = &subject.kube {
        capabilities.kube = kube.clone();
    }
    let release = Release { name: "test-release".to_owned(), namespace: subject.namespace.to_owned(), ..Release::default() };
    let given = Given { values: Value::Map(coalesced.values), release, capabilities };
    let rendered = match render::render(&source(&chart), &given, facts, Options { lint: true, ..Options::default() }) {
        Ok(rendered) => rendered,
        Err(error) => {
            linter.rule(Severity::Error, FOLDER, Err(error.to_string()));
            return;
        }
    };
    for template in &chart.templates {
        let name = template.name.as_str();
        linter.rule(Severity::Error, name, extension(name));
        let lower = name.to_lowercase();
        if !lower.ends_with(".yaml") && !lower.ends_with(".yml") {
            continue;
        }
        let text = rendered.get(&format!("{}/{name}", chart.name())).map_or("", String::as_str);
        if !text.trim().is_empty() && !lint_text(linter, name, text) {
            return;
        }
    }
}

/// False where nothing further is looked at.
fn lint_text(linter: &mut Linter, name: &str, text: &str) -> bool {
    linter.rule(Severity::Warning, name, first_indent(text));
    for document in documents(text) {
        let head = match Head::read(&document) {
            Ok(Some(head)) => head,
            Ok(None) => continue,
            Err(error) => {
                linter.rule(Severity::Error, name, Err(format!("unable to parse YAML: {error}")));
                return false;
            }
        };
        linter.rule(Severity::Warning, name, object_name(&head));
        linter.rule(Severity::Error, name, selector(&head, text));
    }
    true
}

fn extension(name: &str) -> Result<(), String> {
    let base = name.rsplit('/').next().unwrap_or(name);
    let extension = base.rfind('.').map_or("", |at| &base[at..]);
    if [".yaml", ".yml", ".tpl", ".txt"].contains(&extension) {
        return Ok(());
    }
    Err(format!("file extension '{extension}' not valid. Valid extensions are .yaml, .yml, .tpl, or .txt"))
}

fn first_indent(text: &str) -> Result<(), String> {
    match text.lines().find(|line| !line.trim().is_empty()) {
        Some(line) if line.starts_with([' ', '\t']) => {
            Err(format!("document starts with an illegal indent: {line:?}, which may cause parsing problems"))
        }
        _ => Ok(()),
    }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1123: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

fn object_name(head: &Head) -> Result<(), String> {
    let name = head.name.as_str();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.chars().all(plain);
    let (fits, rule) = match head.kind.to_lowercase().as_str() {
        "service" => (label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()), LABEL_1035),
        "namespace" => (label(name), LABEL_1123),
        "certificatesigningrequest" => (true, ""),
        "role" | "clusterrole" | "rolebinding" | "clusterrolebinding" => {
            (name != "." && name != ".." && !name.contains(['/', '%']), "may not be '.' or '..' or contain '/' or '%'")
        }
        _ => (name.len() <= 253 && name.split('.').all(label), SUBDOMAIN),
    };
    if fits {
        return Ok(());
    }
    Err(format!(
        "object name does not conform to Kubernetes naming requirements: {name:?}: metadata.name: Invalid value: {name:?}: {rule}"
    ))
}

fn selector(head: &Head, text: &str) -> Result<(), String> {
    let selects = matches!(head.kind.as_str(), "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet");
    if selects && !text.contains("matchLabels") && !text.contains("matchExpressions") {
        return Err(format!("a {} must contain matchLabels or matchExpressions, and {:?} does not", head.kind, head.name));
    }
    Ok(())
}

//! Rendered files into single manifests: split, hooks told apart, in order. It never applies them.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::order::{INSTALL_ORDER, compare};
use super::record::{Execution, Hook, HookEvent};
use crate::chart::parse::kind_of;
use crate::shares;
use crate::yaml::{self, ReadError};

/// Files of more bytes than these together are shared out.
const SHARED_BYTES: usize = 16 * 1024;
/// The annotation that makes a manifest a hook.
const HOOK: &str = "helm.sh/hook";
const WEIGHT: &str = "helm.sh/hook-weight";
const DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
const LOG_POLICY: &str = "helm.sh/hook-output-log-policy";

/// What a manifest says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.annotations`.
    pub annotations: BTreeMap<String, String>,
}

/// One manifest of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The file.
    pub path: String,
    /// The text.
    pub content: String,
    /// What it says of itself.
    pub head: Head,
}

/// All manifests of a release.
#[derive(Clone, Debug, Default)]
pub struct Sorted {
    /// Those that run at an event.
    pub hooks: Vec<Hook>,
    /// All others.
    pub manifests: Vec<Manifest>,
    /// What hooks that are left out name as their events, some of which nobody knows.
    pub unknown_events: Vec<String>,
}

/// Why files are no manifests; the text is Helm's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SortError {
    /// A document is no YAML, or its head is odd.
    #[error("YAML parse error on {path}: {cause}")]
    ReadManifest {
        /// The file.
        path: String,
        /// Why.
        cause: ReadError,
    },
}

/// The documents of a file; a line that starts with dashes parts them, whatever follows on it.
#[must_use]
pub fn documents(text: &str) -> Vec<String> {
    const DASHES: &str = "---";
    let text = text.trim_start();
    let mut documents = Vec::new();
    let (mut from, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        if line.starts_with(DASHES) {
            documents.push(&text[from..at]);
            from = at + DASHES.len();
        }
        at += line.len();
    }
    documents.push(&text[from..]);
    documents.into_iter().map(str::trim_start).filter(|document| !document.is_empty()).map(str::to_owned).collect()
}

/// Tells hooks from the rest and orders both for installation.
pub fn sort(files: &BTreeMap<String, String>) -> Result<Sorted, SortError> {
    let said = |(path, text): &(&String, &String)| {
        let base = path.rsplit('/').next().unwrap_or(path);
        !base.starts_with('_') && !text.trim().is_empty()
    };
    let files: Vec<_> = files.iter().filter(said).collect();
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let read = shares::each(files, bytes > SHARED_BYTES, |(path, text)| {
        let with_head = |content: String| Ok((Head::read(&content)?, content));
        let manifests = documents(text).into_iter().map(with_head).collect::<Result<Vec<_>, _>>();
        manifests.map(|manifests| (path, manifests)).map_err(|cause| SortError::ReadManifest { path: path.clone(), cause })
    });
    let mut sorted = Sorted::default();
    for file in read {
        let (path, manifests) = file?;
        for (head, content) in manifests {
            match head.annotations.get(HOOK) {
                None => sorted.manifests.push(Manifest { path: path.clone(), content, head }),
                Some(events) => match hook(path, content, &head, events) {
                    Some(hook) => sorted.hooks.push(hook),
                    None => sorted.unknown_events.push(events.to_lowercase().trim().to_owned()),
                },
            }
        }
    }
    sorted.hooks.sort_by(|a, b| compare(&a.kind, &b.kind, INSTALL_ORDER));
    sorted.manifests.sort_by(|a, b| compare(&a.head.kind, &b.head.kind, INSTALL_ORDER));
    Ok(sorted)
}

/// A hook, unless it names an event that is not known.
fn hook(path: &str, content: String, head: &Head, events: &str) -> Option<Hook> {
    let events: Option<Vec<HookEvent>> = events.split(',').map(|event| HookEvent::named(&event.trim().to_lowercase())).collect();
    let list = |name: &str| {
        let policies = head.annotations.get(name);
        policies.map_or_else(Vec::new, |text| text.split(',').map(|policy| policy.trim().to_lowercase()).collect())
    };
    Some(Hook {
        name: head.name.clone(),
        kind: head.kind.clone(),
        path: path.to_owned(),
        manifest: content,
        events: events?,
        last_run: Execution::default(),
        weight: head.annotations.get(WEIGHT).and_then(|weight| weight.parse().ok()).unwrap_or(0),
        delete_policies: list(DELETE_POLICY),
        output_log_policies: list(LOG_POLICY),
    })
}

impl Head {
    /// Reads the head of a document.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let map = yaml::read_fields(text.as_bytes(), &["apiVersion", "kind", "metadata"], "util.SimpleHead")?;
        let metadata = match map.get("metadata") {
            None | Some(Json::Null) => Map::new(),
            Some(Json::Object(metadata)) => metadata.clone(),
            Some(other) => {
                return refuse(
                    other,
                    "metadata",
                    "struct { Name string \"json:\\\"name\\\"\"; Annotations map[string]string \"json:\\\"annotations\\\"\" }",
                );
            }
        };
        let mut head = Self {
            api_version: text_of(&map, "apiVersion", "apiVersion")?,
            kind: text_of(&map, "kind", "kind")?,
            name: text_of(&metadata, "name", "metadata.name")?,
            annotations: BTreeMap::new(),
        };
        match metadata.get("annotations") {
            None | Some(Json::Null) => {}
            Some(Json::Object(annotations)) => {
                for key in annotations.keys() {
                    head.annotations.insert(key.clone(), text_of(annotations, key, "metadata.annotations")?);
                }
            }
            Some(other) => return refuse(other, "metadata.annotations", "map[string]string"),
        }
        Ok(head)
    }
}

fn refuse<T>(value: &Json, field: &str, wanted: &str) -> Result<T, ReadError> {
    let kind = kind_of(value);
    let field =
        if field == "metadata.annotations" && wanted == "string" { format!(".{field}") } else { format!("SimpleHead.{field}") };
    Err(ReadError::Unmarshal(format!("json: cannot unmarshal {kind} into Go struct field {field} of type {wanted}")))
}

fn text_of(map: &Map<String, Json>, key: &str, field: &str) -> Result<String, ReadError> {
    Ok(match map.get(key) {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Bool(value)) => value.to_string(),
        Some(Json::Number(number)) if number.is_f64() => yaml::float_key(number.as_f64().unwrap_or_default()),
        Some(Json::Number(number)) => number.to_string(),
        Some(other) => return refuse(other, field, "string"),
    })
}

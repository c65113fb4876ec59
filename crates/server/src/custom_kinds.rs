//! Custom kinds: a CustomResourceDefinition becomes a row of the kind table as soon as it is stored, and its instances go with it.

use std::sync::Arc;

use api::{
    document::{Value, meta},
    kind::{Kind, KindTable},
};
use store::{Change, Expect, Op};

use crate::{
    State,
    state::{decode, prefix},
};

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";

/// Looks again at the definitions after a write to one.
pub fn noticed(state: &State, kind: &Kind) {
    if kind.group == GROUP && kind.plural == PLURAL {
        load(state);
    }
}

/// Builds the kind table from the stored definitions.
pub fn load(state: &State) {
    let kinds = state.kinds();
    let Some(definitions) = kinds.resource(GROUP, PLURAL) else { return };
    let snapshot = state.snapshot();
    let mut rows = Vec::new();
    for entry in snapshot.range(&prefix(definitions, None), None) {
        match Kind::from_crd(&decode(entry)) {
            Ok(kind) => rows.push(Arc::new(kind)),
            Err(errors) => tracing::warn!(key = %entry.key, ?errors, "a stored definition is not served"),
        }
    }
    state.set_kinds(KindTable::with_custom(rows));
}

/// Completes the status of a definition: its names are accepted unless another has them, and it is served at once.
pub fn complete(state: &State, definition: &mut Value, now: jiff::Timestamp) {
    let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
    let plural = definition.str_at(&["spec", "names", "plural"]).unwrap_or_default();
    let kind = definition.str_at(&["spec", "names", "kind"]).unwrap_or_default();
    let kinds = state.kinds();
    let taken = kinds.iter().find(|other| other.group == group && other.kind == kind && other.plural != plural);
    let (accepted, reason, message) = match taken {
        Some(other) => ("False", "KindConflict", format!("{:?} is already in use", other.kind)),
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
    };
    let mut names = definition.get(&["spec", "names"]).cloned().unwrap_or_else(Value::object);
    if names.str_at(&["singular"]).is_none_or(str::is_empty) {
        names.set_at(&["singular"], kind.to_lowercase());
    }
    if names.str_at(&["listKind"]).is_none_or(str::is_empty) {
        names.set_at(&["listKind"], format!("{kind}List"));
    }
    definition.set_at(&["spec", "names"], names.clone());
    let established = if accepted == "True" {
        definition.set_at(&["status", "acceptedNames"], names);
        ("True", "InitialNamesAccepted", "the initial names have been accepted".to_owned())
    } else {
        ("False", "NotAccepted", "not all names are accepted".to_owned())
    };
    set_condition(definition, "NamesAccepted", (accepted, reason, message), now);
    set_condition(definition, "Established", established, now);
    let storage: Vec<String> = definition
        .array_at(&["spec", "versions"])
        .iter()
        .filter(|version| version.bool_at(&["storage"]) == Some(true))
        .filter_map(|version| version.str_at(&["name"]).map(str::to_owned))
        .collect();
    let mut stored: Vec<Value> = definition.array_at(&["status", "storedVersions"]).to_vec();
    for name in storage {
        if !stored.iter().any(|known| known.as_str() == Some(&name)) {
            stored.push(name.into());
        }
    }
    definition.set_at(&["status", "storedVersions"], Value::Array(stored));
}

fn set_condition(definition: &mut Value, kind: &str, (status, reason, message): (&str, &str, String), now: jiff::Timestamp) {
    let mut conditions = definition.array_at(&["status", "conditions"]).to_vec();
    let same = |condition: &Value| condition.str_at(&["type"]) == Some(kind);
    if conditions.iter().any(|condition| same(condition) && condition.str_at(&["status"]) == Some(status)) {
        return;
    }
    conditions.retain(|condition| !same(condition));
    let mut condition = Value::object();
    condition.set_at(&["type"], kind);
    condition.set_at(&["status"], status);
    condition.set_at(&["lastTransitionTime"], meta::format_time(now));
    condition.set_at(&["reason"], reason);
    condition.set_at(&["message"], message);
    conditions.push(condition);
    definition.set_at(&["status", "conditions"], Value::Array(conditions));
}

/// The deletions of a definition's instances, for the transaction in which it goes itself.
pub fn instances(state: &State, definition: &Value) -> Vec<Change> {
    let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
    let plural = definition.str_at(&["spec", "names", "plural"]).unwrap_or_default();
    let kinds = state.kinds();
    let Some(kind) = kinds.resource(group, plural).filter(|kind| kind.custom) else { return Vec::new() };
    let snapshot = state.snapshot();
    let delete =
        |entry: &crate::state::Stored| Change { key: Arc::clone(&entry.key), expect: Expect::Any, op: Op::Delete, durable: true };
    snapshot.range(&prefix(kind, None), None).map(delete).collect()
}

//! Whether a definition gets the names that it asks for, as the conditions of its status say.

use api::{
    document::{Value, meta},
    kind::Kind,
};
use jiff::Timestamp;

use crate::State;

/// Whether a definition is served.
pub fn is_established(definition: &Value) -> bool {
    definition
        .array_at(&["status", "conditions"])
        .iter()
        .any(|condition| condition.str_at(&["type"]) == Some("Established") && condition.str_at(&["status"]) == Some("True"))
}

/// Completes the status of a definition: its names are accepted unless another has them, and it is served at once.
pub fn complete(state: &State, definition: &mut Value, now: Timestamp) {
    let names = definition.get(&["spec", "names"]).cloned().unwrap_or_else(Value::object);
    let conflict = conflict(state, definition, &names);
    let accepted = conflict.is_none();
    let (status, reason, message) = conflict
        .map_or_else(|| ("True", "NoConflicts", "no conflicts found".to_owned()), |(reason, text)| ("False", reason, text));
    set_condition(definition, "NamesAccepted", (status, reason, message), now);
    if accepted {
        definition.set_at(&["status", "acceptedNames"], names);
        let text = "the initial names have been accepted".to_owned();
        set_condition(definition, "Established", ("True", "InitialNamesAccepted", text), now);
    } else {
        definition.default_at(&["status", "acceptedNames"], api::value!({"plural": "", "kind": ""}));
        if !is_established(definition) {
            let text = "not all names are accepted".to_owned();
            set_condition(definition, "Established", ("False", "NotAccepted", text), now);
        }
    }
    keep_stored_versions(definition);
}

/// The first name that another kind of the group has: the reason and the text of the condition.
fn conflict(state: &State, definition: &Value, names: &Value) -> Option<(&'static str, String)> {
    let group = definition.str_at(&["spec", "group"]).unwrap_or_default();
    let text = |field: &str| names.str_at(&[field]).unwrap_or_default().to_owned();
    let plural = text("plural");
    let kinds = state.kinds();
    let others: Vec<_> = kinds.iter().filter(|other| other.group == group && other.plural != plural).collect();
    let has_name = |other: &Kind, name: &str| {
        other.plural == name || other.singular == name || other.short_names.iter().any(|short| short == name)
    };
    let in_use = |name: &str| format!("{name:?} is already in use");
    let short: Vec<String> = names.array_at(&["shortNames"]).iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let resources =
        [("PluralConflict", vec![plural.clone()]), ("SingularConflict", vec![text("singular")]), ("ShortNamesConflict", short)];
    for (reason, wanted) in &resources {
        if let Some(name) = wanted.iter().find(|name| !name.is_empty() && others.iter().any(|other| has_name(other, name))) {
            return Some((reason, in_use(name)));
        }
    }
    for (reason, name) in [("KindConflict", text("kind")), ("ListKindConflict", text("listKind"))] {
        if others.iter().any(|other| other.kind == name || other.list_kind == name) {
            return Some((reason, in_use(&name)));
        }
    }
    None
}

fn keep_stored_versions(definition: &mut Value) {
    let versions = definition.array_at(&["spec", "versions"]).iter();
    let storage: Vec<String> = versions
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

/// Puts a condition; its time is that of the last change of its status.
pub fn set_condition(definition: &mut Value, kind: &str, (status, reason, message): (&str, &str, String), now: Timestamp) {
    let mut conditions = definition.array_at(&["status", "conditions"]).to_vec();
    let same = |condition: &Value| condition.str_at(&["type"]) == Some(kind);
    let new = api::value!({
        "type": kind, "status": status, "lastTransitionTime": meta::format_time(now), "reason": reason, "message": message,
    });
    match conditions.iter_mut().find(|condition| same(condition)) {
        Some(condition) if condition.str_at(&["status"]) == Some(status) => {}
        Some(condition) => *condition = new,
        None => conditions.push(new),
    }
    definition.set_at(&["status", "conditions"], Value::Array(conditions));
}

//! Server-side apply: who owns which field, as `managedFields` records it (FieldsV1).
//!
//! Never decides who may write; it merges, finds conflicts and keeps the record.

mod compare;
mod managers;
mod merge;
mod set;
mod shape;
#[cfg(test)]
mod tests;

use crate::document::{Value, meta};
use crate::schema::Schema;
use crate::status::Status;
use jiff::Timestamp;
use managers::Managers;
use set::FieldSet;

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Manager<'a> {
    /// The field manager's name.
    pub name: &'a str,
    /// The version that the request speaks, such as `apps/v1`.
    pub api_version: &'a str,
    /// The subresource that is written, such as `status`.
    pub subresource: Option<&'a str>,
    /// The time of the request.
    pub now: Timestamp,
}

/// Fields that are the server's: nobody owns them.
const SYSTEM: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "generateName"],
    &["metadata", "creationTimestamp"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "deletionGracePeriodSeconds"],
    &["metadata", "selfLink"],
    &["metadata", "uid"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "resourceVersion"],
];

/// The annotation in which client-side apply keeps what it sent.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Applies a configuration to an object (`live`; `None` creates). Both are in the version of the request, which the configuration
/// names too. The result carries the new `managedFields`; `ignored` are fields that this endpoint never lets a manager own (`status` on the main one).
///
/// # Errors
/// A conflict (409) that names each field and manager unless `force`, or a bad request for a malformed configuration.
pub fn apply(
    live: Option<&Value>,
    configuration: &Value,
    schema: &Schema,
    manager: Manager<'_>,
    force: bool,
    ignored: &[&[&str]],
) -> Result<Value, Status> {
    let mut configuration = configuration.clone();
    configuration.remove_at(&["metadata", "managedFields"]);
    let schema = Some(schema);
    let empty = Value::object();
    let before = live.unwrap_or(&empty);
    let mut managers = Managers::of(before);
    if let Some(live) = live.filter(|live| managers.0.is_empty() && !meta::uid(live).is_empty()) {
        // What is there when the record begins belongs to whoever wrote it.
        let first = Manager { name: "before-first-apply", subresource: None, ..manager };
        let mut share = Managers::new_share(first, false);
        share.set = owned(shape::field_set(live, schema), ignored);
        share.time.clear();
        managers.put(share);
    }
    let mut share = Managers::new_share(manager, true);
    let last = managers.find(&share).map(|share| share.set.clone()).unwrap_or_default();
    share.set = owned(shape::field_set(&configuration, schema), ignored);
    let mut merged = merge::merge(before, &configuration, schema);
    let mut all = managers.clone();
    all.0.retain(|other| all_but(other, &share));
    let claimed = all.everything().union(&share.set);
    merge::remove(&mut merged, &last, &claimed, schema);
    let changes = compare::compare(before, &merged, schema);
    let touched = owned(changes.added.union(&changes.modified), ignored);
    let allowed = if manager.name == "kubectl" { last_applied(before, schema) } else { FieldSet::default() };
    let mut conflicts = managers.conflicts(&share, &touched);
    for (_, set) in &mut conflicts {
        *set = set.difference(&allowed);
    }
    conflicts.retain(|(_, set)| !set.is_empty());
    if !force && !conflicts.is_empty() {
        return Err(managers::refusal(&conflicts));
    }
    managers.take_from_others(&share, &touched.union(&changes.removed));
    managers.put(share);
    managers.write(&mut merged);
    Ok(merged)
}

/// Lays a configuration over an object without asking who owns what, as mutating policies do.
///
/// # Errors
/// The paths at which the configuration holds something atomic: all of it that the configuration leaves out would be lost.
pub fn lay_over(live: &Value, configuration: &Value, schema: &Schema) -> Result<Value, Vec<String>> {
    let mut atomic = Vec::new();
    shape::atomics(configuration, Some(schema), "", &mut atomic);
    if atomic.is_empty() { Ok(merge::merge(live, configuration, Some(schema))) } else { Err(atomic) }
}

fn all_but(other: &managers::Share, own: &managers::Share) -> bool {
    !(other.manager == own.manager && other.applied && other.subresource == own.subresource)
}

/// What client-side apply sent last: its own successor may take that over without a conflict.
fn last_applied(live: &Value, schema: Option<&Schema>) -> FieldSet {
    let sent = meta::annotation(live, LAST_APPLIED).and_then(|text| Value::parse_json(text.as_bytes()).ok());
    sent.map(|(sent, _)| shape::field_set(&sent, schema)).unwrap_or_default()
}

/// The set without what is the server's or another endpoint's.
fn owned(mut set: FieldSet, ignored: &[&[&str]]) -> FieldSet {
    for path in SYSTEM.iter().chain(ignored) {
        set.remove_all(path);
    }
    set
}

/// Records a create, update or other patch: fields of `new` that differ from `old` become the manager's, with operation `Update`.
/// Puts the record into `new`. When nothing but the record would change, `new` keeps the record of `old`.
pub fn record_update(old: Option<&Value>, new: &mut Value, schema: &Schema, manager: Manager<'_>, ignored: &[&[&str]]) {
    let given = new.remove_at(&["metadata", "managedFields"]);
    if is_reset(given.as_ref()) {
        return;
    }
    let mut managers = Managers::default();
    if let Some(given) = given.filter(|_| manager.subresource.is_none()) {
        let mut carrier = Value::object();
        meta::set(&mut carrier, "managedFields", given);
        managers = Managers::of(&carrier);
    }
    let empty = Value::object();
    let before = old.unwrap_or(&empty);
    if managers.0.is_empty() {
        managers = Managers::of(before);
    }
    // A record that was wiped begins again with the first apply.
    if old.is_some() && managers.0.is_empty() {
        return;
    }
    let changes = compare::compare(before, new, Some(schema));
    let touched = owned(changes.added.union(&changes.modified), ignored);
    let mut share = Managers::new_share(manager, false);
    let mine = managers.find(&share).map(|share| share.set.clone()).unwrap_or_default();
    share.set = mine.difference(&changes.removed).union(&touched);
    managers.take_from_others(&share, &touched.union(&changes.removed));
    managers.put(share);
    managers.write(new);
}

/// Whether the writer wipes the record: a list of one empty entry, or an empty list that is written out.
fn is_reset(given: Option<&Value>) -> bool {
    matches!(given, Some(Value::Array(items)) if items.len() == 1 && items[0].is_empty())
}

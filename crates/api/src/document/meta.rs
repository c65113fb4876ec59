//! Accessors for what every object carries: `apiVersion`, `kind` and `metadata`.

use super::{Map, Value};
use jiff::Timestamp;

/// An owner as `metadata.ownerReferences` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerReference {
    /// The owner's `apiVersion`.
    pub api_version: String,
    /// The owner's kind.
    pub kind: String,
    /// The owner's name.
    pub name: String,
    /// The owner's uid.
    pub uid: String,
    /// Whether the owner manages this object.
    pub controller: bool,
    /// Whether a foreground deletion of the owner waits for this object.
    pub block_owner_deletion: bool,
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.str_at(&["metadata", field]).unwrap_or("")
}

/// `apiVersion`, empty when missing.
pub fn api_version(object: &Value) -> &str {
    object.str_at(&["apiVersion"]).unwrap_or("")
}

/// `kind`, empty when missing.
pub fn kind(object: &Value) -> &str {
    object.str_at(&["kind"]).unwrap_or("")
}

/// Group and version out of an `apiVersion`; the core group is empty.
pub fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// An `apiVersion` out of group and version.
pub fn join_api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// `metadata.name`, empty when missing.
pub fn name(object: &Value) -> &str {
    text(object, "name")
}

/// `metadata.generateName`, empty when missing.
pub fn generate_name(object: &Value) -> &str {
    text(object, "generateName")
}

/// `metadata.namespace`, empty when missing.
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

/// `metadata.uid`, empty when missing.
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// `metadata.resourceVersion`, empty when missing.
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}

/// `metadata.generation`, 0 when missing.
pub fn generation(object: &Value) -> i64 {
    object.i64_at(&["metadata", "generation"]).unwrap_or(0)
}

/// `metadata.creationTimestamp` as written.
pub fn creation_timestamp(object: &Value) -> Option<&str> {
    object.str_at(&["metadata", "creationTimestamp"])
}

/// `metadata.deletionTimestamp` as written.
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    object.str_at(&["metadata", "deletionTimestamp"])
}

/// `metadata.deletionGracePeriodSeconds`.
pub fn deletion_grace_seconds(object: &Value) -> Option<i64> {
    object.i64_at(&["metadata", "deletionGracePeriodSeconds"])
}

/// Whether the object is being deleted.
pub fn is_deleted(object: &Value) -> bool {
    deletion_timestamp(object).is_some()
}

/// A time out of its text.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// A time as `metav1.Time` writes it: RFC 3339 in UTC, whole seconds.
pub fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time as `metav1.MicroTime` writes it.
pub fn format_micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// `metadata.labels`.
pub fn labels(object: &Value) -> Option<&Map> {
    object.object_at(&["metadata", "labels"])
}

/// One label.
pub fn label<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    labels(object)?.str(name)
}

/// `metadata.annotations`.
pub fn annotations(object: &Value) -> Option<&Map> {
    object.object_at(&["metadata", "annotations"])
}

/// One annotation.
pub fn annotation<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    annotations(object)?.str(name)
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object.array_at(&["metadata", "finalizers"]).iter().filter_map(Value::as_str)
}

/// Whether there is this finalizer.
pub fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    finalizers(object).any(|candidate| candidate == finalizer)
}

/// Adds a finalizer unless it is there.
pub fn add_finalizer(object: &mut Value, finalizer: &str) {
    if !has_finalizer(object, finalizer) {
        let mut list: Vec<Value> = object.array_at(&["metadata", "finalizers"]).to_vec();
        list.push(finalizer.into());
        object.set_at(&["metadata", "finalizers"], Value::Array(list));
    }
}

/// Takes a finalizer away, and the list too when it is empty.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) {
    let Some(Value::Array(list)) = object.get_mut(&["metadata", "finalizers"]) else { return };
    list.retain(|item| item.as_str() != Some(finalizer));
    if list.is_empty() {
        object.remove_at(&["metadata", "finalizers"]);
    }
}

/// `metadata.ownerReferences`.
pub fn owner_references(object: &Value) -> Vec<OwnerReference> {
    object.array_at(&["metadata", "ownerReferences"]).iter().map(owner_reference).collect()
}

/// The owner that manages this object.
pub fn controller(object: &Value) -> Option<OwnerReference> {
    owner_references(object).into_iter().find(|owner| owner.controller)
}

fn owner_reference(value: &Value) -> OwnerReference {
    let text = |field: &str| value.str_at(&[field]).unwrap_or("").to_owned();
    OwnerReference {
        api_version: text("apiVersion"),
        kind: text("kind"),
        name: text("name"),
        uid: text("uid"),
        controller: value.bool_at(&["controller"]).unwrap_or(false),
        block_owner_deletion: value.bool_at(&["blockOwnerDeletion"]).unwrap_or(false),
    }
}

/// Puts one field of the metadata.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    object.set_at(&["metadata", field], value);
}

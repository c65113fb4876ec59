//! Custom kinds: a CustomResourceDefinition becomes a row of the kind table as soon as it is stored, and its instances go before it.

mod names;

use std::sync::Arc;

use api::{
    document::{Value, meta},
    kind::{Kind, KindTable, Version},
    rules::definition::CLEANUP_FINALIZER,
};
use bytes::Bytes;
use jiff::Timestamp;
use store::{Change, CommitError, Expect, Op};

use crate::{
    State,
    state::{Stored, decode, key, prefix},
};

pub use names::complete;

const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";

/// Whether a kind is that of definitions.
pub fn is_definition(kind: &Kind) -> bool {
    kind.group == GROUP && kind.plural == PLURAL
}

/// Looks again at the definitions after a write to one, and at a definition under deletion after a write to an instance.
pub async fn noticed(state: &State, kind: &Kind) {
    if is_definition(kind) {
        load(state);
    } else if kind.terminating {
        finish(state, kind).await;
    }
}

/// Builds the kind table from the stored definitions.
pub fn load(state: &State) {
    let kinds = state.kinds();
    let Some(definitions) = kinds.resource(GROUP, PLURAL) else { return };
    let snapshot = state.snapshot();
    let mut rows = Vec::new();
    for entry in snapshot.range(&prefix(definitions, None), None) {
        // A definition is named after its kind: `plural.group`.
        let known = crate::state::names(&entry.key).1.split_once('.').and_then(|(plural, group)| kinds.resource(group, plural));
        let known = known.filter(|known| known.custom);
        if let Some(known) = known.filter(|known| known.defined_at == entry.modified) {
            rows.push(Arc::clone(known));
            continue;
        }
        let definition = decode(entry);
        if !names::is_established(&definition) {
            continue;
        }
        match Kind::from_crd(&definition) {
            Ok(mut kind) => {
                kind.defined_at = entry.modified;
                kind.schemas_since = known.filter(|known| same_schemas(known, &kind)).map_or(entry.modified, |k| k.schemas_since);
                rows.push(Arc::new(kind));
            }
            Err(errors) => tracing::warn!(key = %entry.key, ?errors, "a stored definition is not served"),
        }
    }
    state.set_kinds(KindTable::with_custom(rows));
    state.rules.forget_unused();
}

/// Whether two states of a kind read objects alike.
fn same_schemas(one: &Kind, other: &Kind) -> bool {
    let fields = |version: &Version| -> Vec<_> { version.selectable_fields.iter().map(|field| field.name.clone()).collect() };
    let schemas = |kind: &Kind| -> Vec<_> {
        let one = |v: &Version| (v.name.clone(), v.storage, v.custom_openapi.clone(), fields(v));
        kind.versions.iter().map(one).collect()
    };
    schemas(one) == schemas(other)
}

/// What must hold when an instance is committed that was readied by a state of its kind: no other definition came between. `None` when one
/// did already, with other schemas.
pub fn unchanged(state: &State, kind: &Kind) -> Option<Change> {
    let kinds = state.kinds();
    let now = kinds.resource(&kind.group, &kind.plural).filter(|now| now.schemas_since == kind.schemas_since)?;
    let definition = format!("/{GROUP}/{PLURAL}//{}", kind.qualified());
    Some(Change { key: definition.into(), expect: Expect::Revision(now.defined_at), op: Op::Check, durable: true })
}

/// Brings an object that is written back as it was read to the schema that is in force.
pub fn settle(kind: &Kind, object: &mut Value) {
    if kind.custom && kind.conversion.is_none() {
        let version = kind.storage_version();
        kind.to_served(version, object);
    }
}

/// Begins the end of a definition: instances that nothing holds go at once, the others are marked. Whether all are gone.
pub async fn clear(state: &State, definition: &Value, now: Timestamp) -> Result<bool, CommitError> {
    let (mut changes, mut held) = (Vec::new(), false);
    let (group, plural) = named(definition);
    let kinds = state.kinds();
    for entry in instances_of(state, definition) {
        let mut object = decode(&entry);
        let op = if meta::finalizers(&object).next().is_none() {
            Op::Delete
        } else if meta::is_deleted(&object) {
            held = true;
            continue;
        } else {
            held = true;
            meta::set(&mut object, "deletionTimestamp", meta::format_time(now));
            meta::set(&mut object, "deletionGracePeriodSeconds", 0_i64);
            let generation = meta::generation(&object);
            meta::set(&mut object, "generation", generation + 1);
            object.remove_at(&["metadata", "resourceVersion"]);
            if let Some(kind) = kinds.resource(group, plural) {
                settle(kind, &mut object);
            }
            Op::Put(Bytes::from(object.to_json()))
        };
        changes.push(Change { key: Arc::clone(&entry.key), expect: Expect::Any, op, durable: true });
    }
    if !changes.is_empty() {
        state.store.transact(changes).await?;
    }
    Ok(!held)
}

/// Notes that a definition waits for its instances.
pub fn hold(definition: &mut Value, now: Timestamp) {
    meta::add_finalizer(definition, CLEANUP_FINALIZER);
    let text = "CustomResource deletion is in progress".to_owned();
    names::set_condition(definition, "Terminating", ("True", "InstanceDeletionInProgress", text), now);
}

/// The deletions of a definition's instances, for the transaction in which it goes itself.
pub fn instances(state: &State, definition: &Value) -> Vec<Change> {
    let delete = |entry: Stored| Change { key: Arc::clone(&entry.key), expect: Expect::Any, op: Op::Delete, durable: true };
    instances_of(state, definition).into_iter().map(delete).collect()
}

/// Group and plural that a definition defines.
fn named(definition: &Value) -> (&str, &str) {
    (
        definition.str_at(&["spec", "group"]).unwrap_or_default(),
        definition.str_at(&["spec", "names", "plural"]).unwrap_or_default(),
    )
}

fn instances_of(state: &State, definition: &Value) -> Vec<Stored> {
    let (group, plural) = named(definition);
    let kinds = state.kinds();
    let Some(kind) = kinds.resource(group, plural).filter(|kind| kind.custom) else { return Vec::new() };
    state.snapshot().range(&prefix(kind, None), None).cloned().collect()
}

/// Lets a definition go whose last instance has gone.
async fn finish(state: &State, kind: &Kind) {
    let snapshot = state.snapshot();
    if snapshot.range(&prefix(kind, None), None).next().is_some() {
        return;
    }
    let kinds = state.kinds();
    let Some(definitions) = kinds.resource(GROUP, PLURAL) else { return };
    let Some(entry) = snapshot.get(&key(definitions, "", &kind.qualified())) else { return };
    let mut definition = decode(entry);
    if !meta::is_deleted(&definition) || !meta::has_finalizer(&definition, CLEANUP_FINALIZER) {
        return;
    }
    meta::remove_finalizer(&mut definition, CLEANUP_FINALIZER);
    definition.remove_at(&["metadata", "resourceVersion"]);
    let gone = meta::finalizers(&definition).next().is_none();
    let op = if gone { Op::Delete } else { Op::Put(Bytes::from(definition.to_json())) };
    let change = Change { key: Arc::clone(&entry.key), expect: Expect::Revision(entry.modified), op, durable: true };
    match state.store.transact(vec![change]).await {
        Ok(_) => load(state),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a definition without instances stays for now"),
    }
}

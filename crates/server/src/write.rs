//! The single way into the store: current → change → default → mutating admission → prepare → validate → validating admission → commit,
//! retried when another write came first. A dry run ends before the commit.

use std::sync::Arc;

use api::{
    apply::{self, Manager},
    document::{Map, Value, meta},
    rules::RuleContext,
    schema,
    status::{FieldError, Reason, Status},
};
use bytes::Bytes;
use store::{Change, CommitError, Entry, Expect, Op, Revision};

use crate::{
    admission::{self, Operation, Review},
    conversion,
    limits::WRITE_TRIES,
    request::Call,
    state::{Fields, decode, key},
};

/// What the client said about its write beside the object.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// Who owns the fields that are written.
    pub manager: String,
    /// Whether the record of owned fields was made by the change itself, as server-side apply does.
    pub manager_recorded: bool,
    /// Whether a missing object is created.
    pub create: bool,
    /// Whether an object that is there is changed.
    pub update: bool,
}

/// What was written.
pub struct Written {
    /// The object in the stored version, with its resourceVersion.
    pub object: Value,
    /// Whether it is new.
    pub created: bool,
    /// What the client should be told although it went well.
    pub warnings: Vec<String>,
    /// The bytes that were stored and their revision, if something was.
    pub stored: Option<(Bytes, Revision)>,
}

/// A change: from the current object to the one that is wanted, both in the stored version.
pub trait Wanted: Fn(Option<&Value>) -> Result<Value, Status> + Send + Sync {}
impl<F: Fn(Option<&Value>) -> Result<Value, Status> + Send + Sync> Wanted for F {}

/// Makes a change to the object `name`.
pub async fn write(call: &Call, name: &str, options: &Options, wanted: impl Wanted) -> Result<Written, Status> {
    let key: Arc<str> = key(&call.kind, call.namespace(), name).into();
    for _ in 0..WRITE_TRIES {
        let snapshot = call.state.snapshot();
        let current = snapshot.get(&key).cloned();
        let old = match current.as_deref().map(decode) {
            Some(old) => Some(conversion::one(&call.state, &call.kind, old, &call.api_version()).await?),
            None => None,
        };
        if old.is_none() && !options.create {
            return Err(Status::not_found(&call.kind.group, &call.kind.plural, name));
        }
        if old.is_some() && !options.update {
            return Err(Status::already_exists(&call.kind.group, &call.kind.plural, name));
        }
        if old.is_none() && call.kind.terminating {
            let text = "create not allowed while custom resource definition is terminating";
            return Err(Status::about(Reason::MethodNotAllowed, &call.kind.group, &call.kind.plural, name, text));
        }
        let (new, warnings) = prepare(call, name, options, old.as_ref(), &wanted).await?;
        let created = old.is_none();
        if let Some(old) = old.filter(|old| same(old, &new)) {
            return Ok(Written { object: old, created, warnings, stored: None });
        }
        let finished = !created && is_finished(&new);
        if options.dry_run {
            let mut object = new;
            if let Some(current) = &current {
                meta::set(&mut object, "resourceVersion", current.modified.to_string());
            }
            return Ok(Written { object, created, warnings, stored: None });
        }
        let bytes = match &call.kind.conversion {
            None => Bytes::from(new.to_json()),
            Some(_) => {
                let place = call.kind.storage_api_version();
                Bytes::from(conversion::one(&call.state, &call.kind, new.clone(), &place).await?.to_json())
            }
        };
        match commit(call, &key, current.as_deref(), &new, bytes.clone(), finished).await {
            Ok(revision) => {
                let mut object = new;
                meta::set(&mut object, "resourceVersion", revision.to_string());
                crate::custom_kinds::noticed(&call.state, &call.kind).await;
                crate::aggregation::noticed(&call.state, &call.kind, name);
                return Ok(Written { object, created, warnings, stored: (!finished).then_some((bytes, revision)) });
            }
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => return Err(commit_failed(&error)),
        }
    }
    Err(Status::modified(&call.kind.group, &call.kind.plural, name))
}

/// The wanted object, brought through every step up to the commit.
async fn prepare(
    call: &Call,
    name: &str,
    options: &Options,
    old: Option<&Value>,
    wanted: &impl Wanted,
) -> Result<(Value, Vec<String>), Status> {
    let mut new = wanted(old)?;
    check_identity(call, name, old, &new)?;
    adopt_identity(call, name, old, &mut new);
    let version = call.version();
    if call.kind.custom
        && let Some(facts) = version.schema()
    {
        schema::prune(&mut new, facts);
        schema::default(&mut new, facts);
        if !version.storage {
            crate::custom_kinds::settle(&call.kind, &mut new);
        }
    }
    call.kind.default(&mut new);
    record(call, options, old, &mut new);
    let context = RuleContext { subresource: call.subresource(), identity: &call.identity, now: call.now };
    let mut warnings = Vec::new();
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    review(call, name, options, operation, old, &mut new, &mut warnings, true).await?;
    call.kind.prepare(&mut new, old, &context);
    crate::allocate::service(call, old, &mut new)?;
    if call.kind.group == "apiextensions.k8s.io" && call.kind.plural == "customresourcedefinitions" {
        crate::custom_kinds::complete(&call.state, &mut new, call.now);
    }
    let mut errors = Vec::new();
    if let Some(facts) = &version.custom_schema {
        errors.extend(schema::validate(&new, facts));
        if let (true, Some(written)) = (errors.is_empty() && facts.has_rules, &version.custom_openapi) {
            errors.extend(call.state.rules.violations(written, &new, old));
        }
    }
    if errors.is_empty() {
        errors.extend(call.kind.validate(&new, old, call.subresource()));
        errors.extend(crate::expression::written::problems(&call.kind, &new, old));
    }
    if !errors.is_empty() {
        return Err(Status::invalid(&call.kind.group, &call.kind.kind, name, &errors));
    }
    review(call, name, options, operation, old, &mut new, &mut warnings, false).await?;
    warnings.extend(call.kind.warn(&new, old));
    new.remove_at(&["metadata", "resourceVersion"]);
    order_head(&mut new);
    Ok((new, warnings))
}

/// Notes who owns what the write changed. Admission and the server's own doing come after it and belong to nobody.
fn record(call: &Call, options: &Options, old: Option<&Value>, new: &mut Value) {
    let Some(facts) = call.version().schema().filter(|_| !options.manager_recorded) else { return };
    let ignored = ignored(call, new);
    let ignored: Vec<[&str; 1]> = ignored.iter().map(|name| [name.as_str()]).collect();
    let ignored: Vec<&[&str]> = ignored.iter().map(<[&str; 1]>::as_slice).collect();
    let api_version = call.api_version();
    let manager = manager(call, &options.manager, &api_version);
    if call.version().convert.is_none() {
        apply::record_update(old, new, facts, manager, &ignored);
        return;
    }
    // The record speaks of fields as the writer names them.
    let served = |object: &Value| {
        let mut object = object.clone();
        call.kind.to_served(call.version(), &mut object);
        object
    };
    let mut written = served(new);
    apply::record_update(old.map(served).as_ref(), &mut written, facts, manager, &ignored);
    match written.remove_at(&["metadata", "managedFields"]) {
        Some(record) => meta::set(new, "managedFields", record),
        None => drop(new.remove_at(&["metadata", "managedFields"])),
    }
}

/// Who writes, as the record of owned fields names them.
pub fn manager<'a>(call: &'a Call, name: &'a str, api_version: &'a str) -> Manager<'a> {
    Manager { name, api_version, subresource: call.subresource(), now: call.now }
}

/// The fields that this endpoint does not let a manager own: the status on the main one, all but the status there.
pub fn ignored(call: &Call, object: &Value) -> Vec<String> {
    let has_status = call.version().subresource("status").is_some();
    match call.subresource() {
        None if has_status => vec!["status".to_owned()],
        Some("status") => {
            let others = object.as_object().into_iter().flat_map(api::document::Map::keys);
            others.filter(|name| *name != "status" && (call.kind.custom || *name != "metadata")).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call of admission has these parts; a struct for two callers would only rename them"
)]
async fn review(
    call: &Call,
    name: &str,
    options: &Options,
    operation: Operation,
    old: Option<&Value>,
    new: &mut Value,
    warnings: &mut Vec<String>,
    mutate: bool,
) -> Result<(), Status> {
    let mut review = Review {
        identity: &call.identity,
        operation,
        group: &call.kind.group,
        version: &call.version().name,
        kind: &call.kind.kind,
        resource: &call.kind.plural,
        subresource: call.subresource().unwrap_or_default(),
        namespace: &call.path.namespace,
        name,
        object: new,
        old,
        options: &Value::Null,
        dry_run: options.dry_run,
        warnings: Vec::new(),
    };
    if mutate {
        admission::mutate(&mut review, &call.state).await?;
    } else {
        admission::validate(&mut review, &call.state).await?;
    }
    warnings.append(&mut review.warnings);
    Ok(())
}

/// Whether the object says that it is another one than it is.
fn check_identity(call: &Call, name: &str, old: Option<&Value>, new: &Value) -> Result<(), Status> {
    let kind = &call.kind;
    if meta::name(new) != name {
        let text = format!("the name of the object ({}) does not match the name on the URL ({name})", meta::name(new));
        return Err(Status::bad_request(text));
    }
    let namespace = meta::namespace(new);
    if kind.is_namespaced() && !namespace.is_empty() && namespace != call.namespace() {
        return Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"));
    }
    let Some(old) = old else { return Ok(()) };
    let (given, current) = (meta::uid(new), meta::uid(old));
    if !given.is_empty() && given != current {
        let why = format!("Precondition failed: UID in precondition: {given}, UID in object meta: {current}");
        return Err(Status::conflict(&kind.group, &kind.plural, name, &why));
    }
    let given = meta::resource_version(new);
    if given.is_empty() && !kind.unconditional_update && call.verb == "update" {
        let error = FieldError::invalid("metadata.resourceVersion", 0_i64, "must be specified for an update");
        return Err(Status::invalid(&kind.group, &kind.kind, name, &[error]));
    }
    if !given.is_empty() && given != "0" && given != meta::resource_version(old) {
        return Err(Status::modified(&kind.group, &kind.plural, name));
    }
    Ok(())
}

/// What of the metadata is the server's own.
fn adopt_identity(call: &Call, name: &str, old: Option<&Value>, new: &mut Value) {
    meta::set(new, "name", name);
    if call.kind.is_namespaced() {
        meta::set(new, "namespace", call.namespace());
    } else {
        new.remove_at(&["metadata", "namespace"]);
    }
    new.remove_at(&["metadata", "selfLink"]);
    let Some(old) = old else {
        meta::set(new, "uid", uuid::Uuid::new_v4().to_string());
        meta::set(new, "creationTimestamp", meta::format_time(call.now));
        new.remove_at(&["metadata", "deletionTimestamp"]);
        new.remove_at(&["metadata", "deletionGracePeriodSeconds"]);
        return;
    };
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"] {
        match old.get(&["metadata", field]) {
            Some(value) => meta::set(new, field, value.clone()),
            None => drop(new.remove_at(&["metadata", field])),
        }
    }
}

/// `apiVersion`, `kind` and `metadata` stand first in stored bytes: where the resourceVersion goes is then found at once.
fn order_head(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    for field in ["metadata", "kind", "apiVersion"] {
        if let Some(value) = map.remove(field) {
            map.insert_first(field, value);
        }
    }
}

/// Whether nothing would change, the time of the managers' record aside.
fn same(old: &Value, new: &Value) -> bool {
    const ASIDE: [&str; 2] = ["resourceVersion", "managedFields"];
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return false };
    let alike = |old: &Map, new: &Map, aside: &[&str]| {
        let fields = |map: &Map| map.keys().filter(|name| !aside.contains(name)).count();
        let same = |(name, value): (&str, &Value)| aside.contains(&name) || old.get(name) == Some(value);
        fields(old) == fields(new) && new.iter().all(same)
    };
    let empty = Map::new();
    let before = old.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let after = new.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    alike(old, new, &["metadata"]) && alike(before, after, &ASIDE) && timeless(before) == timeless(after)
}

/// The managers' record without its times.
fn timeless(metadata: &Map) -> Value {
    let mut list = metadata.get("managedFields").cloned().unwrap_or_default();
    for entry in list.as_array_mut().into_iter().flatten() {
        entry.remove_at(&["time"]);
    }
    list
}

/// An object that is being deleted, and whose last finalizer is gone, goes now.
fn is_finished(object: &Value) -> bool {
    let waits = object.array_at(&["spec", "finalizers"]).iter().next().is_some() && meta::kind(object) == "Namespace";
    meta::is_deleted(object)
        && meta::finalizers(object).next().is_none()
        && meta::deletion_grace_seconds(object).unwrap_or(0) == 0
        && !waits
}

async fn commit(
    call: &Call,
    key: &Arc<str>,
    current: Option<&Entry<Fields>>,
    new: &Value,
    bytes: Bytes,
    finished: bool,
) -> Result<Revision, CommitError> {
    let expect = current.map_or(Expect::Absent, |entry| Expect::Revision(entry.modified));
    let op = if finished { Op::Delete } else { Op::Put(bytes) };
    // The heartbeats of nodes are worth no write to the disk: a crash that loses one loses nothing.
    let durable = !key.starts_with("/coordination.k8s.io/leases/kube-node-lease/");
    let mut changes = vec![Change { key: Arc::clone(key), expect, op, durable }];
    if call.kind.custom && !finished {
        let Some(check) = crate::custom_kinds::unchanged(&call.state, &call.kind) else {
            return Err(CommitError::Conflict { key: Arc::clone(key), current: None });
        };
        changes.push(check);
    }
    if call.kind.plural == "services" && call.kind.group.is_empty() {
        let old = current.map(decode);
        changes.extend(crate::allocate::changes(key, old.as_ref(), (!finished).then_some(new)));
    }
    if finished
        && call.kind.plural == "customresourcedefinitions"
        && let Some(current) = current
    {
        changes.extend(crate::custom_kinds::instances(&call.state, &decode(current)));
    }
    call.state.store.transact(changes).await
}

/// What a failed commit is to the client.
pub fn commit_failed(error: &CommitError) -> Status {
    tracing::error!(error = error as &dyn std::error::Error, "a write was not made");
    match error {
        CommitError::TooLarge { .. } => Status::too_large(store_value_max()),
        CommitError::Stopped => Status::service_unavailable("the store has stopped: its disk failed"),
        CommitError::Conflict { .. } | CommitError::Write(_) | CommitError::Seal { .. } => Status::internal(error),
    }
}

const fn store_value_max() -> usize {
    crate::limits::BODY_BYTES_MAX
}

/// Asks the validating admission whether an object may be deleted.
pub async fn review_deletion(call: &Call, namespace: &str, name: &str, old: &Value, dry_run: bool) -> Result<(), Status> {
    let mut gone = Value::Null;
    let mut review = Review {
        identity: &call.identity,
        operation: Operation::Delete,
        group: &call.kind.group,
        version: &call.version().name,
        kind: &call.kind.kind,
        resource: &call.kind.plural,
        subresource: "",
        namespace: if call.kind.is_namespaced() { namespace } else { &call.path.namespace },
        name,
        object: &mut gone,
        old: Some(old),
        options: &Value::Null,
        dry_run,
        warnings: Vec::new(),
    };
    admission::mutate(&mut review, &call.state).await?;
    admission::validate(&mut review, &call.state).await
}

/// Puts `new` in the place of an entry, or removes it. `None` when another write came first.
pub async fn replace(
    call: &Call,
    entry: &Entry<Fields>,
    old: &Value,
    mut new: Value,
    gone: bool,
) -> Result<Option<Value>, Status> {
    new.remove_at(&["metadata", "resourceVersion"]);
    crate::custom_kinds::settle(&call.kind, &mut new);
    order_head(&mut new);
    let bytes = Bytes::from(new.to_json());
    match commit(call, &entry.key, Some(entry), &new, bytes, gone).await {
        Ok(revision) => {
            crate::custom_kinds::noticed(&call.state, &call.kind).await;
            crate::aggregation::noticed(&call.state, &call.kind, meta::name(old));
            let mut object = if gone { old.clone() } else { new };
            meta::set(&mut object, "resourceVersion", revision.to_string());
            Ok(Some(object))
        }
        Err(CommitError::Conflict { .. }) => Ok(None),
        Err(error) => Err(commit_failed(&error)),
    }
}

//! Subresources: which fields each may write, and the few that do something instead.

pub mod approval;
mod binding;
mod eviction;
pub mod review;
pub mod scale;
mod token;

use std::{future::Future, pin::Pin};

use api::{
    document::{Value, meta},
    kind::SubresourceKind,
    status::Status,
};
use bytes::Bytes;
use http::Response;

use crate::{body::Body, request::Call};

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;
type Action = fn(Call, Bytes) -> Answer;

/// A subresource that does something.
struct Row {
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    action: Action,
}

/// All of them. An empty resource stands for every one.
const ACTIONS: &[Row] = &[
    Row { group: "", resource: "serviceaccounts", subresource: "token", action: |call, body| Box::pin(token::serve(call, body)) },
    Row { group: "", resource: "pods", subresource: "binding", action: |call, body| Box::pin(binding::serve(call, body)) },
    Row { group: "", resource: "bindings", subresource: "", action: |call, body| Box::pin(binding::serve(call, body)) },
    Row { group: "", resource: "pods", subresource: "eviction", action: |call, body| Box::pin(eviction::serve(call, body)) },
];

/// What the call does, if it is not one of the verbs on an object.
pub fn action(call: &Call) -> Option<Action> {
    let (group, resource, subresource) = (&*call.kind.group, &*call.kind.plural, call.subresource().unwrap_or_default());
    if matches!(call.version().subresource(subresource).map(|found| &found.kind), Some(SubresourceKind::Scale(_))) {
        return Some(|call, body| Box::pin(scale::serve(call, body)));
    }
    ACTIONS.iter().find(|row| (row.group, row.resource, row.subresource) == (group, resource, subresource)).map(|row| row.action)
}

/// The object after a write to the call's endpoint: a subresource that is the whole object changes only its own part of the stored one.
pub fn merged(call: &Call, old: &Value, new: Value) -> Result<Value, Status> {
    match (&*call.kind.plural, call.subresource()) {
        ("certificatesigningrequests", Some("approval")) => approval::apply(old, &new, call.now),
        ("namespaces", Some("finalize")) => Ok(with(old, &new, &[&["spec", "finalizers"]])),
        ("pods", Some("ephemeralcontainers")) => Ok(with(old, &new, &[&["spec", "ephemeralContainers"]])),
        ("pods", Some("resize")) => Ok(with(old, &new, &[&["spec"]])),
        (_, Some("status")) => Ok(with_status(call, old, new)),
        _ => Ok(new),
    }
}

/// The stored object with these fields of another, and its preconditions.
fn with(old: &Value, new: &Value, fields: &[&[&str]]) -> Value {
    let mut merged = old.clone();
    for field in fields {
        match new.get(field) {
            Some(value) => merged.set_at(field, value.clone()),
            None => drop(merged.remove_at(field)),
        }
    }
    for field in ["resourceVersion", "uid", "managedFields"] {
        match new.get(&["metadata", field]) {
            Some(value) => meta::set(&mut merged, field, value.clone()),
            None => drop(merged.remove_at(&["metadata", field])),
        }
    }
    merged
}

/// A status write: the status is the writer's, and of a built-in kind the metadata too; everything else stays.
fn with_status(call: &Call, old: &Value, mut new: Value) -> Value {
    if call.kind.custom {
        return with(old, &new, &[&["status"]]);
    }
    let mut merged = old.clone();
    for field in ["metadata", "status"] {
        match new.remove_at(&[field]) {
            Some(value) => merged.set_at(&[field], value),
            None => drop(merged.remove_at(&[field])),
        }
    }
    // Nodes may not touch who owns their pods: they know an old version of that.
    if call.kind.plural == "pods" {
        match old.get(&["metadata", "ownerReferences"]) {
            Some(owners) => meta::set(&mut merged, "ownerReferences", owners.clone()),
            None => drop(merged.remove_at(&["metadata", "ownerReferences"])),
        }
    }
    merged
}

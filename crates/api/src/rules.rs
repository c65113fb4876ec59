//! What a kind's row cannot say in data: defaults, preparation and validation, one file a kind.
//!
//! The server calls [`Kind`](crate::kind::Kind)'s `default`, `prepare`, `validate` and `warn`, which do what holds for every kind and
//! then ask the kind's `Rules`. Rules see documents alone: never the store, other objects or a clock.

pub mod access;
pub mod admission;
pub mod autoscaler;
pub mod batch;
pub mod certificates;
mod change;
pub mod config;
pub mod definition;
pub mod devices;
pub mod event;
pub mod metadata;
pub mod names;
pub mod namespace;
pub mod network;
pub mod node;
pub mod pod;
pub mod policy;
mod projected;
pub mod service;
pub mod storage;
pub mod workload;

use crate::document::Value;
use crate::identity::Identity;
use jiff::Timestamp;

pub use crate::status::{FieldError, FieldErrorKind, FieldPath};

/// What a preparation may know beside the documents.
#[derive(Clone, Copy, Debug)]
pub struct RuleContext<'a> {
    /// The subresource that is written, such as `status`.
    pub subresource: Option<&'a str>,
    /// Who writes.
    pub identity: &'a Identity,
    /// The time of the request.
    pub now: Timestamp,
}

/// The rules of one kind. All defaults do nothing. Documents are in the storage version.
pub trait Rules: Send + Sync {
    /// Fills in what the user left out.
    fn default(&self, _object: &mut Value) {}

    /// Readies a document for the store: drops what the writer may not set, keeps what may not change.
    fn prepare(&self, _new: &mut Value, _old: Option<&Value>, _context: &RuleContext<'_>) {}

    /// What is wrong with a document, or with the change from `old`.
    fn validate(&self, _new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        Vec::new()
    }

    /// What the writer should know, sent as `Warning` headers.
    fn warn(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }
}

/// The rules of a kind that needs none.
#[derive(Clone, Copy, Debug)]
pub struct NoRules;

impl Rules for NoRules {}

//! Kinds as data: documents, the kind table, schemas, rules, patches, selectors, quantities and statuses.
//!
//! Everything that is known about a Kubernetes object without asking anyone stands here. This crate is pure: it never
//! reads a clock, a file, the environment or a socket, and it knows no server, no store and no client.

pub mod apply;
pub mod document;
pub mod identity;
pub mod kind;
mod kinds;
pub mod openapi;
pub mod patch;
pub mod quantity;
pub mod rules;
pub mod schema;
pub mod selector;
pub mod status;

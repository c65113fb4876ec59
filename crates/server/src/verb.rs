//! What each verb means. Reading verbs answer from a snapshot; writing verbs only build a change for [`crate::write`].

pub mod connect;
pub mod create;
pub mod delete;
pub mod get;
pub mod input;
pub mod list;
pub mod patch;
pub mod update;
pub mod watch;

//! The only door to the API for controllers, nodes and platform parts: transports, caches, queues, leases and events.
//!
//! Knows no server and no store: whatever answers `http::Request` may stand behind the door. Nothing here polls; whoever waits,
//! waits for an event, and the one place that may let time pass is [`queue`].

pub mod cache;
pub mod events;
pub mod feed;
mod key;
pub mod lease;
pub mod queue;
pub mod reconcile;
pub mod transport;

pub use cache::{Cache, Caches, Change, Index, Options};
pub use key::Key;
pub use queue::Queue;

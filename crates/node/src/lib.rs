//! A pod's life on its node: registers the node, takes its pods through their steps, serves their logs and sessions.
//!
//! Decides nothing that `decide` can decide, and reaches the kernel by `runtime` and `net` alone. Never knows a server or a store.

mod agent;
mod image_gc;
mod local_volumes;
pub mod network;
mod pod;
mod register;
mod serve;
mod site;
mod trust;

pub use agent::{Agent, AgentError, AgentSettings};
pub use register::{Authority, RegisterError};

//! Pure decisions: a snapshot, the time and a seed in; a plan and its why out. Never sees a socket, a file, a clock or entropy.

pub mod claims;
pub mod network_rules;
pub mod pod_ip;
pub mod pod_lifecycle;
pub mod readiness;
pub mod redis_slots;
pub mod scheduling;

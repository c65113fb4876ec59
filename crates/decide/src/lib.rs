//! Pure decisions: a snapshot, the time and a seed in; a plan and its why out. Never sees a socket, a file, a clock or entropy.

pub mod cron_job;
pub mod daemon_set;
pub mod disruption;
pub mod dns_answer;
pub mod endpoints;
pub mod garbage;
pub mod job;
pub mod network_rules;
pub mod node_cidr;
pub mod node_lifecycle;
pub mod ownership;
pub mod pod_facts;
pub mod pod_ip;
pub mod pod_lifecycle;
pub mod readiness;
pub mod redis_slots;
pub mod replicas;
pub mod revision;
pub mod rollout;
pub mod scheduling;
pub mod selection;
pub mod stateful_set;
pub mod volume_binding;

//! Containers; knows no Kubernetes. Owns the image store, the root file systems, the supervising process of each pod, cgroups,
//! log files and the keeper of a machine. Never knows what a pod means to its owner, and never speaks to an API.
#![expect(unsafe_code, reason = "this crate is where processes are made; every use says why it is sound")]

pub mod cgroup;
pub mod container;
pub mod early;
pub mod footprint;
pub mod image;
pub mod keeper;
pub mod logs;
mod plan;
pub mod pod;
mod process;
pub mod program;
mod readiness;
pub mod rootfs;
pub mod session;
mod supervise;

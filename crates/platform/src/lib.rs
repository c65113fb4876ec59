//! What upstream Kubernetes lacks, as parts that run on any cluster: each brings its own kinds, the rights that it needs and its controllers.
//!
//! A part is an ordinary client of the API with no more rights than its row says. Parts never import each other, and nothing here knows
//! how the cluster below is made.

mod apply;
pub mod helm;
mod install;
pub mod part;
pub mod redis;

pub use install::manifests;
pub use part::{INSTALLER, PARTS, identity, start};

//! Go templates with Helm's functions, pure: chart and values in, manifests out.
//!
//! It never sees a clock, entropy, the environment, files or sockets: what a template may ask of the world is handed in as
//! [`functions::Facts`].

pub mod chart;
pub mod dependencies;
mod eval;
pub mod functions;
mod golang;
pub mod lint;
pub mod load;
pub mod parse;
pub mod print;
pub mod provenance;
pub mod release;
pub mod render;
pub mod schema;
pub mod semver;
mod shares;
pub mod template;
pub mod value;
pub mod values;
pub mod yaml;

/// Where less stack than this is left, recursion goes on on a new segment.
pub(crate) const RED_ZONE: usize = 128 * 1024;
/// How large such a segment is.
pub(crate) const SEGMENT: usize = 4 * 1024 * 1024;

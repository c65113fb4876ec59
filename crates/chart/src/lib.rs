//! Go templates with Helm's functions, pure: chart and values in, manifests out.
//!
//! It never sees a clock, entropy, the environment, files or sockets: what a template may ask of the world is handed in as
//! [`functions::Facts`].

pub mod functions;
pub mod value;
pub mod yaml;

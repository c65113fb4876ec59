//! Images: one content store a machine, shared by every process that opens it. Owns archives, registries, layers and their collection.
//! Nothing is visible before it is whole and its digest is checked, and nothing is changed once it is visible.

mod archive;
mod error;
mod layer;
mod lead;
mod pull;
mod record;
mod reference;
mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use error::ImageError;
pub use reference::normalise;
pub use store::ImageStore;

/// One image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:…` of its configuration.
    pub id: String,
    /// Whole references with a tag, as `docker.io/library/redis:8`.
    pub names: Vec<String>,
    /// Whole references with the digest of a manifest, as `docker.io/library/redis@sha256:…`.
    pub digests: Vec<String>,
    /// What its layers take on disk, shared ones counted.
    pub bytes: u64,
    /// What it says of itself.
    pub config: ImageConfig,
    /// The folders of its layers, lowest first.
    pub layers: Vec<PathBuf>,
    /// Whether a person put it here, by an archive.
    #[serde(default)]
    pub loaded: bool,
}

/// What an image says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// `name`, `uid`, or either with `:group`; empty is root.
    pub user: String,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Comes before the arguments.
    pub entrypoint: Vec<String>,
    /// Arguments when none are given.
    pub command: Vec<String>,
    /// Where its program starts; empty is `/`.
    pub working_dir: String,
    /// What asks it to end; SIGTERM if unset.
    pub stop_signal: Option<String>,
    /// Paths that want a volume of their own.
    pub volumes: Vec<String>,
    /// Ports that it means to listen on, as `80/tcp`.
    pub ports: Vec<String>,
    /// Labels.
    pub labels: std::collections::BTreeMap<String, String>,
}

/// Who asks a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

/// What a collection took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Identifiers of the images.
    pub images: Vec<String>,
    /// How many layers.
    pub layers: usize,
    /// Bytes won.
    pub bytes: u64,
}

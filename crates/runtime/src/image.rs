//! Images: one content store a machine, shared by every process that opens it. Owns archives, registries, layers and their collection.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The images of this machine. A clone is the same store.
#[derive(Debug, Clone)]
pub struct ImageStore {
    root: PathBuf,
}

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

/// Why an image was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store's folder could not be made, read or locked.
    #[error("cannot use the image store at {path}")]
    OpenStore {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ImageStore {
    /// Opens the store in `root`, and makes it if it is missing.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        Ok(Self { root: root.to_owned() })
    }

    /// Loads the images of an archive: of `docker save` or an OCI layout, plain or compressed by gzip or zstd.
    pub async fn load(&self, _archive: &Path) -> Result<Vec<Image>, ImageError> {
        Err(self.not_yet())
    }

    /// Fetches an image from its registry; those on loopback over plain HTTP.
    pub async fn pull(&self, _reference: &str, _credentials: Option<Credentials>) -> Result<Image, ImageError> {
        Err(self.not_yet())
    }

    /// An image that is here, by a reference however short, a digest reference or its identifier.
    pub fn find(&self, _reference: &str) -> Option<Image> {
        None
    }

    /// All that are here.
    pub fn list(&self) -> Vec<Image> {
        Vec::new()
    }

    /// Takes a name away, and the image with its last name; an identifier takes the image away with all names.
    pub async fn remove(&self, _reference: &str) -> Result<(), ImageError> {
        Err(self.not_yet())
    }

    /// Takes away the images whose identifiers are not in `in_use`, and the layers that no image has.
    pub async fn collect(&self, _in_use: &BTreeSet<String>) -> Result<Collected, ImageError> {
        Err(self.not_yet())
    }

    fn not_yet(&self) -> ImageError {
        ImageError::OpenStore { path: self.root.clone(), source: io::ErrorKind::Unsupported.into() }
    }
}

//! What goes wrong with images.

use std::{io, path::PathBuf};

/// Why an image was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store's folder could not be made, read, written or locked.
    #[error("cannot use the image store at {path}")]
    OpenStore {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive could not be read, or ends too early.
    #[error("cannot read the image archive {path}")]
    ReadArchive {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The archive is no image of `docker save` or of an OCI layout.
    #[error("{path} is not an image archive: {why}")]
    ParseArchive {
        /// Which.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// What was read is not what was announced.
    #[error("{what} has digest {found}, not {expected}")]
    CheckDigest {
        /// What was read.
        what: String,
        /// As announced.
        expected: String,
        /// As read.
        found: String,
    },
    /// A layer could not be unpacked.
    #[error("cannot unpack {entry} of layer {layer}")]
    UnpackLayer {
        /// Which layer.
        layer: String,
        /// Which of its entries.
        entry: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer tried to reach outside of its image.
    #[error("layer {layer} is refused: {entry} leads out of the image")]
    RefuseLayer {
        /// Which layer.
        layer: String,
        /// Which of its entries.
        entry: String,
    },
    /// What is given is no reference to an image.
    #[error("invalid image reference {0:?}")]
    ParseReference(String),
    /// Nothing of this name is here.
    #[error("there is no image {0}")]
    FindImage(String),
    /// The registry did not give it.
    #[error("cannot pull {reference}")]
    Pull {
        /// What was asked for.
        reference: String,
        /// Why.
        #[source]
        source: Box<oci_client::errors::OciDistributionError>,
    },
    /// The work was broken off.
    #[error("the work on the image store was broken off")]
    Finish(#[source] tokio::task::JoinError),
}

impl ImageError {
    /// Whether the registry was not even reached, which says nothing of what it would have answered.
    pub fn is_unreachable(&self) -> bool {
        use oci_client::errors::OciDistributionError::RequestError;
        matches!(self, Self::Pull { source, .. } if matches!(&**source, RequestError(error) if error.is_connect() || error.is_timeout()))
    }
}

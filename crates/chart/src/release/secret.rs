//! A record in the form of Helm's Secrets: JSON, gzip, base64. It never speaks to a cluster.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::record::Release;

/// The type of the Secrets.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";
/// A record may not unpack to more: etcd takes no object above 1.5 MiB, and text packs a hundredfold at most.
const RECORD_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Labels that are Helm's own.
const SYSTEM_LABELS: &[&str] = &["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// Why a Secret holds no record.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The outer form.
    #[error("the record is no base64")]
    ReadBase64(#[source] base64::DecodeError),
    /// The packed form.
    #[error("the record cannot be unpacked")]
    Unpack(#[source] io::Error),
    /// It unpacks to too much.
    #[error("the record is larger than {RECORD_BYTES_MAX} bytes")]
    Limit,
    /// The inner form.
    #[error("the record is no release")]
    ReadRelease(#[source] serde_json::Error),
}

/// The Secret's name.
#[must_use]
pub fn secret_name(release: &str, revision: i64) -> String {
    format!("sh.helm.release.v1.{release}.v{revision}")
}

/// The Secret's labels, without the times that the writer adds.
#[must_use]
pub fn labels(release: &Release) -> BTreeMap<String, String> {
    let mut labels = release.labels.clone();
    labels.retain(|name, _| !SYSTEM_LABELS.contains(&name.as_str()));
    let own = [
        ("name", release.name.clone()),
        ("owner", "helm".to_owned()),
        ("status", release.info.status.name().to_owned()),
        ("version", release.version.to_string()),
    ];
    labels.extend(own.map(|(name, value)| (name.to_owned(), value)));
    labels
}

/// The text under `release` in the Secret, before the API's own base64.
#[must_use]
pub fn encode(release: &Release) -> String {
    let json = serde_json::to_vec(release).unwrap_or_default();
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail.
    let packed = packer.write_all(&json).and_then(|()| packer.finish()).unwrap_or_default();
    STANDARD.encode(packed)
}

/// The record in a Secret; the oldest ones are not packed.
pub fn decode(text: &[u8]) -> Result<Release, DecodeError> {
    let bytes = STANDARD.decode(text).map_err(DecodeError::ReadBase64)?;
    let json = if bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
        let mut json = Vec::new();
        let mut reader = GzDecoder::new(bytes.as_slice()).take(RECORD_BYTES_MAX + 1);
        reader.read_to_end(&mut json).map_err(DecodeError::Unpack)?;
        if json.len() as u64 > RECORD_BYTES_MAX {
            return Err(DecodeError::Limit);
        }
        json
    } else {
        bytes
    };
    serde_json::from_slice(&json).map_err(DecodeError::ReadRelease)
}

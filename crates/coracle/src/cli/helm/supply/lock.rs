//! What a lock says: the hash of what was asked for and chosen, and whether what lies in the folder fits.

use std::path::Path;

use chart::chart::Dependency;
use chart::semver::{Constraint, Version};
use sha2::{Digest as _, Sha256};

use super::super::{Done, Fault, dependency};

/// A chart that lies in the folder already; faults of the folder come first, those of its version with the others.
pub(super) fn check_here(it: &Dependency, charts: &Path) -> Result<Done, Fault> {
    let path = charts.join(&it.name);
    let name = &it.name;
    let chart = dependency::load(&path)
        .map_err(|fault| Fault::new(format!("unable to load chart '{}': {}", path.display(), fault.text)))?;
    let constraint = Constraint::parse(&it.version)
        .map_err(|error| Fault::new(format!("dependency {name} has an invalid version/constraint format: {error}")))?;
    let version = &chart.metadata.version;
    let parsed = Version::parse(version)
        .map_err(|error| Fault::new(format!("invalid version {} for dependency {name}: {error}", it.version)))?;
    if constraint.check(&parsed) {
        return Ok(Ok(()));
    }
    let text = format!("dependency {name} at version {version} does not satisfy the constraint {}", it.version);
    Ok(Err(Fault::new(text)))
}

/// What was asked for and chosen, hashed as Helm hashes it.
pub(super) fn digest(wanted: &[Dependency], locked: &[Dependency]) -> String {
    hashed(&serde_json::to_string(&[wanted, locked]).unwrap_or_default())
}

/// Go's JSON escapes what HTML would take as its own.
pub(super) fn hashed(json: &str) -> String {
    let escaped = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    format!("sha256:{}", hex::encode(Sha256::digest(escaped.as_bytes())))
}

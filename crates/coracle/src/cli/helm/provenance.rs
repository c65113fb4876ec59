//! Whether a chart's archive is what somebody signed. It never fetches.

use std::path::Path;

use super::flags::Matches;
use super::{Fault, settings};

/// Checks an archive on disk by the file beside it.
pub(super) fn verify_file(matches: &Matches, path: &Path) -> Result<(), Fault> {
    if path.is_dir() {
        return Err(Fault::new("unpacked charts cannot be verified"));
    }
    let proof = path.with_file_name(format!("{}.prov", path.file_name().unwrap_or_default().to_string_lossy()));
    let bytes = std::fs::read(&proof).map_err(|error| {
        let why = super::chart_files::go_error("stat", &proof, &error);
        Fault::new(format!("could not load provenance file {}: {why}", proof.display()))
    })?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    verify(matches, path, &bytes, &name)
}

/// Checks an archive that is called `name` by its provenance.
pub(super) fn verify(matches: &Matches, _: &Path, _: &[u8], _: &str) -> Result<(), Fault> {
    let ring = settings::keyring(matches, "pubring.gpg");
    std::fs::read(&ring).map_err(|error| {
        Fault::new(format!("failed to load keyring: {}", super::chart_files::go_error("open", &ring, &error)))
    })?;
    Err(Fault::new("signatures are not verified yet"))
}

//! Which chart is meant: a path, or a reference into a repository. Charts that are not here are not fetched yet.

use std::path::{Path, PathBuf};

use super::Fault;
use super::flags::{Flag, Kind, Matches, of, switch};

/// Flags that say where a chart comes from.
pub(super) const LOCATE_FLAGS: &[Flag] = &[
    of(Kind::Text, "version", "specify a version constraint for the chart version to use"),
    switch("verify", "verify the package before using it"),
    of(Kind::Text, "keyring", "location of public keys used for verification"),
    of(Kind::Text, "repo", "chart repository url where to locate the requested chart"),
    of(Kind::Text, "username", "chart repository username where to locate the requested chart"),
    of(Kind::Text, "password", "chart repository password where to locate the requested chart"),
    of(Kind::Text, "cert-file", "identify HTTPS client using this SSL certificate file"),
    of(Kind::Text, "key-file", "identify HTTPS client using this SSL key file"),
    of(Kind::Text, "ca-file", "verify certificates of HTTPS-enabled servers using this CA bundle"),
    switch("insecure-skip-tls-verify", "skip tls certificate checks for the chart download"),
    switch("plain-http", "use insecure HTTP connections for the chart download"),
    switch("pass-credentials", "pass credentials to all domains"),
    switch("devel", "use development versions, too. Equivalent to version '>0.0.0-0'. If --version is set, this is ignored"),
];

/// The path of the chart that is meant.
pub(super) fn locate(matches: &Matches, reference: &str) -> Result<PathBuf, Fault> {
    let name = reference.trim();
    let path = Path::new(name);
    if path.exists() && matches.text("repo").is_empty() {
        return Ok(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    }
    if path.is_absolute() || name.starts_with('.') {
        return Err(Fault::new(format!("path {name:?} not found")));
    }
    if name.contains("://") {
        return Err(Fault::new(format!("{name}: charts are not fetched from registries and addresses yet")));
    }
    match name.split_once('/') {
        None => Err(Fault::new(format!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {name}"))),
        Some((repository, _)) => Err(Fault::new(format!("repo {repository} not found"))),
    }
}

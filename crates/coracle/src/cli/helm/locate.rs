//! Which chart is meant: a path, an address, or a reference into a repository or registry. It never loads charts.

use std::path::{Path, PathBuf};

use super::download::{self, Source};
use super::fetch::{self, Access};
use super::flags::{Flag, Kind, Matches, of, switch};
use super::{Fault, provenance};

/// Flags that say where a chart comes from.
pub(super) const LOCATE_FLAGS: &[Flag] = &[
    of(Kind::Text, "version", "specify a version constraint for the chart version to use"),
    switch("verify", "verify the package before using it"),
    of(Kind::Text, "keyring", "location of public keys used for verification"),
    of(Kind::Text, "repo", "chart repository url where to locate the requested chart"),
    switch("pass-credentials", "pass credentials to all domains"),
    switch("devel", "use development versions, too. Equivalent to version '>0.0.0-0'. If --version is set, this is ignored"),
];

/// Flags that say how a repository is spoken to.
pub(super) const ACCESS_FLAGS: &[Flag] = &[
    of(Kind::Text, "username", "chart repository username where to locate the requested chart"),
    of(Kind::Text, "password", "chart repository password where to locate the requested chart"),
    of(Kind::Text, "cert-file", "identify HTTPS client using this SSL certificate file"),
    of(Kind::Text, "key-file", "identify HTTPS client using this SSL key file"),
    of(Kind::Text, "ca-file", "verify certificates of HTTPS-enabled servers using this CA bundle"),
    switch("insecure-skip-tls-verify", "skip tls certificate checks for the chart download"),
    switch("plain-http", "use insecure HTTP connections for the chart download"),
];

/// The version that is asked for.
pub(super) fn version(matches: &Matches) -> String {
    let version = matches.text("version").trim();
    if version.is_empty() && matches.flag("devel") { ">0.0.0-0".to_owned() } else { version.to_owned() }
}

/// The path of the chart that is meant; charts from elsewhere are fetched into the cache.
pub(super) fn locate(matches: &Matches, reference: &str) -> Result<PathBuf, Fault> {
    let name = reference.trim();
    let version = version(matches);
    fetch::check(&Access::of(matches)).map_err(|fault| Fault::new(format!("missing registry client: {}", fault.text)))?;
    if matches.text("repo").is_empty() {
        let path = Path::new(name);
        if path.exists() {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            if matches.flag("verify") {
                provenance::verify_file(matches, &path)?;
            }
            return Ok(path);
        }
        if path.is_absolute() || name.starts_with('.') {
            return Err(Fault::new(format!("path {name:?} not found")));
        }
    }
    let source = source(matches, name, &version)?;
    let path = source.to_cache(matches)?;
    if matches.flag("verify") {
        source.verify_kept(matches, &path)?;
    }
    Ok(path)
}

/// Where the archive of a reference is, in the repository of `--repo` where there is one.
pub(super) fn source(matches: &Matches, name: &str, version: &str) -> Result<Source, Fault> {
    let mut access = Access::of(matches);
    let repository = matches.text("repo");
    if repository.is_empty() {
        return download::resolve(matches, name, version, access);
    }
    let (address, digest) = download::find_in(repository, name, version, &access)?;
    let same = match (reqwest::Url::parse(repository), reqwest::Url::parse(&address)) {
        (Ok(one), Ok(other)) => fetch::same_server(&one, &other),
        _ => false,
    };
    if !(access.pass_credentials || same) {
        access.username.clear();
        access.password.clear();
    }
    let mut source = download::resolve(matches, &address, version, access)?;
    source.expect_digest(&digest);
    Ok(source)
}

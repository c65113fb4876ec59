//! From a reference to a chart's archive: which address is meant, who may ask there, and the bytes into the cache or a folder.
//! It never unpacks.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::chart_files::go_error;
use super::fetch::{self, Access};
use super::flags::Matches;
use super::provenance::{self, Verified};
use super::repositories::{self, Entry, Index};
use super::{Fault, atomic, registry, settings};

/// The bytes of archives, as Helm asks for them.
const ARCHIVES: &str = "application/gzip,application/octet-stream";

/// An archive that can be fetched.
pub(super) struct Source {
    /// Where it is.
    pub(super) address: String,
    /// Its SHA-256 in hex, where a repository says it.
    digest: String,
    pub(super) access: Access,
}

/// Which address a reference means: an address, or a repository's name and a chart's.
pub(super) fn resolve(matches: &Matches, reference: &str, version: &str, access: Access) -> Result<Source, Fault> {
    if reference.starts_with("oci://") {
        let address = registry::resolve(matches, reference, version, &access)?;
        return Ok(Source { address, digest: String::new(), access });
    }
    let known = repositories::known(&settings::repository_config(matches))?;
    let cache = settings::repository_cache(matches);
    if let Some((scheme, rest)) = reference.split_once("://").filter(|_| repositories::is_absolute(reference)) {
        if !matches!(scheme, "http" | "https") {
            return Err(Fault::new(format!("scheme {scheme:?} not supported")));
        }
        if rest.split_once('/').is_some_and(|(host, _)| !host.is_empty()) {
            let access = match owner(&known, &cache, reference)? {
                Some(entry) => with_entry(access, entry),
                None => Access { owner: reference.to_owned(), ..access },
            };
            return Ok(Source { address: reference.to_owned(), digest: String::new(), access });
        }
    }
    let Some((repository, chart)) = reference.split_once('/') else {
        let text = format!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {reference}");
        return Err(Fault::new(text));
    };
    let entry = known.iter().find(|entry| entry.name == repository);
    let entry = entry.ok_or_else(|| Fault::new(format!("repo {repository} not found")))?;
    if entry.url.is_empty() {
        return Err(Fault::new(format!("no URL found for repository {repository}")));
    }
    entry.check()?;
    let index = cached(&cache, repository)?;
    let offer = index.get(chart, version).map_err(|fault| {
        let text = format!(
            "chart {chart:?} matching {version} not found in {repository} index. (try 'helm repo update'): {}",
            fault.text
        );
        Fault::new(text)
    })?;
    let first = offer.urls.first().ok_or_else(|| Fault::new(format!("chart {reference:?} has no downloadable URLs")))?;
    let address =
        repositories::resolve(&entry.url, first).map_err(|_| Fault::new(format!("invalid chart URL format: {reference}")))?;
    Ok(Source { address, digest: bare(&offer.digest).to_owned(), access: with_entry(access, entry) })
}

fn cached(cache: &Path, repository: &str) -> Result<Index, Fault> {
    Index::load(&repositories::index_file(cache, repository))
        .map_err(|fault| Fault::new(format!("no cached repo found. (try 'helm repo update'): {}", fault.text)))
}

/// The repository that offers an address.
fn owner<'e>(known: &'e [Entry], cache: &Path, address: &str) -> Result<Option<&'e Entry>, Fault> {
    for entry in known {
        entry.check()?;
        let index = cached(cache, &entry.name)?;
        if index.entries.values().flatten().flat_map(|offer| &offer.urls).any(|url| same(url, address)) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// Whether two addresses are the same, but for a slash at the end.
pub(super) fn same(one: &str, other: &str) -> bool {
    match (reqwest::Url::parse(one), reqwest::Url::parse(other)) {
        (Ok(one), Ok(other)) => {
            let path = |url: &reqwest::Url| url.path().trim_end_matches('/').to_owned();
            fetch::same_server(&one, &other) && path(&one) == path(&other) && one.query() == other.query()
        }
        _ => one == other,
    }
}

fn with_entry(mut access: Access, entry: &Entry) -> Access {
    access.owner.clone_from(&entry.url);
    if !(entry.cert_file.is_empty() && entry.key_file.is_empty() && entry.ca_file.is_empty()) {
        access.cert_file.clone_from(&entry.cert_file);
        access.key_file.clone_from(&entry.key_file);
        access.ca_file.clone_from(&entry.ca_file);
    }
    if !entry.username.is_empty() && !entry.password.is_empty() {
        access.username.clone_from(&entry.username);
        access.password.clone_from(&entry.password);
        access.pass_credentials = entry.pass_credentials_all;
    }
    access
}

/// The address of a chart in a repository that is not known by name, and its digest.
pub(super) fn find_in(repository: &str, chart: &str, version: &str, access: &Access) -> Result<(String, String), Fault> {
    let entry = Entry {
        url: repository.to_owned(),
        username: access.username.clone(),
        password: access.password.clone(),
        cert_file: access.cert_file.clone(),
        key_file: access.key_file.clone(),
        ca_file: access.ca_file.clone(),
        insecure_skip_tls_verify: access.insecure,
        pass_credentials_all: access.pass_credentials,
        ..Entry::default()
    };
    entry.check()?;
    let (_, index) = repositories::fetch_index(&entry, access.timeout).map_err(|fault| {
        let text = format!("looks like {repository:?} is not a valid chart repository or cannot be reached: {}", fault.text);
        Fault::new(text)
    })?;
    let mut asked = format!("chart {chart:?}");
    if !version.is_empty() {
        asked = format!("{asked} version {version:?}");
    }
    let offer = index.get(chart, version).map_err(|_| Fault::new(format!("{asked} not found in {repository} repository")))?;
    let first = offer.urls.first().ok_or_else(|| Fault::new(format!("{asked} has no downloadable URLs")))?;
    let address = repositories::resolve(repository, first)
        .map_err(|fault| Fault::new(format!("failed to make chart URL absolute: {}", fault.text)))?;
    Ok((address, offer.digest.clone()))
}

impl Source {
    /// What the archive's digest has to be.
    pub(super) fn expect_digest(&mut self, digest: &str) {
        bare(digest).clone_into(&mut self.digest);
    }

    /// The bytes of the archive; from the cache where it is there. A wrong digest is a fault.
    pub(super) fn bytes(&self, matches: &Matches) -> Result<Vec<u8>, Fault> {
        self.check_digest()?;
        if !self.digest.is_empty()
            && let Ok(bytes) = fs::read(self.kept(matches, &self.digest, "chart"))
            && hex::encode(Sha256::digest(&bytes)) == self.digest
        {
            return Ok(bytes);
        }
        let bytes = if self.address.starts_with("oci://") {
            registry::pull(matches, &self.address, &self.access, false)?
        } else {
            fetch::get(&self.address, &self.access, ARCHIVES, fetch::FILE_BYTES_MAX)?
        };
        let found = hex::encode(Sha256::digest(&bytes));
        if !self.digest.is_empty() && found != self.digest {
            let text = format!("{} has the digest sha256:{found}, its repository says sha256:{}", self.address, self.digest);
            return Err(Fault::new(text));
        }
        Ok(bytes)
    }

    /// The archive in the cache, fetched where it is not there.
    pub(super) fn to_cache(&self, matches: &Matches) -> Result<PathBuf, Fault> {
        let bytes = self.bytes(matches)?;
        let path = self.kept(matches, &hex::encode(Sha256::digest(&bytes)), "chart");
        if fs::metadata(&path).is_ok_and(|about| about.len() == bytes.len() as u64) {
            return Ok(path);
        }
        atomic::write(&path, &bytes, 0o644)?;
        Ok(path)
    }

    /// The archive in a folder, under its own name.
    pub(super) fn to_folder(&self, bytes: &[u8], folder: &Path) -> Result<PathBuf, Fault> {
        let path = folder.join(self.file_name()?);
        if !folder.as_os_str().is_empty() && !folder.is_dir() {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            return Err(Fault::new(format!("open {}: no such file or directory", folder.join(format!("{name}-")).display())));
        }
        atomic::write(&path, bytes, 0o644)?;
        Ok(path)
    }

    /// What stands beside the archive: its provenance.
    pub(super) fn proof(&self, matches: &Matches) -> Result<Vec<u8>, Fault> {
        if self.address.starts_with("oci://") {
            return registry::pull(matches, &self.address, &self.access, true);
        }
        fetch::get(&format!("{}.prov", self.address), &self.access, ARCHIVES, fetch::FILE_BYTES_MAX)
    }

    /// Checks an archive by what stands beside it; gives that, too.
    pub(super) fn verified(&self, matches: &Matches, archive: &[u8]) -> Result<(Vec<u8>, Verified), Fault> {
        let proof = self.proof(matches).map_err(|_| self.unproven())?;
        let verified = provenance::verify(matches, archive, &proof, &self.file_name()?)?;
        Ok((proof, verified))
    }

    /// The same, by the provenance in the cache; fetched where it is not there.
    pub(super) fn verify_kept(&self, matches: &Matches, path: &Path) -> Result<Verified, Fault> {
        let archive = fs::read(path).map_err(|error| Fault::new(go_error("open", path, &error)))?;
        let kept = path.with_extension("prov");
        let proof = match fs::read(&kept) {
            Ok(proof) => proof,
            Err(_) => {
                let proof = self.proof(matches).map_err(|_| self.unproven())?;
                atomic::write(&kept, &proof, 0o644)?;
                proof
            }
        };
        provenance::verify(matches, &archive, &proof, &self.file_name()?)
    }

    fn unproven(&self) -> Fault {
        Fault::new(format!("failed to fetch provenance {:?}", format!("{}.prov", self.address)))
    }

    /// The name of the archive's file; never one that leads elsewhere.
    pub(super) fn file_name(&self) -> Result<String, Fault> {
        if let Some((_, name)) = self.address.strip_prefix("oci://").and_then(|rest| rest.rsplit_once('/')) {
            return match name.rsplit_once(':') {
                Some((name, version)) => Ok(format!("{name}-{version}.tgz")),
                None => Err(Fault::new(format!("{} names no file", self.address))),
            };
        }
        let path = reqwest::Url::parse(&self.address).map(|url| url.path().to_owned()).unwrap_or_default();
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        match name.as_str() {
            "" | "." | ".." => Err(Fault::new(format!("{} names no file", self.address))),
            _ => Ok(name),
        }
    }

    fn kept(&self, matches: &Matches, digest: &str, ending: &str) -> PathBuf {
        settings::content_cache(matches).join(&digest[..2.min(digest.len())]).join(format!("{digest}.{ending}"))
    }

    fn check_digest(&self) -> Result<(), Fault> {
        if self.digest.is_empty() {
            return Ok(());
        }
        match hex::decode(&self.digest) {
            Err(error) => Err(Fault::new(format!("unable to decode digest: {error}"))),
            Ok(bytes) if bytes.len() != 32 => Err(Fault::new(format!("invalid digest length: {}", bytes.len()))),
            Ok(_) => Ok(()),
        }
    }
}

/// A digest without the name of its algorithm.
fn bare(digest: &str) -> &str {
    digest.split_once(':').map_or(digest, |(_, hex)| hex)
}

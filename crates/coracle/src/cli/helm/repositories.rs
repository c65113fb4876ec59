//! The repositories that are known, and what they offer: Helm's files in its folders of settings and cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chart::chart::Metadata;
use chart::semver::{Constraint, Version};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::chart_files::go_error;
use super::fetch::{self, Access};
use super::{Fault, atomic};
use crate::output;

/// One repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) username: String,
    pub(super) password: String,
    pub(super) cert_file: String,
    pub(super) key_file: String,
    pub(super) ca_file: String,
    #[serde(rename = "insecure_skip_tls_verify")]
    pub(super) insecure_skip_tls_verify: bool,
    #[serde(rename = "pass_credentials_all")]
    pub(super) pass_credentials_all: bool,
}

impl Entry {
    pub(super) fn access(&self) -> Access {
        Access {
            username: self.username.clone(),
            password: self.password.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            ca_file: self.ca_file.clone(),
            insecure: self.insecure_skip_tls_verify,
            pass_credentials: self.pass_credentials_all,
            owner: self.url.clone(),
            ..Access::default()
        }
    }

    /// Refuses an address that nobody here can speak to.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let scheme = self.url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            "http" | "https" | "oci" => Ok(()),
            _ => Err(Fault::new(format!("could not find protocol handler for: {scheme}"))),
        }
    }
}

/// The repositories of a file; none where there is no file.
pub(super) fn known(path: &Path) -> Result<Vec<Entry>, Fault> {
    match fs::read(path) {
        Ok(text) => {
            let read = chart::yaml::read_object(&text, "repo.File")?;
            let list = read.get("repositories").filter(|list| !list.is_null()).cloned().unwrap_or_else(|| json!([]));
            serde_json::from_value(list).map_err(|error| Fault::new(format!("error unmarshaling JSON: {error}")))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => {
            Err(Fault::new(format!("couldn't load repositories file ({}): {}", path.display(), go_error("open", path, &error))))
        }
    }
}

/// Names of repositories that are known only by a chart that needs them start so.
pub(super) const UNMANAGED: &str = "helm-manager-";

/// Keeps others from changing the file of repositories, as long as the result lives.
pub(super) fn hold(path: &Path) -> Result<fs::File, Fault> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Fault::new(go_error("mkdir", folder, &error)))?;
    }
    let lock = path.with_extension("lock");
    let file = fs::File::create(&lock).map_err(|error| Fault::new(go_error("open", &lock, &error)))?;
    file.lock()?;
    Ok(file)
}

/// Writes the file of repositories; passwords stand in it.
pub(super) fn remember(path: &Path, repositories: &[Entry]) -> Result<(), Fault> {
    let file = json!({"apiVersion": "", "generated": "0001-01-01T00:00:00Z", "repositories": repositories});
    atomic::write(path, chart::yaml::to_yaml(&file).unwrap_or_default().as_bytes(), 0o600)
}

/// One version of a chart that a repository offers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Offer {
    #[serde(flatten)]
    pub(super) metadata: Metadata,
    pub(super) urls: Vec<String>,
    pub(super) created: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) digest: String,
}

/// What a repository offers: for each name its versions, the newest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    pub(super) entries: std::collections::BTreeMap<String, Vec<Offer>>,
}

impl Index {
    /// Reads an index, and tells of what is wrong in it.
    pub(super) fn parse(text: &[u8], source: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::new("empty index.yaml file"));
        }
        let read = match serde_json::from_slice::<Json>(text) {
            Ok(Json::Object(map)) => map,
            _ => {
                chart::yaml::read_strict(text).map_err(|error| Fault::new(error.to_string()))?;
                chart::yaml::read_object(text, "repo.IndexFile").map_err(|error| Fault::new(error.to_string()))?
            }
        };
        unknown_field(&read, &[&["serverInfo", "apiVersion", "generated", "entries", "publicKeys", "annotations"]])?;
        let mut index = Self::default();
        let entries = read.get("entries").and_then(Json::as_object).cloned().unwrap_or_default();
        for (name, offers) in entries {
            let offers = match offers {
                Json::Array(offers) => offers,
                _ => Vec::new(),
            };
            let valid = offers_of(&name, offers, source)?;
            index.entries.insert(name, valid);
        }
        index.sort();
        if read.get("apiVersion").and_then(Json::as_str).unwrap_or_default().is_empty() {
            return Err(Fault::new("no API version specified"));
        }
        Ok(index)
    }

    /// The newest of each chart first.
    pub(super) fn sort(&mut self) {
        for offers in self.entries.values_mut() {
            offers.sort_by(|a, b| newer_first(&a.metadata.version, &b.metadata.version));
        }
    }

    /// Takes over what another index has and this one has not.
    pub(super) fn merge(&mut self, other: Self) {
        for offer in other.entries.into_values().flatten() {
            let offers = self.entries.entry(offer.metadata.name.clone()).or_default();
            if !offers.iter().any(|mine| mine.metadata.version == offer.metadata.version) {
                offers.push(offer);
            }
        }
    }

    /// Reads the index of a file.
    pub(super) fn load(path: &Path) -> Result<Self, Fault> {
        let text = fs::read(path).map_err(|error| Fault::new(go_error("open", path, &error)))?;
        let source = path.display().to_string();
        Self::parse(&text, &source).map_err(|fault| Fault::new(format!("error loading {source}: {}", fault.text)))
    }

    /// The version that is asked for: itself, else the newest that suits.
    pub(super) fn get(&self, name: &str, version: &str) -> Result<&Offer, Fault> {
        let offers = self.entries.get(name).ok_or_else(|| Fault::new("no chart name found"))?;
        if offers.is_empty() {
            return Err(Fault::new("no chart version found"));
        }
        let wanted = Constraint::parse(if version.is_empty() { "*" } else { version })?;
        if let Some(exact) = offers.iter().find(|offer| offer.metadata.version == version) {
            return Ok(exact);
        }
        let suits = |offer: &&Offer| Version::parse(&offer.metadata.version).is_ok_and(|version| wanted.check(&version));
        let Some(found) = offers.iter().find(suits) else {
            return Err(Fault::new(format!("no chart version found for {name}-{version}")));
        };
        if !version.is_empty() && !is_range(version) {
            let selected = &found.metadata.version;
            output::remark(&format!(
                "level=WARN msg=\"unable to find exact version requested; falling back to closest available version\" chart={} requested={} selected={}",
                logged(name),
                logged(version),
                logged(selected)
            ));
        }
        Ok(found)
    }
}

/// A value as a log line shows it.
fn logged(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '=' | '"');
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

fn is_range(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    version.contains(['^', '~', '<', '>', '=', '!', '*'])
        || version.contains("||")
        || version.contains(" - ")
        || core.contains(['x', 'X'])
}

fn newer_first(one: &str, other: &str) -> std::cmp::Ordering {
    match (Version::parse(one), Version::parse(other)) {
        (Ok(one), Ok(other)) => other.precedence(&one),
        (one, other) => one.is_err().cmp(&other.is_err()),
    }
}

/// Fields of an offer beside those of its chart; any other is a fault.
const OFFER_FIELDS: &[&str] = &["urls", "created", "removed", "digest", "checksum", "engine", "tillerVersion", "url"];

fn unknown_field(map: &Map<String, Json>, known: &[&[&str]]) -> Result<(), Fault> {
    match map.keys().find(|key| !known.iter().copied().flatten().any(|name| name.eq_ignore_ascii_case(key))) {
        None => Ok(()),
        Some(key) => Err(Fault::new(format!("error unmarshaling JSON: while decoding JSON: json: unknown field {key:?}"))),
    }
}

fn offers_of(name: &str, offers: Vec<Json>, source: &str) -> Result<Vec<Offer>, Fault> {
    let mut valid = Vec::new();
    for mut offer in offers {
        let Json::Object(fields) = &mut offer else {
            let text = "skipping loading invalid entry for chart: empty entry";
            output::remark(&format!("level=WARN msg={text:?} name={} source={}", logged(name), logged(source)));
            continue;
        };
        unknown_field(fields, &[Metadata::FIELDS, OFFER_FIELDS])?;
        fields.retain(|_, value| !value.is_null());
        let mut offer: Offer = serde_json::from_value(offer)
            .map_err(|error| Fault::new(format!("error unmarshaling JSON: while decoding JSON: {error}")))?;
        if offer.metadata.api_version.is_empty() {
            "v1".clone_into(&mut offer.metadata.api_version);
        }
        match offer.metadata.validate() {
            // Some registries lose aliases, which does not hinder the use of the chart.
            Err(error) if !error.0.starts_with("more than one dependency with name or alias") => {
                output::remark(&format!(
                    "level=WARN msg=\"skipping loading invalid entry for chart\" name={} version={} source={} error={:?}",
                    logged(name),
                    logged(&offer.metadata.version),
                    logged(source),
                    error.to_string()
                ));
            }
            _ => valid.push(offer),
        }
    }
    Ok(valid)
}

/// Whether an address says by itself how it is reached.
pub(super) fn is_absolute(address: &str) -> bool {
    let scheme = address.split_once(':').map_or("", |(scheme, _)| scheme);
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(inner)
}

/// An address in a repository, whole.
pub(super) fn resolve(base: &str, reference: &str) -> Result<String, Fault> {
    let failed = |text: &str, why: String| Fault::new(format!("failed to parse {text} as URL: {why}"));
    if is_absolute(reference) {
        return Ok(reference.to_owned());
    }
    let mut base = Url::parse(base).map_err(|error| failed(base, error.to_string()))?;
    let query = base.query().map(str::to_owned);
    let path = format!("{}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    let mut joined = base.join(reference).map_err(|error| failed(reference, error.to_string()))?;
    joined.set_query(query.as_deref());
    Ok(joined.to_string())
}

/// The file in which the index of a repository is kept.
pub(super) fn index_file(cache: &Path, name: &str) -> PathBuf {
    cache.join(format!("{name}-index.yaml"))
}

/// The file in which the names of its charts are kept.
pub(super) fn charts_file(cache: &Path, name: &str) -> PathBuf {
    cache.join(format!("{name}-charts.txt"))
}

/// The index that a repository has now, as bytes and read.
pub(super) fn fetch_index(entry: &Entry, timeout: Option<Duration>) -> Result<(Vec<u8>, Index), Fault> {
    entry.check()?;
    let address = resolve(&entry.url, "index.yaml")?;
    let access = Access { timeout, ..entry.access() };
    let bytes = fetch::get(&address, &access, "", fetch::INDEX_BYTES_MAX)?;
    let index = Index::parse(&bytes, &entry.url)?;
    Ok((bytes, index))
}

/// Fetches the index of a repository into the cache.
pub(super) fn refresh(entry: &Entry, cache: &Path, timeout: Option<Duration>) -> Result<(), Fault> {
    let (bytes, index) = fetch_index(entry, timeout)?;
    let names: String = index.entries.keys().map(|name| format!("{name}\n")).collect();
    atomic::write(&charts_file(cache, &entry.name), names.as_bytes(), 0o644)?;
    atomic::write(&index_file(cache, &entry.name), &bytes, 0o644)
}

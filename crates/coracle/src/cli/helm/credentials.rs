//! Names and passwords of registries, in the files in which Helm and Docker keep them. It never asks a registry.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oci_client::secrets::RegistryAuth;
use serde_json::{Map, Value as Json, json};

use super::chart_files::go_error;
use super::flags::Matches;
use super::{Fault, atomic, settings};

/// The name under which a registry stands in the files.
fn key(registry: &str) -> &str {
    match registry {
        "docker.io" | "registry-1.docker.io" => "https://index.docker.io/v1/",
        other => other,
    }
}

fn read(path: &Path) -> Result<Map<String, Json>, Fault> {
    match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(Fault::new(go_error("open", path, &error))),
        Ok(bytes) if bytes.is_empty() => Ok(Map::new()),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| Fault::new(format!("failed to decode config file at {}: {error}", path.display()))),
    }
}

fn write(path: &Path, config: &Map<String, Json>) -> Result<(), Fault> {
    let mut text = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    serde::Serialize::serialize(config, &mut serde_json::Serializer::with_formatter(&mut text, form))?;
    atomic::write(path, &text, 0o600)
}

/// Docker's own file.
fn docker() -> Option<PathBuf> {
    let folder = env::var_os("DOCKER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let folder = folder.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

/// What is known for a registry.
pub(super) fn of(matches: &Matches, registry: &str) -> Result<RegistryAuth, Fault> {
    for path in [Some(settings::registry_config(matches)), docker()].into_iter().flatten() {
        let config = read(&path)?;
        let Some(entry) = config.get("auths").and_then(|auths| auths.get(key(registry))) else { continue };
        if let Some(token) = entry.get("identitytoken").and_then(Json::as_str).filter(|token| !token.is_empty()) {
            return Ok(RegistryAuth::Bearer(token.to_owned()));
        }
        let text = entry.get("auth").and_then(Json::as_str).and_then(|text| STANDARD.decode(text).ok());
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        if let Some((name, password)) = text.split_once(':') {
            return Ok(RegistryAuth::Basic(name.to_owned(), password.to_owned()));
        }
    }
    Ok(RegistryAuth::Anonymous)
}

/// Keeps a name and a password.
pub(super) fn keep(matches: &Matches, registry: &str, name: &str, password: &str) -> Result<(), Fault> {
    let path = settings::registry_config(matches);
    let mut config = read(&path)?;
    let entry = if name.is_empty() {
        json!({"identitytoken": password})
    } else {
        json!({"auth": STANDARD.encode(format!("{name}:{password}"))})
    };
    let auths = config.entry("auths").or_insert_with(|| json!({}));
    if let Some(auths) = auths.as_object_mut() {
        auths.insert(key(registry).to_owned(), entry);
    }
    write(&path, &config)
}

/// Forgets what is known for a registry.
pub(super) fn forget(matches: &Matches, registry: &str) -> Result<(), Fault> {
    let path = settings::registry_config(matches);
    let mut config = read(&path)?;
    let auths = config.get_mut("auths").and_then(Json::as_object_mut);
    match auths.and_then(|auths| auths.remove(key(registry))) {
        None => Ok(()),
        Some(_) => write(&path, &config),
    }
}

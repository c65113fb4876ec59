//! Where Helm keeps its things, and the values that flags give. It never loads charts.

use std::env;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use chart::values::{self, SetKind, Values};

use super::Fault;
use super::chart_files::go_error;
use super::fetch::{self, Access};
use super::flags::{Flag, Kind, Matches, of};

/// Flags that set values.
pub(super) const VALUE_FLAGS: &[Flag] = &[
    of(Kind::Commas, "values", "specify values in a YAML file or a URL (can specify multiple)").short('f'),
    of(Kind::List, "set", "set values on the command line"),
    of(Kind::List, "set-string", "set STRING values on the command line"),
    of(Kind::List, "set-file", "set values from respective files specified via the command line"),
    of(Kind::List, "set-json", "set JSON values on the command line"),
    of(Kind::List, "set-literal", "set a literal STRING value on the command line"),
];

/// The values that a command line gives, merged in Helm's order.
pub(super) fn values_of(matches: &Matches) -> Result<Values, Fault> {
    let mut all = Values::new();
    for path in matches.list("values") {
        let text = read_from(path).map_err(Fault::new)?;
        let read = values::read(&text).map_err(|why| Fault::new(format!("failed to parse {path}: {why}")))?;
        all = values::merge_maps(all, read);
    }
    let set =
        |all: &mut Values, flag: &str, kind: SetKind| matches.list(flag).iter().try_for_each(|text| values::set(all, kind, text));
    set(&mut all, "set-json", SetKind::Json)?;
    set(&mut all, "set", SetKind::Typed)?;
    set(&mut all, "set-string", SetKind::Text)?;
    for text in matches.list("set-file") {
        let mut read = |path: &str| read_from(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        values::set_file(&mut all, text, &mut read)?;
    }
    set(&mut all, "set-literal", SetKind::Literal)?;
    Ok(all)
}

/// A file or what an address answers.
fn read_from(path: &str) -> Result<Vec<u8>, String> {
    if !(path.starts_with("http://") || path.starts_with("https://")) {
        return read_file(path);
    }
    let access = Access { owner: path.to_owned(), ..Access::default() };
    fetch::get(path, &access, "", fetch::FILE_BYTES_MAX).map_err(|fault| fault.text)
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    if path.trim() == "-" {
        let mut bytes = Vec::new();
        return std::io::stdin().read_to_end(&mut bytes).map(|_| bytes).map_err(|error| error.to_string());
    }
    let path = Path::new(path);
    if path.is_dir() {
        return Err(format!("read {}: is a directory", path.display()));
    }
    fs::read(path).map_err(|error| go_error("open", path, &error))
}

fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn folder(own: &str, general: &str, below_home: &str) -> PathBuf {
    match (env::var_os(own), env::var_os(general)) {
        (Some(path), _) if !path.is_empty() => PathBuf::from(path),
        (_, Some(path)) if !path.is_empty() => Path::new(&path).join("helm"),
        _ => home().join(below_home).join("helm"),
    }
}

fn chosen(matches: &Matches, flag: &str, variable: &str, otherwise: PathBuf) -> PathBuf {
    if matches.said(flag) {
        return PathBuf::from(matches.text(flag));
    }
    env::var_os(variable).filter(|path| !path.is_empty()).map_or(otherwise, PathBuf::from)
}

/// The file of repositories.
pub(super) fn repository_config(matches: &Matches) -> PathBuf {
    let otherwise = folder("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", ".config").join("repositories.yaml");
    chosen(matches, "repository-config", "HELM_REPOSITORY_CONFIG", otherwise)
}

/// The folder of what users bring themselves, such as starters.
pub(super) fn data() -> PathBuf {
    folder("HELM_DATA_HOME", "XDG_DATA_HOME", ".local/share")
}

fn cache() -> PathBuf {
    folder("HELM_CACHE_HOME", "XDG_CACHE_HOME", ".cache")
}

/// The folder of the repositories' indexes.
pub(super) fn repository_cache(matches: &Matches) -> PathBuf {
    chosen(matches, "repository-cache", "HELM_REPOSITORY_CACHE", cache().join("repository"))
}

/// The folder of fetched charts, named by what they are.
pub(super) fn content_cache(matches: &Matches) -> PathBuf {
    chosen(matches, "content-cache", "HELM_CONTENT_CACHE", cache().join("content"))
}

/// The file of registries' passwords.
pub(super) fn registry_config(matches: &Matches) -> PathBuf {
    let otherwise = folder("HELM_CONFIG_HOME", "XDG_CONFIG_HOME", ".config").join("registry").join("config.json");
    chosen(matches, "registry-config", "HELM_REGISTRY_CONFIG", otherwise)
}

/// The file of keys: GnuPG's old one, unless only its new one is there.
pub(super) fn keyring(matches: &Matches) -> PathBuf {
    if matches.said("keyring") {
        return PathBuf::from(matches.text("keyring"));
    }
    let folder = env::var_os("GNUPGHOME").map_or_else(|| home().join(".gnupg"), PathBuf::from);
    let (old, new) = (folder.join("pubring.gpg"), folder.join("pubring.kbx"));
    let missing = |path: &Path| fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if missing(&old) && !missing(&new) { new } else { old }
}

/// The namespace that is meant.
pub(super) fn namespace(matches: &Matches) -> String {
    if matches.said("namespace") {
        return matches.text("namespace").to_owned();
    }
    env::var("HELM_NAMESPACE").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned())
}

/// Where plugins are looked for.
pub(super) fn plugin_folders() -> Vec<PathBuf> {
    let otherwise = || folder("HELM_DATA_HOME", "XDG_DATA_HOME", ".local/share").join("plugins").into_os_string();
    let named = env::var_os("HELM_PLUGINS").filter(|path| !path.is_empty()).unwrap_or_else(otherwise);
    env::split_paths(&named).collect()
}

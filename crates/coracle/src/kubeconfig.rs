//! Merging our cluster, user and context into somebody's kubeconfig, and taking them out again. Whatever else stands there stays.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

/// The lists of a kubeconfig whose entries bear names.
const LISTS: [&str; 3] = ["clusters", "users", "contexts"];

/// The kubeconfig that kubectl would use: the first of `KUBECONFIG`, else the one in the home directory.
pub fn default_path() -> PathBuf {
    let named =
        std::env::var_os("KUBECONFIG").and_then(|list| std::env::split_paths(&list).find(|path| !path.as_os_str().is_empty()));
    named.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".kube/config"))
}

/// Puts the entries of `ours` into the file, makes our context the current one, and keeps everything else.
///
/// # Errors
/// When the file is there but is no kubeconfig, or cannot be written; it is left as it was then.
pub fn merge_into(path: &Path, ours: &str) -> anyhow::Result<()> {
    let ours: Value = parse(ours).context("the kubeconfig of this cluster is malformed")?;
    let mut merged = read(path)?;
    for list in LISTS {
        let entries: Vec<Value> = ours[list].as_array().cloned().unwrap_or_default();
        let names: Vec<&Value> = entries.iter().map(|entry| &entry["name"]).collect();
        let place = merged.entry(list).or_insert_with(|| json!([]));
        if place.is_null() {
            *place = json!([]);
        }
        let Some(present) = place.as_array_mut() else { bail!("{list} in {} is no list", path.display()) };
        present.retain(|entry| !names.contains(&&entry["name"]));
        present.extend(entries);
    }
    merged.insert("current-context".into(), ours["current-context"].clone());
    write(path, &Value::Object(merged))
}

/// Takes the entries of that name away; a file that would then hold nothing is removed.
///
/// # Errors
/// When the file is there but is no kubeconfig, or cannot be written.
pub fn remove_from(path: &Path, name: &str) -> anyhow::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut config = read(path)?;
    let mut left = 0;
    for list in LISTS {
        if let Some(entries) = config.get_mut(list).and_then(Value::as_array_mut) {
            entries.retain(|entry| entry["name"] != name);
            left += entries.len();
        }
    }
    if left == 0 {
        return fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()));
    }
    if config.get("current-context").is_some_and(|current| current == name) {
        config.insert("current-context".into(), json!(""));
    }
    write(path, &Value::Object(config))
}

fn read(path: &Path) -> anyhow::Result<Map<String, Value>> {
    let text = match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => text,
        Ok(_) => return Ok(empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    match parse(&text)
        .with_context(|| format!("{} is no YAML: repair it, or name another file with --kubeconfig", path.display()))?
    {
        Value::Object(config) => Ok(config),
        _ => bail!("{} is no kubeconfig: repair it, or name another file with --kubeconfig", path.display()),
    }
}

fn parse(text: &str) -> anyhow::Result<Value> {
    Ok(serde_saphyr::from_str(text)?)
}

fn empty() -> Map<String, Value> {
    let Value::Object(map) = json!({"apiVersion": "v1", "kind": "Config", "preferences": {}}) else { return Map::new() };
    map
}

/// Replaces the file in one step, readable by its owner alone: it holds keys.
fn write(path: &Path, config: &Value) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let text = serde_saphyr::to_string(config).context("cannot write YAML")?;
    write_private(path, &text).with_context(|| format!("cannot write {}", path.display()))
}

/// Replaces a file in one step by one that only its owner may read.
///
/// # Errors
/// What the file system says.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "clusters:\n- name: coracle\n  cluster: {server: https://a}\nusers:\n- name: coracle\n  user: {}\ncontexts:\n- name: coracle\n  context: {cluster: coracle, user: coracle}\ncurrent-context: coracle\n";

    #[test]
    fn others_and_unknown_fields_stay_when_we_merge_and_when_we_leave() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        fs::write(&path, "apiVersion: v1\nkind: Config\nclusters:\n- name: work\n  cluster: {server: https://w, odd: [1]}\nusers: []\ncontexts:\ncurrent-context: work\nextra: {kept: true}\n").expect("written");
        merge_into(&path, OURS).expect("merges");
        merge_into(&path, OURS).expect("merges twice");
        let merged = Value::Object(read(&path).expect("reads"));
        assert_eq!(merged["clusters"].as_array().map(Vec::len), Some(2));
        assert_eq!((&merged["current-context"], &merged["extra"]["kept"]), (&json!("coracle"), &json!(true)));
        remove_from(&path, "coracle").expect("leaves");
        let left = Value::Object(read(&path).expect("reads"));
        assert_eq!(left["clusters"], json!([{"name": "work", "cluster": {"server": "https://w", "odd": [1]}}]));
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_left_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config");
        fs::write(&path, "just a text").expect("written");
        merge_into(&path, OURS).expect_err("refused");
        assert_eq!(fs::read_to_string(&path).expect("reads"), "just a text");
    }

    #[test]
    fn a_file_that_held_only_us_goes_with_us() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/config");
        merge_into(&path, OURS).expect("merges");
        remove_from(&path, "coracle").expect("leaves");
        assert!(!path.exists());
    }
}

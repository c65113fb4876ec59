//! `helm repo`: which repositories are known, and an index of archives. It speaks to no repository.

use std::fs;
use std::path::{Path, PathBuf};

use chart::chart::Chart;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::flags::{Flag, Kind, Matches, of, switch};
use super::tables::table;
use super::{Done, Fault, chart_files, settings};
use crate::output;

pub(super) const LIST_FLAGS: &[Flag] = &[
    of(Kind::Text, "output", "prints the output in the specified format. Allowed values: table, json, yaml")
        .short('o')
        .default("table"),
    switch("no-headers", "suppress headers in the output"),
];

pub(super) const INDEX_FLAGS: &[Flag] = &[
    of(Kind::Text, "url", "url of chart repository"),
    of(Kind::Text, "merge", "merge the generated index into the given index"),
    switch("json", "output in JSON format"),
];

/// The repositories of a file; none where there is no file.
fn known(path: &Path) -> Result<Vec<Json>, Fault> {
    let Ok(text) = fs::read(path) else { return Ok(Vec::new()) };
    let read = chart::yaml::read(&text).map_err(|error| Fault::new(error.to_string()))?;
    Ok(read.get("repositories").and_then(Json::as_array).cloned().unwrap_or_default())
}

fn text_of(entry: &Json, field: &str) -> String {
    entry.get(field).and_then(Json::as_str).unwrap_or_default().to_owned()
}

pub(super) fn list(matches: &Matches) -> Done {
    let form = matches.text("output");
    if !matches!(form, "table" | "json" | "yaml") {
        let named = "\"-o, --output\"";
        return Err(Fault::new(format!("invalid argument {form:?} for {named} flag: invalid format type")));
    }
    let repositories = known(&settings::repository_config(matches))?;
    let short: Vec<Json> =
        repositories.iter().map(|entry| json!({"name": text_of(entry, "name"), "url": text_of(entry, "url")})).collect();
    match form {
        "json" => output::line(&Json::Array(short).to_string()),
        "yaml" => output::text(&chart::yaml::to_yaml(&Json::Array(short)).unwrap_or_default()),
        _ if repositories.is_empty() => output::remark("no repositories to show"),
        _ => {
            let mut rows = Vec::new();
            if !matches.flag("no-headers") {
                rows.push(vec!["NAME".to_owned(), "URL".to_owned()]);
            }
            rows.extend(short.iter().map(|entry| vec![text_of(entry, "name"), text_of(entry, "url")]));
            output::line(&table(&rows, 80));
        }
    }
    Ok(())
}

pub(super) fn remove(matches: &Matches) -> Done {
    let path = settings::repository_config(matches);
    let mut repositories = known(&path)?;
    if repositories.is_empty() {
        return Err(Fault::new("no repositories configured"));
    }
    for name in &matches.arguments {
        let before = repositories.len();
        repositories.retain(|entry| text_of(entry, "name") != *name);
        if repositories.len() == before {
            return Err(Fault::new(format!("no repo named {name:?} found")));
        }
        let file = json!({"apiVersion": "", "generated": "0001-01-01T00:00:00Z", "repositories": repositories});
        fs::write(&path, chart::yaml::to_yaml(&file).unwrap_or_default())?;
        output::line(&format!("{name:?} has been removed from your repositories"));
    }
    Ok(())
}

pub(super) fn index(matches: &Matches) -> Done {
    let folder = PathBuf::from(matches.argument(0));
    let absolute = std::path::absolute(&folder).unwrap_or_else(|_| folder.clone());
    let mut entries: Map<String, Json> = Map::new();
    let mut archives = Vec::new();
    find_archives(&absolute, &mut archives, 2);
    archives.sort();
    for archive in archives {
        let chart = chart_files::load(&archive)?;
        let place = archive.strip_prefix(&absolute).unwrap_or(&archive).display().to_string();
        let entry = entry(&chart, &archive, &place, matches.text("url"))?;
        if let Json::Array(list) = entries.entry(chart.name().to_owned()).or_insert_with(|| json!([])) {
            list.push(entry);
        }
    }
    let now = jiff::Timestamp::now().to_string();
    let index = json!({"apiVersion": "v1", "entries": entries, "generated": now});
    let text = if matches.flag("json") { index.to_string() } else { chart::yaml::to_yaml(&index).unwrap_or_default() };
    fs::write(absolute.join("index.yaml"), text)?;
    Ok(())
}

fn find_archives(folder: &Path, found: &mut Vec<PathBuf>, depth: usize) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && depth > 1 {
            find_archives(&path, found, depth - 1);
        } else if path.extension().is_some_and(|extension| extension == "tgz") {
            found.push(path);
        }
    }
}

fn entry(chart: &Chart, archive: &Path, place: &str, url: &str) -> Result<Json, Fault> {
    let bytes = fs::read(archive).map_err(|error| Fault::new(chart_files::go_error("open", archive, &error)))?;
    let mut entry = serde_json::to_value(&chart.metadata).unwrap_or_default();
    let address = if url.is_empty() { place.to_owned() } else { format!("{}/{place}", url.trim_end_matches('/')) };
    if let Json::Object(entry) = &mut entry {
        entry.insert("urls".to_owned(), json!([address]));
        entry.insert("digest".to_owned(), hex::encode(Sha256::digest(&bytes)).into());
        entry.insert("created".to_owned(), jiff::Timestamp::now().to_string().into());
    }
    Ok(entry)
}

//! `helm repo`: which repositories are known, what they offer, and an index of archives.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chart::chart::Chart;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::flags::{Flag, Kind, Matches, of, switch};
use super::repositories::{self, Entry, Index, Offer, known, remember};
use super::tables::table;
use super::{Done, Fault, atomic, chart_files, fetch, prompt, settings};
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

/// Flags of `repo add`.
pub(super) const ADD_FLAGS: &[Flag] = &[
    of(Kind::Text, "username", "chart repository username"),
    of(Kind::Text, "password", "chart repository password"),
    switch("password-stdin", "read chart repository password from stdin"),
    switch("force-update", "replace (overwrite) the repo if it already exists"),
    of(Kind::Text, "cert-file", "identify HTTPS client using this SSL certificate file"),
    of(Kind::Text, "key-file", "identify HTTPS client using this SSL key file"),
    of(Kind::Text, "ca-file", "verify certificates of HTTPS-enabled servers using this CA bundle"),
    switch("insecure-skip-tls-verify", "skip tls certificate checks for the repository"),
    switch("allow-deprecated-repos", "by default, official repos that have been permanently deleted are refused"),
    switch("pass-credentials", "pass credentials to all domains"),
    of(Kind::Duration, "timeout", "time to wait for the index file download to complete").default("2m0s"),
];

/// Flags of `repo update`.
pub(super) const UPDATE_FLAGS: &[Flag] =
    &[of(Kind::Duration, "timeout", "time to wait for the index file download to complete").default("2m0s")];

/// Addresses that are gone, and where their charts went.
const GONE: &[(&str, &str)] = &[
    ("//kubernetes-charts.storage.googleapis.com", "https://charts.helm.sh/stable"),
    ("//kubernetes-charts-incubator.storage.googleapis.com", "https://charts.helm.sh/incubator"),
];

pub(super) fn check_form(matches: &Matches) -> Done {
    let form = matches.text("output");
    if matches!(form, "table" | "json" | "yaml") {
        return Ok(());
    }
    let named = "\"-o, --output\"";
    Err(Fault::new(format!("invalid argument {form:?} for {named} flag: invalid format type")))
}

pub(super) fn list(matches: &Matches) -> Done {
    check_form(matches)?;
    let form = matches.text("output");
    let repositories = known(&settings::repository_config(matches))?;
    let short: Vec<Json> = repositories.iter().map(|entry| json!({"name": entry.name, "url": entry.url})).collect();
    match form {
        "json" => output::line(&Json::Array(short).to_string()),
        "yaml" => output::text(&chart::yaml::to_yaml(&Json::Array(short)).unwrap_or_default()),
        _ if repositories.is_empty() => output::remark("no repositories to show"),
        _ => {
            let mut rows = Vec::new();
            if !matches.flag("no-headers") {
                rows.push(vec!["NAME".to_owned(), "URL".to_owned()]);
            }
            rows.extend(repositories.into_iter().map(|entry| vec![entry.name, entry.url]));
            output::line(&table(&rows, 80));
        }
    }
    Ok(())
}

pub(super) fn add(matches: &Matches) -> Done {
    let (name, url) = (matches.argument(0), matches.argument(1));
    if let Some((_, instead)) = GONE.iter().find(|(gone, _)| url.contains(gone) && !matches.flag("allow-deprecated-repos")) {
        return Err(Fault::new(format!("repo {url:?} is no longer available; try {instead:?} instead")));
    }
    let path = settings::repository_config(matches);
    let entry = asked(matches)?;
    if name.contains('/') {
        let text = format!("repository name ({name}) contains '/', please specify a different name without '/'");
        return Err(Fault::new(text));
    }
    let exists = |repositories: &[Entry]| repositories.iter().find(|entry| entry.name == name).cloned();
    if let Some(existing) = exists(&known(&path)?).filter(|_| !matches.flag("force-update")) {
        if existing != entry {
            return Err(Fault::new(format!("repository name ({name}) already exists, please specify a different name")));
        }
        output::line(&format!("{name:?} already exists with the same configuration, skipping"));
        return Ok(());
    }
    entry.check()?;
    repositories::refresh(&entry, &settings::repository_cache(matches), fetch::patience(matches)).map_err(|fault| {
        Fault::new(format!("looks like {url:?} is not a valid chart repository or cannot be reached: {}", fault.text))
    })?;
    let _held = repositories::hold(&path)?;
    let mut repositories = known(&path)?;
    match repositories.iter_mut().find(|other| other.name == name) {
        Some(other) => *other = entry,
        None => repositories.push(entry),
    }
    remember(&path, &repositories)?;
    output::line(&format!("{name:?} has been added to your repositories"));
    Ok(())
}

/// The repository that a command line describes.
fn asked(matches: &Matches) -> Result<Entry, Fault> {
    let text = |flag: &str| matches.text(flag).to_owned();
    let mut password = text("password");
    if !matches.text("username").is_empty() && password.is_empty() {
        password = if matches.flag("password-stdin") {
            prompt::piped()?
        } else {
            let typed = prompt::hidden("Password: ");
            output::line("");
            typed?
        };
    }
    Ok(Entry {
        name: matches.argument(0).to_owned(),
        url: matches.argument(1).to_owned(),
        username: text("username"),
        password,
        cert_file: text("cert-file"),
        key_file: text("key-file"),
        ca_file: text("ca-file"),
        insecure_skip_tls_verify: matches.flag("insecure-skip-tls-verify"),
        pass_credentials_all: matches.flag("pass-credentials"),
    })
}

pub(super) fn update(matches: &Matches) -> Done {
    let repositories = known(&settings::repository_config(matches))?;
    if repositories.is_empty() {
        return Err(Fault::new("no repositories found. You must add one before updating"));
    }
    let names = &matches.arguments;
    if let Some(name) = names.iter().find(|name| !repositories.iter().any(|entry| entry.name == **name)) {
        return Err(Fault::new(format!("no repositories found matching '{name}'.  Nothing will be updated")));
    }
    let wanted: Vec<Entry> = repositories.into_iter().filter(|entry| names.is_empty() || names.contains(&entry.name)).collect();
    wanted.iter().try_for_each(Entry::check)?;
    output::line("Hang tight while we grab the latest from your chart repositories...");
    let failed = refresh_all(&wanted, &settings::repository_cache(matches), fetch::patience(matches), false);
    if !failed.is_empty() {
        return Err(Fault::new(format!("failed to update the following repositories: [{}]", failed.join(" "))));
    }
    output::line("Update Complete. ⎈Happy Helming!⎈");
    Ok(())
}

/// Fetches all indexes at once and tells of each; gives the addresses that failed.
pub(super) fn refresh_all(entries: &[Entry], cache: &Path, timeout: Option<Duration>, quiet: bool) -> Vec<String> {
    let results: Vec<Result<(), Fault>> = std::thread::scope(|scope| {
        let running: Vec<_> = entries.iter().map(|entry| scope.spawn(|| repositories::refresh(entry, cache, timeout))).collect();
        let lost = || Err(Fault::new("the download ended without a word"));
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    });
    let say = |text: &str| {
        if !quiet {
            output::line(text);
        }
    };
    let mut failed = Vec::new();
    for (entry, result) in entries.iter().zip(results) {
        let unmanaged = entry.name.starts_with(repositories::UNMANAGED);
        let shown = if unmanaged { &entry.url } else { &entry.name };
        match result {
            Ok(()) => say(&format!("...Successfully got an update from the {shown:?} chart repository")),
            Err(fault) => {
                let place = if unmanaged { String::new() } else { format!(" ({})", entry.url) };
                say(&format!("...Unable to get an update from the {shown:?} chart repository{place}:\n\t{}", fault.text));
                failed.push(entry.url.clone());
            }
        }
    }
    failed
}

pub(super) fn remove(matches: &Matches) -> Done {
    let path = settings::repository_config(matches);
    if known(&path)?.is_empty() {
        return Err(Fault::new("no repositories configured"));
    }
    let _held = repositories::hold(&path)?;
    let mut repositories = known(&path)?;
    for name in &matches.arguments {
        let before = repositories.len();
        repositories.retain(|entry| entry.name != *name);
        if repositories.len() == before {
            return Err(Fault::new(format!("no repo named {name:?} found")));
        }
        remember(&path, &repositories)?;
        let cache = settings::repository_cache(matches);
        for file in [repositories::charts_file(&cache, name), repositories::index_file(&cache, name)] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Fault::new(chart_files::go_error("remove", &file, &error)));
                }
                _ => {}
            }
        }
        output::line(&format!("{name:?} has been removed from your repositories"));
    }
    Ok(())
}

pub(super) fn index(matches: &Matches) -> Done {
    let folder = PathBuf::from(matches.argument(0));
    let absolute = std::path::absolute(&folder).unwrap_or_else(|_| folder.clone());
    if !absolute.is_dir() {
        return Err(Fault::new(format!("open {}: no such file or directory", absolute.join("index.yaml").display())));
    }
    let mut index = Index::default();
    let mut archives = Vec::new();
    find_archives(&absolute, &mut archives, 2);
    archives.sort();
    for archive in archives {
        // What is no chart is none of the index's.
        let Ok(chart) = chart_files::load(&archive) else { continue };
        let place = archive.strip_prefix(&absolute).unwrap_or(&archive).display().to_string();
        let offer = offer(&chart, &archive, &place, matches.text("url"))?;
        index.entries.entry(chart.name().to_owned()).or_default().push(offer);
    }
    let merged = Path::new(matches.text("merge"));
    if !merged.as_os_str().is_empty() && merged.exists() {
        let other = Index::load(merged).map_err(|fault| Fault::new(format!("merge failed: {}", fault.text)))?;
        index.merge(other);
    } else if !merged.as_os_str().is_empty() {
        write_index(&Index::default(), merged, matches.flag("json"))?;
    }
    index.sort();
    write_index(&index, &absolute.join("index.yaml"), matches.flag("json"))
}

fn write_index(index: &Index, path: &Path, json: bool) -> Done {
    let now = jiff::Timestamp::now().to_string();
    let index = json!({"apiVersion": "v1", "generated": now, "entries": index.entries});
    let text = if json { serde_json::to_string_pretty(&index)? } else { chart::yaml::to_yaml(&index).unwrap_or_default() };
    atomic::write(path, text.as_bytes(), 0o644)
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

fn offer(chart: &Chart, archive: &Path, place: &str, url: &str) -> Result<Offer, Fault> {
    let bytes = fs::read(archive).map_err(|error| Fault::new(chart_files::go_error("open", archive, &error)))?;
    let address = if url.is_empty() { place.to_owned() } else { format!("{}/{place}", url.trim_end_matches('/')) };
    Ok(Offer {
        metadata: chart.metadata.clone(),
        urls: vec![address],
        digest: hex::encode(Sha256::digest(&bytes)),
        created: jiff::Timestamp::now().to_string(),
    })
}

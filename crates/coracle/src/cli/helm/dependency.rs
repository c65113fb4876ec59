//! `helm dependency list`: what a chart needs, and what of it is here. It never fetches charts.

use std::fs;
use std::path::{Path, PathBuf};

use chart::chart::{Chart, Dependency};
use chart::dependencies::fits;

use super::flags::{Flag, Kind, Matches, of};
use super::tables::table;
use super::{Done, chart_files};
use crate::output;

pub(super) const LIST_FLAGS: &[Flag] =
    &[of(Kind::Number, "max-col-width", "maximum column width for output table").default("80")];

pub(super) fn list(matches: &Matches) -> Done {
    let path = matches.arguments.first().map_or(".", String::as_str);
    let place = Path::new(path);
    let chart = load(place)?;
    let folder = clean(&place.join("charts"));
    if chart.metadata.dependencies.is_empty() {
        output::line(&format!("WARNING: no dependencies at {}", folder.display()));
        return Ok(());
    }
    let mut rows = vec![["NAME", "VERSION", "REPOSITORY", "STATUS"].map(str::to_owned).to_vec()];
    for dependency in &chart.metadata.dependencies {
        let Dependency { name, version, repository, .. } = dependency;
        rows.push(vec![name.clone(), version.clone(), repository.clone(), status(&folder, dependency, &chart)]);
    }
    let width = matches.text("max-col-width").parse().unwrap_or(80);
    output::text(&format!("{}\n\n", table(&rows, width)));
    warn_of_unasked(&folder, &chart);
    Ok(())
}

/// As Helm loads for this command: a folder without a description is no fault of the disk.
pub(super) fn load(place: &Path) -> Result<Chart, super::Fault> {
    if place.is_dir() && !place.join("Chart.yaml").exists() {
        return Err(super::Fault::new("Chart.yaml file is missing"));
    }
    chart_files::load(place)
}

fn clean(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

fn status(folder: &Path, dependency: &Dependency, parent: &Chart) -> String {
    let prefix = format!("{}-", dependency.name);
    let named = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(&prefix) && name.ends_with(".tgz")
    };
    let archives: Vec<PathBuf> = entries(folder).into_iter().filter(named).collect();
    let suits = |version: &str| version == dependency.version || fits(&dependency.version, version);
    let valid = |version: &str| chart::semver::Version::parse(version).is_ok();
    if archives.len() > 1 {
        return "too many matches".to_owned();
    }
    if let [archive] = archives.as_slice() {
        let Ok(chart) = chart_files::load(archive) else { return "corrupt".to_owned() };
        return match &chart.metadata.version {
            _ if chart.name() != dependency.name => "misnamed",
            version if suits(version) => "ok",
            version if !valid(version) || !is_constraint(&dependency.version) => "invalid version",
            _ => "wrong version",
        }
        .to_owned();
    }
    let found = parent.dependencies.iter().rev().find(|subchart| subchart.name() == dependency.name);
    match found.map(|subchart| subchart.metadata.version.as_str()) {
        None => "missing",
        Some(version) if suits(version) => "unpacked",
        Some(version) if !valid(version) || !is_constraint(&dependency.version) => "invalid version",
        Some(_) => "wrong version",
    }
    .to_owned()
}

fn is_constraint(text: &str) -> bool {
    chart::semver::Constraint::parse(text).is_ok()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn warn_of_unasked(folder: &Path, chart: &Chart) {
    for path in entries(folder) {
        let packed = path.extension().is_some_and(|extension| extension == "tgz");
        if !path.is_dir() && !packed {
            continue;
        }
        let shown = path.display();
        match chart_files::load(&path) {
            Err(_) => output::line(&format!("WARNING: {:?} is not a chart.", shown.to_string())),
            Ok(found) if chart.metadata.dependencies.iter().any(|it| it.name == found.name()) => {}
            Ok(_) => output::line(&format!("WARNING: {:?} is not in Chart.yaml.", shown.to_string())),
        }
    }
}

//! `helm lint`. It decides nothing: the rules are the chart crate's.

use std::path::{Path, PathBuf};

use chart::lint::{Message, Severity, Subject};
use chart::template;
use chart::values::Values;

use super::flags::{Flag, Kind, Matches, of, switch};
use super::world::Machine;
use super::{Done, Fault, chart_files, settings};
use crate::output;

pub(super) const FLAGS: &[Flag] = &[
    switch("strict", "fail on lint warnings"),
    switch("with-subcharts", "lint dependent charts"),
    switch("quiet", "print only warnings and errors"),
    switch("skip-schema-validation", "if set, disables JSON schema validation"),
    of(Kind::Text, "kube-version", "Kubernetes version used for capabilities and deprecation checks"),
];

pub(super) fn run(matches: &Matches) -> Done {
    let kube = match matches.text("kube-version") {
        "" => None,
        text => Some(template::kube_version(text).map_err(|why| Fault::new(format!("invalid kube version '{text}': {why}")))?),
    };
    let mut paths: Vec<String> = matches.arguments.clone();
    if matches.flag("with-subcharts") {
        for path in matches.arguments.iter() {
            subcharts(&Path::new(path).join("charts"), &mut paths);
        }
    }
    let values = settings::values_of(matches)?;
    let quiet = matches.flag("quiet");
    let lowest = if matches.flag("strict") { Severity::Warning } else { Severity::Error };
    let (mut text, mut failed, mut noted) = (String::new(), 0, false);
    for path in &paths {
        let linted = lint_one(matches, path, &values, kube.clone());
        let messages: &[Message] = linted.as_deref().unwrap_or_default();
        let bad = linted.is_err() || messages.iter().any(|message| message.severity > Severity::Info);
        noted |= bad;
        if quiet && !bad {
            continue;
        }
        text.push_str(&format!("==> Linting {path}\n"));
        if let Err(error) = &linted {
            text.push_str(&format!("Error {error}\n"));
        }
        for message in messages.iter().filter(|message| !quiet || message.severity > Severity::Info) {
            text.push_str(&format!("{message}\n"));
        }
        if linted.is_err() || messages.iter().any(|message| message.severity >= lowest) {
            failed += 1;
        }
        text.push('\n');
    }
    output::text(&text);
    let summary = format!("{} chart(s) linted, {failed} chart(s) failed", paths.len());
    if failed > 0 {
        return Err(Fault::new(summary));
    }
    if !quiet || noted {
        output::line(&summary);
    }
    Ok(())
}

fn subcharts(folder: &Path, paths: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    for path in found {
        if path.is_dir() {
            if path.join("Chart.yaml").exists() {
                paths.push(path.display().to_string());
            }
            subcharts(&path.join("charts"), paths);
        } else if path.extension().is_some_and(|extension| extension == "tgz") {
            paths.push(path.display().to_string());
        }
    }
}

fn lint_one(
    matches: &Matches,
    path: &str,
    values: &Values,
    kube: Option<chart::render::KubeVersion>,
) -> Result<Vec<Message>, String> {
    let place = Path::new(path);
    let packed = path.ends_with(".tgz") || path.ends_with(".tar.gz");
    let (files, folder) = if packed {
        let bytes = std::fs::read(place)
            .map_err(|error| format!("unable to open tarball: {}", chart_files::go_error("open", place, &error)))?;
        let files = chart::load::unpack(&bytes).map_err(|error| format!("unable to extract tarball: {error}"))?;
        (files, path.to_owned())
    } else {
        let metadata = place.join("Chart.yaml");
        std::fs::metadata(&metadata).map_err(|error| {
            format!("unable to check Chart.yaml file in chart: {}", chart_files::go_error("stat", &metadata, &error))
        })?;
        let files = chart_files::folder_files(place).map_err(|fault| fault.text)?;
        let folder = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
        (files, folder.display().to_string())
    };
    let namespace = settings::namespace(matches);
    let subject = Subject {
        files: &files,
        folder: &folder,
        values,
        namespace: &namespace,
        kube,
        skip_schema: matches.flag("skip-schema-validation"),
    };
    Ok(chart::lint::lint(&subject, &Machine { dns: false }))
}

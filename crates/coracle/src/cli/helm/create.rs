//! `helm create`: a chart to start from, or a copy of one's own starter. It never renders.

use std::fs;
use std::path::Path;

use super::chart_files::{self, go_error};
use super::flags::{Flag, Kind, Matches, of};
use super::{Done, Fault, settings};
use crate::output;

pub(super) const FLAGS: &[Flag] = &[of(Kind::Text, "starter", "the name or absolute path to Helm starter scaffold").short('p')];

/// What stands for the chart's name in the files below.
const NAME: &str = "CHARTNAME";
/// What stands for it in a starter of one's own.
const STARTER_NAME: &str = "<CHARTNAME>";
/// As long as a name may be.
const NAME_LENGTH_MAX: usize = 250;

/// The files of a new chart.
const FILES: &[(&str, &str)] = &[
    ("Chart.yaml", include_str!("starter/Chart.yaml")),
    ("values.yaml", include_str!("starter/values.yaml")),
    (".helmignore", include_str!("starter/helmignore")),
    ("templates/ingress.yaml", include_str!("starter/templates/ingress.yaml")),
    ("templates/httproute.yaml", include_str!("starter/templates/httproute.yaml")),
    ("templates/deployment.yaml", include_str!("starter/templates/deployment.yaml")),
    ("templates/service.yaml", include_str!("starter/templates/service.yaml")),
    ("templates/serviceaccount.yaml", include_str!("starter/templates/serviceaccount.yaml")),
    ("templates/hpa.yaml", include_str!("starter/templates/hpa.yaml")),
    ("templates/NOTES.txt", include_str!("starter/templates/NOTES.txt")),
    ("templates/_helpers.tpl", include_str!("starter/templates/_helpers.tpl")),
    ("templates/tests/test-connection.yaml", include_str!("starter/templates/tests/test-connection.yaml")),
];

pub(super) fn run(matches: &Matches) -> Done {
    let asked = matches.argument(0);
    output::line(&format!("Creating {asked}"));
    let path = Path::new(asked);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let starter = matches.text("starter");
    if !starter.is_empty() {
        return from_starter(&settings::data().join("starters").join(starter), &parent.join(&name), &name);
    }
    check_name(&name)?;
    let parent = std::path::absolute(parent).unwrap_or_else(|_| parent.to_owned());
    match fs::metadata(&parent) {
        Err(error) => return Err(Fault::new(go_error("stat", &parent, &error))),
        Ok(about) if !about.is_dir() => return Err(Fault::new(format!("no such directory {}", parent.display()))),
        Ok(_) => {}
    }
    let chart = parent.join(&name);
    if chart.exists() && !chart.is_dir() {
        return Err(Fault::new(format!("file {} already exists and is not a directory", chart.display())));
    }
    for (place, content) in FILES {
        let file = chart.join(place);
        if file.exists() {
            output::line(&format!("WARNING: File {:?} already exists. Overwriting.", file.display().to_string()));
        }
        write(&file, content.replace(NAME, &name).as_bytes())?;
    }
    make_folder(&chart.join("charts"))
}

fn check_name(name: &str) -> Done {
    if name.is_empty() || name.len() > NAME_LENGTH_MAX {
        return Err(Fault::new(format!("chart name must be between 1 and {NAME_LENGTH_MAX} characters")));
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(Fault::new("chart name must match the regular expression \"^[a-zA-Z0-9._-]+$\""));
    }
    Ok(())
}

fn make_folder(path: &Path) -> Done {
    fs::create_dir_all(path).map_err(|error| Fault::new(go_error("mkdir", path, &error)))
}

fn write(path: &Path, bytes: &[u8]) -> Done {
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    fs::write(path, bytes).map_err(|error| Fault::new(go_error("open", path, &error)))
}

/// Copies a starter, its description anew, and the name put into its templates and values.
fn from_starter(starter: &Path, target: &Path, name: &str) -> Done {
    let unread = |fault: Fault| Fault::new(format!("could not load {}: {}", starter.display(), fault.text));
    let mut chart = chart_files::load(starter).map_err(unread)?;
    chart.metadata.name = name.to_owned();
    chart.metadata.description = "A Helm chart for Kubernetes".to_owned();
    chart.metadata.version = "0.1.0".to_owned();
    chart.metadata.app_version = "0.1.0".to_owned();
    chart.metadata.kind = "application".to_owned();
    chart.metadata.api_version = "v2".to_owned();
    write(&target.join("Chart.yaml"), chart.metadata.to_yaml().as_bytes())?;
    for file in chart_files::folder_files(starter).map_err(unread)? {
        if file.name == "Chart.yaml" {
            continue;
        }
        let named = file.name == "values.yaml" || file.name.starts_with("templates/");
        let bytes = match std::str::from_utf8(&file.data) {
            Ok(text) if named => text.replace(STARTER_NAME, name).into_bytes(),
            _ => file.data,
        };
        write(&target.join(&file.name), &bytes)?;
    }
    Ok(())
}

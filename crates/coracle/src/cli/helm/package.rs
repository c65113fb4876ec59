//! `helm package`: a chart's folder into an archive.

use std::fs;
use std::path::{Path, PathBuf};

use chart::load::archive;
use chart::semver::Version;

use super::flags::{Flag, Kind, Matches, of, switch};
use super::provenance::Signer;
use super::supply::Supply;
use super::{Done, Fault, chart_files};
use crate::output;

pub(super) const FLAGS: &[Flag] = &[
    switch("sign", "use a PGP private key to sign this package"),
    of(Kind::Text, "key", "name of the key to use when signing. Used if --sign is true"),
    of(Kind::Text, "keyring", "location of a public keyring"),
    of(
        Kind::Text,
        "passphrase-file",
        "location of a file which contains the passphrase for the signing key. Use \"-\" in order to read from stdin.",
    ),
    of(Kind::Text, "version", "set the version on the chart to this semver version"),
    of(Kind::Text, "app-version", "set the appVersion on the chart to this version"),
    of(Kind::Text, "destination", "location to write the chart.").short('d').default("."),
    switch("dependency-update", "update dependencies from \"Chart.yaml\" to dir \"charts/\" before packaging").short('u'),
];

pub(super) fn run(matches: &Matches) -> Done {
    if matches.arguments.is_empty() {
        return Err(Fault::new("need at least one argument, the path to the chart"));
    }
    let signer = if matches.flag("sign") { Some(Signer::new(matches)?) } else { None };
    for argument in &matches.arguments {
        let path = Path::new(argument);
        fs::metadata(path).map_err(|error| Fault::new(chart_files::go_error("stat", path, &error)))?;
        if matches.flag("dependency-update") {
            let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            Supply::new(matches, &folder, true)?.update()?;
        }
        let target = package(matches, path)?;
        if let Some(signer) = &signer {
            signer.sign(&target)?;
        }
        output::line(&format!("Successfully packaged chart and saved it to: {}", target.display()));
    }
    Ok(())
}

fn package(matches: &Matches, path: &Path) -> Result<PathBuf, Fault> {
    let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !folder.is_dir() {
        let metadata = folder.join("Chart.yaml");
        let text = format!("unable to detect chart at {0}: open {0}: not a directory", metadata.display());
        return Err(Fault::new(text));
    }
    let mut chart = chart_files::load(&folder)?;
    if !matches.text("version").is_empty() {
        matches.text("version").clone_into(&mut chart.metadata.version);
    }
    Version::parse(&chart.metadata.version).map_err(|error| Fault::new(error.to_string()))?;
    if !matches.text("app-version").is_empty() {
        matches.text("app-version").clone_into(&mut chart.metadata.app_version);
    }
    let here = |name: &str| chart.dependencies.iter().any(|subchart| subchart.name() == name);
    let asked = chart.metadata.dependencies.iter().map(|dependency| dependency.name.as_str());
    let missing: Vec<&str> = asked.filter(|name| !here(name)).collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(Fault::new(format!("found in Chart.yaml, but missing in charts/ directory: {missing}")));
    }
    let destination = match matches.text("destination") {
        "." => std::env::current_dir().unwrap_or_default(),
        other => PathBuf::from(other),
    };
    let failed = |path: &Path, error: &std::io::Error| {
        Fault::new(format!("failed to save: {}", chart_files::go_error("open", path, error)))
    };
    fs::create_dir_all(&destination).map_err(|error| failed(&destination, &error))?;
    let target = destination.join(format!("{}-{}.tgz", chart.name(), chart.metadata.version));
    let bytes = archive::pack(&chart, jiff::Timestamp::now().as_second())?;
    fs::write(&target, bytes).map_err(|error| failed(&target, &error))?;
    Ok(target)
}

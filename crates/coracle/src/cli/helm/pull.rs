//! `helm pull`: a chart's archive from elsewhere into a folder, unpacked where that is asked.

use std::fs;
use std::path::{Path, PathBuf};

use chart::chart::{File, Metadata};
use chart::load::archive;

use super::chart_files::go_error;
use super::download::Source;
use super::flags::{Flag, Kind, Matches, of, switch};
use super::provenance::Verified;
use super::{Done, Fault, atomic, fetch, locate, provenance};
use crate::output;

/// Its own flags.
pub(super) const FLAGS: &[Flag] = &[
    switch("untar", "if set to true, will untar the chart after downloading it"),
    switch("prov", "fetch the provenance file, but don't perform verification"),
    of(Kind::Text, "untardir", "if untar is specified, the name of the directory into which the chart is expanded").default("."),
    of(
        Kind::Text,
        "destination",
        "location to write the chart. If this and untardir are specified, untardir is appended to this",
    )
    .short('d')
    .default("."),
];

pub(super) fn run(matches: &Matches) -> Done {
    fetch::check(&fetch::Access::of(matches)).map_err(|fault| Fault::new(format!("missing registry client: {}", fault.text)))?;
    matches.arguments.iter().try_for_each(|reference| pull(matches, reference))
}

fn pull(matches: &Matches, reference: &str) -> Done {
    let source = locate::source(matches, reference, &locate::version(matches))?;
    let destination = PathBuf::from(matches.text("destination"));
    let bytes = source.bytes(matches)?;
    let proven = prove(matches, reference, &source, &bytes)?;
    if !matches.flag("untar") {
        let saved = source.to_folder(&bytes, &destination)?;
        if let Some(proof) = &proven.proof {
            atomic::write(&provenance::proof_of(&saved), proof, 0o644)?;
        }
        proven.say();
        return Ok(());
    }
    let folder = match Path::new(matches.text("untardir")) {
        absolute if absolute.is_absolute() => absolute.to_owned(),
        relative => clean(&destination.join(relative)),
    };
    let last = reference.rsplit('/').next().unwrap_or_default();
    let wanted = if folder.as_os_str() == "." { PathBuf::from(last) } else { folder.join(last) };
    if wanted.exists() {
        let text = format!("failed to untar: a file or directory with the name {} already exists", wanted.display());
        return Err(Fault::new(text));
    }
    expand(&folder, &bytes)?;
    proven.say();
    Ok(())
}

/// What is known of an archive's origin.
#[derive(Default)]
struct Proven {
    proof: Option<Vec<u8>>,
    verified: Option<Verified>,
    warning: Option<String>,
}

impl Proven {
    fn say(&self) {
        self.warning.iter().for_each(|text| output::line(text));
        self.verified.iter().for_each(Verified::say);
    }
}

/// Checks an archive before anything of it is written, or asks for its provenance alone.
fn prove(matches: &Matches, reference: &str, source: &Source, bytes: &[u8]) -> Result<Proven, Fault> {
    if matches.flag("verify") {
        let (proof, verified) = source.verified(matches, bytes)?;
        return Ok(Proven { proof: Some(proof), verified: Some(verified), warning: None });
    }
    if !matches.flag("prov") {
        return Ok(Proven::default());
    }
    Ok(match source.proof(matches) {
        Ok(proof) => Proven { proof: Some(proof), ..Proven::default() },
        Err(fault) => {
            let warning = format!("WARNING: Verification not found for {reference}: {}", fault.text);
            Proven { warning: Some(warning), ..Proven::default() }
        }
    })
}

fn clean(path: &Path) -> PathBuf {
    let cleaned: PathBuf = path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect();
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}

/// Unpacks an archive into a folder of the chart's name; what was written goes again where that fails.
fn expand(folder: &Path, bytes: &[u8]) -> Done {
    let files = archive::unpack(bytes)?;
    let name = name_of(&files)?;
    let target = folder.join(&name);
    let fresh = !target.exists();
    write_files(&target, &files).inspect_err(|_| {
        if fresh {
            let _ = fs::remove_dir_all(&target);
        }
    })
}

fn name_of(files: &[File]) -> Result<String, Fault> {
    let mut name = String::new();
    if let Some(file) = files.iter().find(|file| file.name == "Chart.yaml") {
        name = Metadata::parse(&file.data).map_err(|error| Fault::new(format!("cannot load Chart.yaml: {error}")))?.name;
    }
    match name.as_str() {
        "" => Err(Fault::new("chart name not specified")),
        "." | ".." => Err(Fault::new(format!("chart name {name:?} is not allowed"))),
        name if name.contains('/') => Err(Fault::new(format!("chart name {name:?} must not contain path separators"))),
        _ => Ok(name),
    }
}

fn write_files(target: &Path, files: &[File]) -> Done {
    for file in files {
        let path = target.join(&file.name);
        let parts = file.name.split('/').scan(target.to_owned(), |at, part| {
            at.push(part);
            Some(at.clone())
        });
        for part in std::iter::once(target.to_owned()).chain(parts) {
            if part.is_symlink() {
                return Err(Fault::new(format!("{} is a link; nothing is written through it", part.display())));
            }
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| Fault::new(go_error("mkdir", parent, &error)))?;
        }
        fs::write(&path, &file.data).map_err(|error| Fault::new(go_error("open", &path, &error)))?;
    }
    Ok(())
}

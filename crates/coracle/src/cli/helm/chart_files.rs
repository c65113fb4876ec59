//! A chart from a folder or an archive on disk. It never fetches one.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chart::chart::{Chart, File};
use chart::load::archive::UNPACKED_BYTES_MAX;
use chart::load::{self, ignore::Rules};

use super::Fault;
use crate::output;

/// Loads a chart, and tells what its author should know.
pub(super) fn load(path: &Path) -> Result<Chart, Fault> {
    let about = fs::metadata(path).map_err(|error| Fault::new(go_error("stat", path, &error)))?;
    let loaded = if about.is_dir() { load_folder(path)? } else { load_file(path)? };
    loaded.warnings.iter().for_each(|line| output::remark(line));
    Ok(loaded.chart)
}

/// How Go tells of a file.
pub(super) fn go_error(what: &str, path: &Path, error: &std::io::Error) -> String {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        std::io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        std::io::ErrorKind::AlreadyExists => "file exists".to_owned(),
        _ => error.to_string(),
    };
    format!("{what} {}: {why}", path.display())
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn load_folder(path: &Path) -> Result<load::Loaded, Fault> {
    let top = absolute(path);
    let metadata = top.join("Chart.yaml");
    let text = fs::read(&metadata).map_err(|error| {
        let why = go_error("open", &metadata, &error);
        Fault::new(format!("unable to detect chart at {}: {why}", metadata.display()))
    })?;
    load::check_version(&text)?;
    Ok(load::load(folder_files(path)?)?)
}

/// The files of a chart's folder that are not ignored.
pub(super) fn folder_files(path: &Path) -> Result<Vec<File>, Fault> {
    let top = absolute(path);
    let rules = fs::read_to_string(top.join(".helmignore")).unwrap_or_default();
    let rules = Rules::parse(&rules)?;
    let mut files = Vec::new();
    let mut left = UNPACKED_BYTES_MAX;
    walk(&top, "", &rules, &mut left, &mut files, 0)?;
    Ok(files)
}

/// Links of a chart are followed, but not without end.
const DEPTH_MAX: usize = 64;

fn walk(top: &Path, below: &str, rules: &Rules, left: &mut u64, files: &mut Vec<File>, depth: usize) -> Result<(), Fault> {
    if depth > DEPTH_MAX {
        return Err(Fault::new(format!("folders nest deeper than {DEPTH_MAX}: {below}")));
    }
    let folder = top.join(below);
    let entries = fs::read_dir(&folder).map_err(|error| Fault::new(go_error("open", &folder, &error)))?;
    let mut entries: Vec<(String, fs::DirEntry)> =
        entries.flatten().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry)).collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, entry) in entries {
        let inside = if below.is_empty() { name } else { format!("{below}/{name}") };
        let path = top.join(&inside);
        let unseen = |error| Fault::new(go_error("stat", &path, &error));
        // The folder says what its entries are, but not what links lead to.
        let kind = match entry.file_type() {
            Ok(kind) if !kind.is_symlink() => kind,
            _ => fs::metadata(&path).map_err(unseen)?.file_type(),
        };
        if rules.ignores(&inside, kind.is_dir()) {
            continue;
        }
        if kind.is_dir() {
            walk(top, &inside, rules, left, files, depth + 1)?;
            continue;
        }
        if !kind.is_file() {
            let text = format!("cannot load irregular file {} as it has file mode type bits set", path.display());
            return Err(Fault::new(text));
        }
        let (data, modified) = read_within(&path, left).map_err(|why| Fault::new(format!("error reading {inside}: {why}")))?;
        let modified = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        files.push(File { name: inside, data, modified: modified.and_then(|at| i64::try_from(at.as_secs()).ok()) });
    }
    Ok(())
}

/// A file's contents, which count against what may still be read, and when it was last changed.
fn read_within(path: &Path, left: &mut u64) -> Result<(Vec<u8>, Option<SystemTime>), String> {
    let file = fs::File::open(path).map_err(|error| go_error("open", path, &error))?;
    let about = file.metadata().ok();
    let size = about.as_ref().map_or(0, |about| about.len().min(*left) + 1);
    let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    file.take(*left + 1).read_to_end(&mut data).map_err(|error| go_error("read", path, &error))?;
    let size = data.len() as u64;
    if size > *left {
        return Err(format!("chart exceeds maximum decompressed size of {UNPACKED_BYTES_MAX} bytes"));
    }
    *left -= size;
    if data.starts_with(&[0xef, 0xbb, 0xbf]) {
        data.drain(..3);
    }
    Ok((data, about.and_then(|about| about.modified().ok())))
}

fn load_file(path: &Path) -> Result<load::Loaded, Fault> {
    let bytes = fs::read(path).map_err(|error| Fault::new(go_error("open", path, &error)))?;
    let name = path.display();
    if !bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
        let text = path.to_string_lossy();
        return Err(Fault::new(if text.ends_with(".yml") || text.ends_with(".yaml") {
            format!("file '{name}' seems to be a YAML file, but expected a gzipped archive")
        } else {
            format!("file '{name}' does not appear to be a gzipped archive; got '{}'", content_type(&bytes))
        }));
    }
    load::load_archive(&bytes).map_err(|error| match error {
        load::LoadError::Unpack(_) => Fault::new("unable to load chart archive"),
        other => Fault::new(other.to_string()),
    })
}

/// Go's guess at what bytes are, for what people mistake for charts.
fn content_type(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(512)];
    let binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    match head {
        [b'P', b'K', 3, 4, ..] => "application/zip",
        // Helm looks at a buffer of this size, which a shorter file leaves full of zeros.
        head if head.len() < 512 || head.iter().any(binary) => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    }
}

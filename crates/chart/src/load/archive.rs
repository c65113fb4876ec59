//! Chart archives, from bytes to files, without trust: names stay inside, links carry nothing, and what unpacks to too
//! much is refused. Packing them is here too. It never writes to a disk.

use std::io::{self, Read as _};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{Archive, EntryType};

use crate::chart::{Chart, File};

/// All files of an archive together, unpacked.
pub const UNPACKED_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// Why bytes are no chart archive; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The bytes are no gzip.
    #[error("gzip: invalid header")]
    ReadGzip,
    /// The tar stream breaks off or is none.
    #[error("{0}")]
    ReadTar(io::Error),
    /// A name starts at the root.
    #[error("chart illegally contains absolute paths")]
    AbsolutePath,
    /// A name has no folder of the chart.
    #[error("chart illegally contains content outside the base directory: {0:?}")]
    OutsideBase(String),
    /// A name climbs out.
    #[error("chart illegally references parent directory")]
    ParentReference,
    /// A name has a drive letter.
    #[error("chart contains illegally named files")]
    DriveLetter,
    /// The chart has no folder.
    #[error("chart yaml not in base directory")]
    MissingBase,
    /// It unpacks to too much.
    #[error("decompressed chart is larger than the maximum size {UNPACKED_BYTES_MAX}")]
    TooLarge,
    /// There is nothing in it.
    #[error("no files in chart archive")]
    Empty,
}

/// The files of a `.tgz`, named from the chart's folder.
pub fn unpack(bytes: &[u8]) -> Result<Vec<File>, ArchiveError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(ArchiveError::ReadGzip);
    }
    let mut archive = Archive::new(GzDecoder::new(bytes));
    let mut files = Vec::new();
    let mut left = UNPACKED_BYTES_MAX;
    for entry in archive.entries().map_err(ArchiveError::ReadTar)? {
        let entry = entry.map_err(ArchiveError::ReadTar)?;
        let kind = entry.header().entry_type();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if kind == EntryType::Directory || path.ends_with('/') {
            continue;
        }
        if matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader) {
            continue;
        }
        let name = name_inside(&path)?;
        let carries = matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        let size = if carries { entry.size() } else { 0 };
        if size > left {
            return Err(ArchiveError::TooLarge);
        }
        let modified = entry.header().mtime().ok().and_then(|at| i64::try_from(at).ok());
        let mut data = Vec::new();
        if carries {
            entry.take(left).read_to_end(&mut data).map_err(ArchiveError::ReadTar)?;
        }
        let written = data.len() as u64;
        left -= written;
        if written < size || left == 0 {
            return Err(ArchiveError::TooLarge);
        }
        if data.starts_with(&[0xef, 0xbb, 0xbf]) {
            data.drain(..3);
        }
        files.push(File { name, data, modified });
    }
    if files.is_empty() { Err(ArchiveError::Empty) } else { Ok(files) }
}

/// The name without the chart's folder, or why it is refused. Archives made on Windows have their own slashes.
fn name_inside(path: &str) -> Result<String, ArchiveError> {
    let slash = if path.contains('\\') { '\\' } else { '/' };
    let (base, rest) = path.split_once(slash).unwrap_or((path, ""));
    let rest = rest.replace(slash, "/");
    if rest.starts_with('/') {
        return Err(ArchiveError::AbsolutePath);
    }
    let name = cleaned(&rest);
    if name == "." {
        return Err(ArchiveError::OutsideBase(path.to_owned()));
    }
    if name.starts_with("..") {
        return Err(ArchiveError::ParentReference);
    }
    let mut start = name.chars();
    if start.next().is_some_and(|c| c.is_ascii_alphabetic()) && start.as_str().starts_with(":/") {
        return Err(ArchiveError::DriveLetter);
    }
    if base == "Chart.yaml" {
        return Err(ArchiveError::MissingBase);
    }
    Ok(name)
}

/// A relative path without `.`, doubled slashes and inner `..`, as Go cleans it.
#[must_use]
pub fn cleaned(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// A chart as a `.tgz`, in the order in which Helm writes it; `now` is for files whose time is not known.
pub fn pack(chart: &Chart, now: i64) -> io::Result<Vec<u8>> {
    let header = GzBuilder::new().extra(PACKER).comment("Helm");
    let mut archive = tar::Builder::new(header.write(Vec::new(), Compression::default()));
    pack_below(&mut archive, chart, "", now)?;
    archive.into_inner()?.finish()
}

/// Helm marks its archives with these bytes.
const PACKER: &[u8] = b"rr\x28\x00aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=";

type Packing = tar::Builder<flate2::write::GzEncoder<Vec<u8>>>;

fn pack_below(archive: &mut Packing, chart: &Chart, prefix: &str, now: i64) -> io::Result<()> {
    let base = format!("{prefix}{}", chart.name());
    let mut metadata = chart.metadata.clone();
    if metadata.api_version == "v1" {
        metadata.dependencies.clear();
    }
    pack_file(archive, &format!("{base}/Chart.yaml"), metadata.to_yaml().as_bytes(), None, now)?;
    if let Some(lock) = chart.lock.as_ref().filter(|_| metadata.api_version == "v2") {
        pack_file(archive, &format!("{base}/Chart.lock"), lock.to_yaml().as_bytes(), None, now)?;
    }
    let named = |name: &str| chart.raw_file(name).into_iter();
    let files = named("values.yaml").chain(named("values.schema.json")).chain(&chart.templates).chain(&chart.files);
    for file in files {
        pack_file(archive, &format!("{base}/{}", file.name), &file.data, file.modified, now)?;
    }
    for dependency in &chart.dependencies {
        pack_below(archive, dependency, &format!("{base}/charts/"), now)?;
    }
    Ok(())
}

fn pack_file(archive: &mut Packing, name: &str, data: &[u8], modified: Option<i64>, now: i64) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(data.len() as u64);
    header.set_mtime(u64::try_from(modified.unwrap_or(now)).unwrap_or(0));
    archive.append_data(&mut header, name, data)
}

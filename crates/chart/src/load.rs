//! From files to a chart with its subcharts. It never looks at a disk: files are handed in, archives as bytes.

pub mod archive;
pub mod ignore;

use std::collections::BTreeMap;

pub use archive::{ArchiveError, unpack};

use crate::chart::{Chart, File, Lock, Metadata, ValidationError};
use crate::shares;
use crate::values::{self, ValuesError};
use crate::yaml::ReadError;

/// Subcharts of more bytes than these together are shared out.
const SHARED_BYTES: usize = 64 * 1024;
/// Subcharts in subcharts end here.
const DEPTH_MAX: usize = 64;

/// Why files are no chart; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// `Chart.yaml`.
    #[error("cannot load Chart.yaml: {0}")]
    ReadMetadata(ReadError),
    /// `Chart.lock` or `requirements.lock`.
    #[error("cannot load {0}: {1}")]
    ReadLock(&'static str, ReadError),
    /// `values.yaml`.
    #[error("cannot load values.yaml: {0}")]
    ReadValues(ValuesError),
    /// `requirements.yaml`.
    #[error("cannot load requirements.yaml: {0}")]
    ReadRequirements(ReadError),
    /// There is none.
    #[error("Chart.yaml file is missing")]
    FindMetadata,
    /// There is none, in an archive.
    #[error("unable to detect chart version, no Chart.yaml found")]
    DetectVersion,
    /// None of those known.
    #[error("unsupported chart version")]
    SupportVersion,
    /// Its description is refused.
    #[error(transparent)]
    Validate(ValidationError),
    /// An archive below `charts/` is no file of its own.
    #[error("error unpacking subchart tar in {chart}: expected {expected}, got {found}")]
    ReadSubchartArchive {
        /// The parent.
        chart: String,
        /// The name in `charts/`.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A subchart is none.
    #[error("error unpacking subchart {name} in {chart}: {cause}")]
    ReadSubchart {
        /// The name in `charts/`.
        name: String,
        /// The parent.
        chart: String,
        /// Why.
        cause: Box<LoadError>,
    },
    /// The archive.
    #[error(transparent)]
    Unpack(ArchiveError),
    /// Charts nest without end.
    #[error("subcharts nest deeper than {DEPTH_MAX}")]
    Nest,
}

/// A chart, and what its author should be told.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The chart.
    pub chart: Chart,
    /// Lines that Helm logs.
    pub warnings: Vec<String>,
}

/// Loads a chart from its files.
pub fn load(files: Vec<File>) -> Result<Loaded, LoadError> {
    let mut warnings = Vec::new();
    let chart = load_below(files, &mut warnings, 0)?;
    Ok(Loaded { chart, warnings })
}

/// Loads a chart from a `.tgz`.
pub fn load_archive(bytes: &[u8]) -> Result<Loaded, LoadError> {
    let files = unpack(bytes).map_err(LoadError::Unpack)?;
    let metadata = files.iter().find(|file| file.name == "Chart.yaml").ok_or(LoadError::DetectVersion)?;
    check_version(&metadata.data)?;
    load(files)
}

/// Refuses a `Chart.yaml` of an unknown version.
pub fn check_version(metadata: &[u8]) -> Result<(), LoadError> {
    let metadata = Metadata::parse(metadata).map_err(LoadError::ReadMetadata)?;
    match metadata.api_version.as_str() {
        "" | "v1" | "v2" | "v3" => Ok(()),
        _ => Err(LoadError::SupportVersion),
    }
}

fn load_below(files: Vec<File>, warnings: &mut Vec<String>, depth: usize) -> Result<Chart, LoadError> {
    if depth > DEPTH_MAX {
        return Err(LoadError::Nest);
    }
    let mut chart = Chart { raw: files.clone(), ..Chart::default() };
    let mut found = false;
    for file in files.iter().filter(|file| file.name == "Chart.yaml") {
        chart.metadata = Metadata::parse(&file.data).map_err(LoadError::ReadMetadata)?;
        found = true;
        if chart.metadata.api_version.is_empty() {
            "v1".clone_into(&mut chart.metadata.api_version);
        }
    }
    let mut subcharts: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in files {
        sort_in(&mut chart, file, &mut subcharts, warnings)?;
    }
    if !found {
        return Err(LoadError::FindMetadata);
    }
    chart.metadata.validate().map_err(LoadError::Validate)?;
    subcharts.retain(|name, _| !name.starts_with(['_', '.']));
    let bytes: usize = subcharts.values().flatten().map(|file| file.data.len()).sum();
    let loaded = shares::each(subcharts.into_iter().collect(), depth == 0 && bytes > SHARED_BYTES, |(name, files)| {
        let mut warnings = Vec::new();
        load_subchart(&chart, &name, files, &mut warnings, depth).map(|subchart| (subchart, warnings))
    });
    for subchart in loaded {
        let (subchart, told) = subchart?;
        chart.dependencies.push(subchart);
        warnings.extend(told);
    }
    Ok(chart)
}

fn sort_in(
    chart: &mut Chart,
    file: File,
    subcharts: &mut BTreeMap<String, Vec<File>>,
    warnings: &mut Vec<String>,
) -> Result<(), LoadError> {
    let is_v1 = chart.metadata.api_version == "v1";
    let is_v3 = chart.metadata.api_version == "v3";
    match file.name.as_str() {
        "Chart.yaml" => {}
        "Chart.lock" => {
            chart.lock = Some(Lock::parse(&file.data).map_err(|error| LoadError::ReadLock("Chart.lock", error))?);
        }
        "values.yaml" => chart.values = values::read(&file.data).map_err(LoadError::ReadValues)?,
        "values.schema.json" => chart.schema = Some(file.data),
        "requirements.yaml" if !is_v3 => {
            if !is_v1 {
                warnings.push("Warning: Dependencies are handled in Chart.yaml since apiVersion \"v2\". We recommend migrating dependencies to Chart.yaml.".to_owned());
            }
            chart.metadata.parse_requirements(&file.data).map_err(LoadError::ReadRequirements)?;
            chart.files.extend(is_v1.then_some(file));
        }
        "requirements.lock" if !is_v3 => {
            let lock = Lock::parse(&file.data).map_err(|error| LoadError::ReadLock("requirements.lock", error))?;
            chart.lock = Some(lock);
            if !is_v1 {
                warnings.push("Warning: Dependency locking is handled in Chart.lock since apiVersion \"v2\". We recommend migrating to Chart.lock.".to_owned());
            }
            chart.files.extend(is_v1.then_some(file));
        }
        name if name.starts_with("templates/") => chart.templates.push(file),
        name if name.starts_with("charts/") && !has_extension(name, ".prov") => {
            let name = name["charts/".len()..].to_owned();
            let first = name.split('/').next().unwrap_or_default().to_owned();
            subcharts.entry(first).or_default().push(File { name, ..file });
        }
        _ => chart.files.push(file),
    }
    Ok(())
}

fn has_extension(name: &str, extension: &str) -> bool {
    name.rsplit('/').next().is_some_and(|base| base.ends_with(extension))
}

fn load_subchart(
    parent: &Chart,
    name: &str,
    files: Vec<File>,
    warnings: &mut Vec<String>,
    depth: usize,
) -> Result<Chart, LoadError> {
    let chart = parent.name().to_owned();
    let loaded = if has_extension(name, ".tgz") {
        let Some(file) = files.into_iter().next().filter(|file| file.name == name) else {
            return Err(LoadError::ReadSubchartArchive { chart, expected: name.to_owned(), found: String::new() });
        };
        unpack(&file.data).map_err(LoadError::Unpack).and_then(|files| load_below(files, warnings, depth + 1))
    } else {
        let inside = |file: File| {
            let (_, rest) = file.name.split_once('/')?;
            let name = rest.to_owned();
            Some(File { name, ..file })
        };
        load_below(files.into_iter().filter_map(inside).collect(), warnings, depth + 1)
    };
    loaded.map_err(|cause| LoadError::ReadSubchart { name: name.to_owned(), chart, cause: Box::new(cause) })
}

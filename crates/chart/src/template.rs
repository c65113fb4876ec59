//! A chart into manifests, hooks and notes: what `helm template` does, and what every install begins with. It never
//! speaks to a cluster and writes nothing.

use std::collections::BTreeMap;

use crate::chart::Chart;
use crate::dependencies;
use crate::functions::Facts;
use crate::print::quote::quoted;
use crate::release::{self, Hook, Manifest, SortError};
use crate::render::{self, Capabilities, Given, HelmVersion, KubeVersion, RenderError, Source};
use crate::schema::{self, SchemaError};
use crate::value::Value;
use crate::values::{self, CoalesceError, Values};

/// What the notes' file is called.
const NOTES: &str = "NOTES.txt";

/// What Helm 4 takes as served where it asks no cluster.
const KNOWN_VERSIONS: &str = include_str!("known_versions.txt");

/// What a chart is rendered for.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// What the user set.
    pub values: &'r Values,
    /// The release.
    pub release: render::Release,
    /// The cluster.
    pub capabilities: Capabilities,
    /// Custom resource definitions stand among the manifests.
    pub include_crds: bool,
    /// Schemas are not looked at.
    pub skip_schema: bool,
    /// Notes of subcharts count too.
    pub subchart_notes: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Rendered {
    /// The chart with its dependencies settled and its subcharts' values imported.
    pub chart: Chart,
    /// Hooks in order.
    pub hooks: Vec<Hook>,
    /// All else in order.
    pub manifests: Vec<Manifest>,
    /// All else as one text, as a release keeps it.
    pub manifest: String,
    /// What the notes say.
    pub notes: String,
    /// Lines that Helm logs.
    pub warnings: Vec<String>,
}

/// Why a chart gives no manifests; the texts are Helm's.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Values do not fit, before dependencies are settled.
    #[error("chart dependencies processing failed: {0}")]
    SettleDependencies(CoalesceError),
    /// Values do not fit.
    #[error(transparent)]
    Coalesce(CoalesceError),
    /// A schema refuses them.
    #[error(transparent)]
    CheckSchema(SchemaError),
    /// The cluster is of a version that the chart does not want.
    #[error("chart requires kubeVersion: {wanted} which is incompatible with Kubernetes {found}")]
    FitKubernetes {
        /// The constraint.
        wanted: String,
        /// The version.
        found: String,
    },
    /// A template.
    #[error(transparent)]
    Render(RenderError),
    /// A template gave no YAML; what all of them gave is kept.
    #[error("{cause}")]
    Sort {
        /// Why.
        cause: SortError,
        /// All files as one text.
        text: String,
    },
}

/// Renders a chart.
pub fn template(mut chart: Chart, request: Request<'_>, facts: &dyn Facts) -> Result<Rendered, TemplateError> {
    let mut warnings = dependencies::process(&mut chart, request.values).map_err(TemplateError::SettleDependencies)?;
    let coalesced = values::coalesce(&chart, request.values).map_err(TemplateError::Coalesce)?;
    warnings.extend(coalesced.warnings);
    if !request.skip_schema && has_schema(&chart) {
        schema::check(&chart, &values::to_tree(&coalesced.values)).map_err(TemplateError::CheckSchema)?;
    }
    let kube = &request.capabilities.kube;
    let wanted = &chart.metadata.kube_version;
    let found = if kube.normalized.is_empty() { &kube.version } else { &kube.normalized };
    if !wanted.is_empty() && !dependencies::fits(wanted, found) {
        return Err(TemplateError::FitKubernetes { wanted: wanted.clone(), found: kube.version.clone() });
    }
    let given = Given { values: Value::Map(coalesced.values), release: request.release, capabilities: request.capabilities };
    let files = render::render(&source(&chart), &given, facts, render::Options::default()).map_err(TemplateError::Render)?;
    let (notes, files) = part_notes(&chart, files, request.subchart_notes);
    let sorted = release::sort(&files).map_err(|cause| TemplateError::Sort { cause, text: blob(&files) })?;
    for events in &sorted.unknown_events {
        let plain = !events.is_empty() && events.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'=');
        let events = if plain { events.clone() } else { quoted(events.as_bytes()) };
        warnings.push(format!("level=INFO msg=\"skipping unknown hooks\" hookTypes={events}"));
    }
    let mut manifest = String::new();
    if request.include_crds {
        for crd in chart.crds() {
            manifest.push_str(&with_source(&crd.path, &String::from_utf8_lossy(&crd.data)));
        }
    }
    for it in &sorted.manifests {
        manifest.extend(["---\n# Source: ", &it.path, "\n", &it.content, "\n"]);
    }
    Ok(Rendered { chart, hooks: sorted.hooks, manifests: sorted.manifests, manifest, notes, warnings })
}

/// A manifest as it stands in a release's text.
#[must_use]
pub fn with_source(path: &str, content: &str) -> String {
    format!("---\n# Source: {path}\n{content}\n")
}

fn has_schema(chart: &Chart) -> bool {
    chart.schema.is_some() || chart.dependencies.iter().any(has_schema)
}

fn blob(files: &BTreeMap<String, String>) -> String {
    files.iter().filter(|(_, text)| !text.trim().is_empty()).map(|(path, text)| with_source(path, text)).collect()
}

/// Takes the notes out of the files.
fn part_notes(chart: &Chart, files: BTreeMap<String, String>, of_subcharts: bool) -> (String, BTreeMap<String, String>) {
    let own = format!("{}/templates/{NOTES}", chart.name());
    let mut notes = String::new();
    let (found, files): (BTreeMap<_, _>, BTreeMap<_, _>) = files.into_iter().partition(|(path, _)| path.ends_with(NOTES));
    for (path, text) in found {
        if of_subcharts || path == own {
            if !notes.is_empty() {
                notes.push('\n');
            }
            notes.push_str(&text);
        }
    }
    (notes, files)
}

/// A chart as the engine takes it.
#[must_use]
pub fn source(chart: &Chart) -> Source {
    let pairs = |files: &[crate::chart::File]| files.iter().map(|it| (it.name.clone(), it.data.clone())).collect();
    let metadata = serde_json::to_value(&chart.metadata).unwrap_or_default();
    Source {
        name: chart.name().to_owned(),
        metadata: render::metadata(metadata.as_object().unwrap_or(&serde_json::Map::new())),
        library: chart.is_library(),
        files: pairs(&chart.files),
        templates: pairs(&chart.templates),
        dependencies: chart.dependencies.iter().map(source).collect(),
    }
}

/// The cluster that Helm 4 imagines where it asks none.
#[must_use]
pub fn imagined() -> Capabilities {
    Capabilities {
        kube: KubeVersion {
            version: "v1.37.0".to_owned(),
            normalized: "v1.37.0".to_owned(),
            major: "1".to_owned(),
            minor: "37".to_owned(),
        },
        api_versions: KNOWN_VERSIONS.lines().map(str::to_owned).collect(),
        helm: HelmVersion {
            version: "v4.3".to_owned(),
            go_version: "go1.26.8".to_owned(),
            kube_client_version: "v1.37".to_owned(),
            ..HelmVersion::default()
        },
    }
}

/// A version of Kubernetes as users write it; the error is Helm's.
pub fn kube_version(text: &str) -> Result<KubeVersion, String> {
    let plain = text.trim_start().strip_prefix('v').unwrap_or(text.trim_start());
    let core: String = plain.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    // A point that no digit follows belongs to what is ignored.
    let core = core.split("..").next().unwrap_or_default().trim_end_matches('.');
    let parts: Vec<&str> = core.split('.').collect();
    if core.is_empty() || core.starts_with('.') {
        return Err(format!("could not parse {text:?} as version"));
    }
    if parts.len() < 2 {
        return Err(format!("illegal version string {text:?}"));
    }
    if parts[0].starts_with('0') && parts[0] != "0" {
        return Err(format!("illegal zero-prefixed version component {:?} in {text:?}", parts[0]));
    }
    let number = |part: &str| {
        part.parse::<u64>().map_err(|_| {
            let why = format!("strconv.ParseUint: parsing {part:?}: value out of range");
            format!("illegal non-numeric version component {part:?} in {text:?}: {why}")
        })
    };
    let numbers: Vec<String> = parts.iter().map(|part| Ok(number(part)?.to_string())).collect::<Result<_, String>>()?;
    Ok(KubeVersion {
        version: if text.starts_with('v') { text.to_owned() } else { format!("v{text}") },
        normalized: format!("v{}", numbers.join(".")),
        major: numbers[0].clone(),
        minor: numbers[1].clone(),
    })
}

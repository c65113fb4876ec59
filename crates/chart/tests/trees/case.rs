//! One command line of `helm template`: what Helm is asked, and what ours makes of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use chart::chart::{Chart, File};
use chart::functions::Still;
use chart::load::{self, ignore::Rules};
use chart::template::{self, Request, TemplateError, with_source};
use chart::values::{self, SetKind, Values};
use serde::{Deserialize, Serialize};

/// What to render, and how.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Case {
    /// Where paths begin.
    pub folder: PathBuf,
    /// The chart, below.
    pub chart: String,
    /// `-f`.
    pub values: Vec<String>,
    /// `--set`.
    pub set: Vec<String>,
    /// `--set-string`.
    pub set_string: Vec<String>,
    /// `--set-file`.
    pub set_file: Vec<String>,
    /// `--set-json`.
    pub set_json: Vec<String>,
    /// `--set-literal`.
    pub set_literal: Vec<String>,
    /// The release.
    pub name: String,
    /// `-n`.
    pub namespace: String,
    /// `--kube-version`.
    pub kube_version: String,
    /// `-a`.
    pub api_versions: Vec<String>,
    /// `--is-upgrade`.
    pub is_upgrade: bool,
    /// `--include-crds`.
    pub include_crds: bool,
    /// `--skip-schema-validation`.
    pub skip_schema_validation: bool,
    /// `--render-subchart-notes`.
    pub render_subchart_notes: bool,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Outcome {
    manifest: String,
    notes: String,
    error: String,
    said: Vec<String>,
}

impl Outcome {
    /// Helm walks Go's maps where it loads subcharts, and where it tells what a schema refuses.
    fn error_told(&self) -> String {
        if self.error.starts_with("error unpacking subchart") {
            return "a subchart is none".to_owned();
        }
        if !self.error.contains("the specifications of the schema(s)") {
            return self.error.clone();
        }
        let plain = self.error.replace("additional properties ", "\n").replace(" not allowed", "\n").replace(", ", "\n");
        let lines: Vec<&str> = plain.lines().map(str::trim).filter(|line| !line.ends_with("validation failed")).collect();
        in_order(&lines.join("\n"))
    }

    /// Helm walks a Go map where it tells all that was rendered beside an error.
    fn manifest_told(&self) -> String {
        if self.error.is_empty() { self.manifest.clone() } else { in_order(&self.manifest) }
    }

    fn told_well(&self) -> String {
        if self.error.is_empty() { self.said.join("\n") } else { String::new() }
    }

    /// How it differs, if it does, from what is right.
    pub fn differs(&self, right: &Self) -> Option<String> {
        let parts = [
            ("error", &self.error_told(), &right.error_told()),
            ("manifest", &self.manifest_told(), &right.manifest_told()),
            ("notes", &in_order(&self.notes), &in_order(&right.notes)),
            // What is logged before an error comes is not kept.
            ("said", &self.told_well(), &right.told_well()),
        ];
        let (part, ours, theirs) = parts.iter().find(|(_, ours, theirs)| ours != theirs)?;
        let at = ours.split('\n').zip(theirs.split('\n')).take_while(|(ours, theirs)| ours == theirs).count();
        let shown = |text: &str| text.split('\n').skip(at.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n    ");
        Some(format!("  {part}, line {}\n  ours:\n    {}\n  theirs:\n    {}", at + 1, shown(ours), shown(theirs)))
    }
}

fn in_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// Words parted by blanks, but not between quotes.
fn words(line: &str) -> Vec<String> {
    let mut quoted = false;
    let blank = |c: char| {
        quoted ^= c == '\'';
        c.is_whitespace() && !quoted
    };
    line.split(blank).filter(|word| !word.is_empty()).map(|word| word.replace('\'', "")).collect()
}

impl Case {
    /// A chart with nothing said.
    pub fn of(folder: &Path, chart: &str) -> Self {
        let (name, namespace) = ("release-name".to_owned(), "default".to_owned());
        Self { folder: folder.to_owned(), chart: chart.to_owned(), name, namespace, ..Self::default() }
    }

    /// A line of a folder's `cases`.
    pub fn read(folder: &Path, line: &str) -> Self {
        let mut case = Self::of(folder, "chart");
        let mut words = words(line).into_iter();
        while let Some(flag) = words.next() {
            let mut next = || words.next().unwrap_or_else(|| panic!("{flag} wants a value: {line}"));
            match flag.as_str() {
                "-f" => case.values.push(next()),
                "--set" => case.set.push(next()),
                "--set-string" => case.set_string.push(next()),
                "--set-file" => case.set_file.push(next()),
                "--set-json" => case.set_json.push(next()),
                "--set-literal" => case.set_literal.push(next()),
                "--name" => case.name = next(),
                "-n" => case.namespace = next(),
                "--kube-version" => case.kube_version = next(),
                "-a" => case.api_versions.push(next()),
                "--is-upgrade" => case.is_upgrade = true,
                "--include-crds" => case.include_crds = true,
                "--skip-schema-validation" => case.skip_schema_validation = true,
                "--render-subchart-notes" => case.render_subchart_notes = true,
                "--chart" => case.chart = next(),
                _ => panic!("no flag that is known: {flag}"),
            }
        }
        case
    }

    /// What to tell of it: a line that shows the same with `helm template`.
    pub fn told(&self) -> String {
        let of = |flag: &str, given: &[String]| given.iter().map(|text| format!(" {flag} '{text}'")).collect::<String>();
        let on = |flag: &str, on: bool| if on { format!(" {flag}") } else { String::new() };
        [
            format!("cd {} && helm template {} {} -n {}", self.folder.display(), self.name, self.chart, self.namespace),
            of("-f", &self.values),
            of("--set-json", &self.set_json),
            of("--set", &self.set),
            of("--set-string", &self.set_string),
            of("--set-file", &self.set_file),
            of("--set-literal", &self.set_literal),
            of("-a", &self.api_versions),
            if self.kube_version.is_empty() { String::new() } else { format!(" --kube-version {}", self.kube_version) },
            on("--is-upgrade", self.is_upgrade),
            on("--include-crds", self.include_crds),
            on("--skip-schema-validation", self.skip_schema_validation),
        ]
        .concat()
    }

    /// What ours makes of it.
    pub fn ours(&self) -> Outcome {
        self.attempt().unwrap_or_else(|error| Outcome { error, ..Outcome::default() })
    }

    fn attempt(&self) -> Result<Outcome, String> {
        let mut capabilities = template::imagined();
        if !self.kube_version.is_empty() {
            let text = &self.kube_version;
            capabilities.kube = template::kube_version(text).map_err(|why| format!("invalid kube version '{text}': {why}"))?;
        }
        capabilities.api_versions.extend(self.api_versions.iter().cloned());
        let values = self.given()?;
        let path = self.folder.join(&self.chart);
        let loaded = if path.is_dir() {
            load::load(files(&path)?)
        } else {
            load::load_archive(&fs::read(&path).map_err(|error| error.to_string())?)
        };
        let loaded = loaded.map_err(|error| error.to_string())?;
        complete(&loaded.chart)?;
        let release = chart::render::Release {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            revision: 1,
            upgrade: self.is_upgrade,
        };
        let request = Request {
            values: &values,
            release,
            capabilities,
            include_crds: self.include_crds,
            skip_schema: self.skip_schema_validation,
            subchart_notes: self.render_subchart_notes,
        };
        let mut said: BTreeSet<String> = loaded.warnings.into_iter().collect();
        match template::template(loaded.chart, request, &Still) {
            Ok(rendered) => {
                let mut manifest = format!("{}\n", rendered.manifest.trim());
                rendered.hooks.iter().for_each(|hook| manifest.push_str(&with_source(&hook.path, &hook.manifest)));
                said.extend(rendered.warnings);
                Ok(Outcome { manifest, notes: rendered.notes, error: String::new(), said: said.into_iter().collect() })
            }
            Err(error) => {
                let manifest = match &error {
                    TemplateError::Sort { text, .. } => format!("{}\n", text.trim()),
                    TemplateError::Render(_) | TemplateError::FitKubernetes { .. } => "\n".to_owned(),
                    _ => String::new(),
                };
                Ok(Outcome { manifest, error: error.to_string(), said: said.into_iter().collect(), ..Outcome::default() })
            }
        }
    }

    fn given(&self) -> Result<Values, String> {
        let mut all = Values::new();
        for path in &self.values {
            let text = fs::read(self.folder.join(path)).map_err(|error| error.to_string())?;
            let read = values::read(&text).map_err(|why| format!("failed to parse {path}: {why}"))?;
            all = values::merge_maps(all, read);
        }
        for (kind, texts) in [(SetKind::Json, &self.set_json), (SetKind::Typed, &self.set), (SetKind::Text, &self.set_string)] {
            for text in texts {
                values::set(&mut all, kind, text).map_err(|error| error.to_string())?;
            }
        }
        for text in &self.set_file {
            let missing = |path: &str| format!("open {path}: no such file or directory");
            let mut read = |path: &str| fs::read_to_string(self.folder.join(path)).map_err(|_| missing(path));
            values::set_file(&mut all, text, &mut read).map_err(|error| error.to_string())?;
        }
        for text in &self.set_literal {
            values::set(&mut all, SetKind::Literal, text).map_err(|error| error.to_string())?;
        }
        Ok(all)
    }
}

/// Refuses charts whose dependencies are not there.
fn complete(chart: &Chart) -> Result<(), String> {
    let here = |name: &str| chart.dependencies.iter().any(|subchart| subchart.name() == name);
    let wanted = chart.metadata.dependencies.iter().map(|dependency| dependency.name.as_str());
    let missing: Vec<&str> = wanted.filter(|name| !here(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("found in Chart.yaml, but missing in charts/ directory: {}", missing.join(", ")))
}

/// The files of a chart's folder that are not ignored.
fn files(top: &Path) -> Result<Vec<File>, String> {
    let rules =
        Rules::parse(&fs::read_to_string(top.join(".helmignore")).unwrap_or_default()).map_err(|error| error.to_string())?;
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(top.join(&folder)).map_err(|error| error.to_string())?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let is_folder = entry.path().is_dir();
            if rules.ignores(&name, is_folder) {
                continue;
            }
            if is_folder {
                folders.push(name);
                continue;
            }
            let data = fs::read(entry.path()).map_err(|error| error.to_string())?;
            let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&data).to_vec();
            files.push(File { name, data, modified: None });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

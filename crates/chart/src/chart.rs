//! A chart as data: its description, files, default values and subcharts. It never reads itself from anywhere.

mod metadata;
pub(crate) mod parse;

pub use metadata::{Dependency, Lock, Maintainer, Metadata, ValidationError};

use crate::values::Values;

/// A file of a chart.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct File {
    /// Its path inside of the chart, with `/`.
    pub name: String,
    /// Its contents.
    pub data: Vec<u8>,
    /// When it was changed last, in seconds since 1970, where that is known.
    pub modified: Option<i64>,
}

/// A chart with its subcharts.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// All files as they were found.
    pub raw: Vec<File>,
    /// `Chart.yaml`.
    pub metadata: Metadata,
    /// `Chart.lock`.
    pub lock: Option<Lock>,
    /// Below `templates/`.
    pub templates: Vec<File>,
    /// `values.yaml`.
    pub values: Values,
    /// `values.schema.json`.
    pub schema: Option<Vec<u8>>,
    /// What is nothing of the above.
    pub files: Vec<File>,
    /// The charts below `charts/`.
    pub dependencies: Vec<Chart>,
}

/// A file with custom resource definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crd {
    /// Its path inside of its chart.
    pub name: String,
    /// Its path from the root chart.
    pub path: String,
    /// Its contents.
    pub data: Vec<u8>,
}

impl Chart {
    /// The chart's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// Whether it only serves other charts.
    #[must_use]
    pub fn is_library(&self) -> bool {
        self.metadata.kind.eq_ignore_ascii_case("library")
    }

    /// The files of `crds/`, of this chart and then of its subcharts.
    #[must_use]
    pub fn crds(&self) -> Vec<Crd> {
        let mut found = Vec::new();
        self.collect_crds(self.name(), &mut found);
        found
    }

    fn collect_crds(&self, path: &str, found: &mut Vec<Crd>) {
        for file in self.files.iter().filter(|file| is_crd(&file.name)) {
            let data = file.data.clone();
            found.push(Crd { name: file.name.clone(), path: format!("{path}/{}", file.name), data });
        }
        for dependency in &self.dependencies {
            dependency.collect_crds(&format!("{path}/charts/{}", dependency.name()), found);
        }
    }

    /// The file of this name, as it was found.
    #[must_use]
    pub fn raw_file(&self, name: &str) -> Option<&File> {
        self.raw.iter().find(|file| file.name == name)
    }
}

fn is_crd(name: &str) -> bool {
    let manifest =
        name.rsplit_once('.').is_some_and(|(_, ext)| ["yaml", "yml", "json"].iter().any(|known| ext.eq_ignore_ascii_case(known)));
    name.starts_with("crds/") && manifest
}

//! What is wrong or unwise in a chart, in Helm's words. It never looks at a disk.

mod chart_file;
mod templates;

use crate::chart::File;
use crate::functions::Facts;
use crate::load;
use crate::render::KubeVersion;
use crate::schema;
use crate::values::{self, Values};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It could be better.
    Info,
    /// It may not work.
    Warning,
    /// It does not work.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub path: String,
    /// What.
    pub text: String,
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Info => "INFO",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
        };
        write!(f, "[{severity}] {}: {}", self.path, self.text)
    }
}

/// What is linted, and for what.
pub struct Subject<'s> {
    /// The chart's files.
    pub files: &'s [File],
    /// The chart's folder, as messages name it.
    pub folder: &'s str,
    /// What the user set.
    pub values: &'s Values,
    /// Where it would go.
    pub namespace: &'s str,
    /// On which version.
    pub kube: Option<KubeVersion>,
    /// Schemas are not looked at.
    pub skip_schema: bool,
}

struct Linter {
    messages: Vec<Message>,
}

impl Linter {
    /// Notes a finding; true where there is none.
    fn rule(&mut self, severity: Severity, path: &str, found: Result<(), String>) -> bool {
        let Err(text) = found else { return true };
        self.messages.push(Message { severity, path: path.to_owned(), text });
        false
    }
}

/// Lints a chart.
pub fn lint(subject: &Subject<'_>, facts: &dyn Facts) -> Vec<Message> {
    let mut linter = Linter { messages: Vec::new() };
    chart_file::lint(&mut linter, subject);
    lint_values(&mut linter, subject);
    templates::lint(&mut linter, subject, facts);
    lint_dependencies(&mut linter, subject);
    lint_crds(&mut linter, subject);
    linter.messages
}

fn file<'s>(subject: &'s Subject<'_>, name: &str) -> Option<&'s File> {
    subject.files.iter().find(|file| file.name == name)
}

fn lint_values(linter: &mut Linter, subject: &Subject<'_>) {
    let found = file(subject, "values.yaml").ok_or_else(|| "file does not exist".to_owned());
    let Ok(values) = found else {
        linter.rule(Severity::Info, "values.yaml", found.map(|_| ()));
        return;
    };
    let checked = crate::yaml::read_object(&values.data, "common.Values")
        .map_err(|error| format!("unable to parse YAML: {error}"))
        .and_then(|map| {
            let map = values::with_floats(map);
            let over = values::coalesce_tables(&Values::new(), subject.values);
            let all = values::coalesce_tables(&over, &map);
            match file(subject, "values.schema.json").filter(|_| !subject.skip_schema) {
                Some(schema) if !schema.data.is_empty() => schema::check_table(&schema.data, &all),
                _ => Ok(()),
            }
        });
    linter.rule(Severity::Error, "values.yaml", checked);
}

fn lint_dependencies(linter: &mut Linter, subject: &Subject<'_>) {
    let loaded = load::load(subject.files.to_vec());
    let chart = match loaded {
        Ok(loaded) => loaded.chart,
        Err(error) => {
            linter.rule(Severity::Error, "", Err(format!("unable to load chart\n\t{error}")));
            return;
        }
    };
    let asked: Vec<&str> = chart.metadata.dependencies.iter().map(|it| it.name.as_str()).collect();
    let here: Vec<&str> = chart.dependencies.iter().map(|it| it.name()).collect();
    let lacking = |from: &[&str], of: &[&str], what: &str| {
        let missing: Vec<&str> = from.iter().copied().filter(|name| !of.contains(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{what}: {}", missing.join(","))) }
    };
    let unasked = lacking(&here, &asked, "chart metadata is missing these dependencies");
    linter.rule(Severity::Error, subject.folder, unasked);
    let absent = lacking(&asked, &here, "chart directory is missing these dependencies");
    linter.rule(Severity::Warning, subject.folder, absent);
}

fn lint_crds(linter: &mut Linter, subject: &Subject<'_>) {
    if !subject.files.iter().any(|file| file.name.starts_with("crds/")) {
        return;
    }
    let chart = match load::load(subject.files.to_vec()) {
        Ok(loaded) => loaded.chart,
        Err(error) => {
            linter.rule(Severity::Error, "crds/", Err(error.to_string()));
            return;
        }
    };
    for crd in chart.crds() {
        for document in templates::documents(&String::from_utf8_lossy(&crd.data)) {
            let head = match templates::Head::read(&document) {
                Ok(Some(head)) => head,
                Ok(None) => continue,
                Err(error) => {
                    linter.rule(Severity::Error, &crd.name, Err(format!("unable to parse YAML: {error}")));
                    return;
                }
            };
            if !head.api_version.starts_with("apiextensions.k8s.io") {
                let text = "apiVersion is not in 'apiextensions.k8s.io'".to_owned();
                linter.rule(Severity::Error, &crd.name, Err(text));
            }
            if head.kind != "CustomResourceDefinition" {
                let text = "object kind is not 'CustomResourceDefinition'".to_owned();
                linter.rule(Severity::Error, &crd.name, Err(text));
            }
        }
    }
}

//! A chart and its values into manifests: Helm's engine.
//!
//! Pure: charts come as data, the world as [`Facts`]. Values must be coalesced already; loading and coalescing live elsewhere.

mod capabilities;
mod files;
mod glob;
mod layout;
mod values;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

pub use capabilities::{Capabilities, HelmVersion, KubeVersion};
pub use files::FILES;
pub use values::VALUES;

use crate::eval::{Machine, Scope};
use crate::functions::Facts;
use crate::parse;
use crate::value::{Map, Str, Value, lossy};

/// A chart, as far as rendering looks at it.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Its name, or the alias under which its parent has it.
    pub name: String,
    /// `Chart.yaml` as `.Chart` shows it, keys spelled as Go's fields; see [`metadata`].
    pub metadata: Map,
    /// Whether it is a library, of which only partials are read.
    pub library: bool,
    /// Files that are neither templates nor charts, by path.
    pub files: Vec<(String, Vec<u8>)>,
    /// Templates by path within the chart.
    pub templates: Vec<(String, Vec<u8>)>,
    /// The charts below it.
    pub dependencies: Vec<Self>,
}

/// What templates are told besides the chart.
#[derive(Debug, Clone)]
pub struct Given {
    /// The coalesced values of the root chart.
    pub values: Value,
    /// The release.
    pub release: Release,
    /// The cluster.
    pub capabilities: Capabilities,
}

/// `.Release`.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Where it goes.
    pub namespace: String,
    /// Which one of this name it is, counted from one.
    pub revision: i64,
    /// Whether it replaces an earlier one.
    pub upgrade: bool,
}

/// How to render.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A value that is missing is an error.
    pub strict: bool,
    /// `required` and `fail` let pass.
    pub lint: bool,
    /// How many steps all templates may take together; no bound where nothing is said.
    pub steps: Option<u64>,
}

/// Why a chart does not render, as Helm words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A file is no template.
    #[error("{0}")]
    Parse(String),
    /// A template failed.
    #[error("{0}")]
    Execute(String),
}

struct Template {
    text: Rc<[u8]>,
    scope: Map,
    base_path: String,
}

/// Renders all templates of a chart and the charts below it. Partials are read but give no file.
pub fn render(
    chart: &Source,
    given: &Given,
    facts: &dyn Facts,
    options: Options,
) -> Result<BTreeMap<String, String>, RenderError> {
    let mut templates = HashMap::new();
    let mut scopes = Vec::new();
    let top: Map = [
        ("Release", Value::Map(given.release.to_map())),
        ("Capabilities", Value::object(given.capabilities.clone())),
        ("Values", values::typed(&given.values)),
    ]
    .into_iter()
    .map(|(key, value)| (Str::from(key), value))
    .collect();
    collect(chart, None, &top, &mut templates, &mut scopes);
    let done = run(&templates, facts, options);
    // Scopes know their subcharts and may have been put into values, so they are taken apart, or nothing would be freed.
    for scope in scopes {
        scope.keys().iter().for_each(|key| drop(scope.remove(key)));
    }
    done
}

fn run(
    templates: &HashMap<String, Template>,
    facts: &dyn Facts,
    options: Options,
) -> Result<BTreeMap<String, String>, RenderError> {
    let mut paths: Vec<&String> = templates.keys().collect();
    // The nearer to the root, the later it is read, and the last definition of a name holds.
    paths.sort_by_key(|path| (std::cmp::Reverse(path.matches('/').count()), std::cmp::Reverse(*path)));
    let mut scope = Scope::default();
    for path in &paths {
        let trees = parse::parse(&Str::from(path.as_str()), &templates[*path].text)
            .map_err(|error| RenderError::Parse(layout::parse_error(path, &error.to_string())))?;
        trees.into_iter().for_each(|tree| scope.add(tree));
    }
    let mut machine = Machine::new(facts, scope, options);
    let mut rendered = BTreeMap::new();
    for path in paths {
        if path.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        let template = &templates[path];
        let about: Map = [("Name", path.as_str()), ("BasePath", template.base_path.as_str())]
            .into_iter()
            .map(|(key, value)| (Str::from(key), Value::string(value)))
            .collect();
        template.scope.insert("Template", Value::Map(about.retyped(VALUES)));
        let text = machine
            .render(&Str::from(path.as_str()), Value::Map(template.scope.retyped(VALUES)))
            .map_err(|failure| RenderError::Execute(layout::execution_error(path, &failure)))?;
        rendered.insert(path.clone(), String::from_utf8(text).unwrap_or_else(|error| lossy(error.as_bytes()).into_owned()));
    }
    Ok(rendered)
}

/// Puts a chart's templates under their paths, with what its templates see as their dot.
fn collect(
    chart: &Source,
    parent: Option<&str>,
    around: &Map,
    templates: &mut HashMap<String, Template>,
    scopes: &mut Vec<Map>,
) -> Map {
    let metadata = chart.metadata.shallow(chart.metadata.go_type());
    metadata.insert("IsRoot", Value::Bool(parent.is_none()));
    let subcharts = Map::any();
    let scope: Map = [
        ("Chart", Value::Map(metadata)),
        ("Files", Value::Map(files::map(&chart.files))),
        ("Release", around.get("Release").unwrap_or_default()),
        ("Capabilities", around.get("Capabilities").unwrap_or_default()),
        ("Values", values::scoped(around, parent.map(|_| chart.name.as_str()))),
        ("Subcharts", Value::Map(subcharts.clone())),
    ]
    .into_iter()
    .map(|(key, value)| (Str::from(key), value))
    .collect();
    scopes.push(scope.clone());
    let path = parent.map_or_else(|| chart.name.clone(), |parent| format!("{parent}/charts/{}", chart.name));
    for child in &chart.dependencies {
        let inner = collect(child, Some(&path), &scope, templates, scopes);
        subcharts.insert(child.name.as_str(), Value::Map(inner));
    }
    for (name, text) in &chart.templates {
        if chart.library && !name.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        let template = Template { text: Rc::from(text.as_slice()), scope: scope.clone(), base_path: joined(&path, "templates") };
        templates.insert(joined(&path, name), template);
    }
    scope
}

/// `path.Join` of two paths that are not empty.
fn joined(one: &str, two: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = one.starts_with('/');
    for part in one.split('/').chain(two.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    format!("{}{}", if rooted { "/" } else { "" }, parts.join("/"))
}

impl Release {
    fn to_map(&self) -> Map {
        [
            ("Name", Value::string(self.name.as_str())),
            ("Namespace", Value::string(self.namespace.as_str())),
            ("Revision", Value::int(self.revision)),
            ("IsUpgrade", Value::Bool(self.upgrade)),
            ("IsInstall", Value::Bool(!self.upgrade)),
            ("Service", Value::string("Helm")),
        ]
        .into_iter()
        .map(|(key, value)| (Str::from(key), value))
        .collect()
    }
}

/// `Chart.yaml` as `.Chart` shows it: every field is there, and lists are lists of maps.
pub fn metadata(chart: &serde_json::Map<String, serde_json::Value>) -> Map {
    let fields = |from: &serde_json::Map<String, serde_json::Value>, names: &[(&str, &str, &str)]| -> Map {
        names.iter().map(|(go, json, kind)| (Str::from(*go), field(from.get(*json), kind))).collect()
    };
    let nested = |key: &str, names: &[(&str, &str, &str)]| {
        let items = chart.get(key).and_then(serde_json::Value::as_array).map_or(&[][..], Vec::as_slice);
        Value::list(items.iter().filter_map(serde_json::Value::as_object).map(|item| Value::Map(fields(item, names))).collect())
    };
    let map = fields(chart, CHART_FIELDS);
    map.insert("Maintainers", nested("maintainers", MAINTAINER_FIELDS));
    map.insert("Dependencies", nested("dependencies", DEPENDENCY_FIELDS));
    map
}

const CHART_FIELDS: &[(&str, &str, &str)] = &[
    ("Name", "name", "string"),
    ("Home", "home", "string"),
    ("Sources", "sources", "list"),
    ("Version", "version", "string"),
    ("Description", "description", "string"),
    ("Keywords", "keywords", "list"),
    ("Icon", "icon", "string"),
    ("APIVersion", "apiVersion", "string"),
    ("Condition", "condition", "string"),
    ("Tags", "tags", "string"),
    ("AppVersion", "appVersion", "string"),
    ("Deprecated", "deprecated", "bool"),
    ("Annotations", "annotations", "strings"),
    ("KubeVersion", "kubeVersion", "string"),
    ("Type", "type", "string"),
];

const MAINTAINER_FIELDS: &[(&str, &str, &str)] =
    &[("Name", "name", "string"), ("Email", "email", "string"), ("URL", "url", "string")];

const DEPENDENCY_FIELDS: &[(&str, &str, &str)] = &[
    ("Name", "name", "string"),
    ("Version", "version", "string"),
    ("Repository", "repository", "string"),
    ("Condition", "condition", "string"),
    ("Tags", "tags", "list"),
    ("Enabled", "enabled", "bool"),
    ("ImportValues", "import-values", "list"),
    ("Alias", "alias", "string"),
];

fn field(json: Option<&serde_json::Value>, kind: &str) -> Value {
    use crate::value::Type;
    const STRING_MAP: Type = Type::Map(&Type::String);
    match (kind, json) {
        ("bool", json) => Value::Bool(json.and_then(serde_json::Value::as_bool).unwrap_or_default()),
        ("list", Some(json @ serde_json::Value::Array(_))) => Value::from_json(json),
        ("list", _) => Value::list(Vec::new()),
        ("strings", Some(json @ serde_json::Value::Object(_))) => match Value::from_json(json) {
            Value::Map(map) => Value::Map(map.retyped(STRING_MAP)),
            other => other,
        },
        ("strings", _) => Value::Map(Map::nil(STRING_MAP)),
        (_, json) => Value::string(json.and_then(serde_json::Value::as_str).unwrap_or_default()),
    }
}

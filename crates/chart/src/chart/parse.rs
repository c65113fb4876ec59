//! From YAML to a chart's description, as Go decodes into its structs: numbers become text where text is wanted, keys
//! match in any case, other kinds are refused. It never validates.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Dependency, Lock, Maintainer, Metadata};
use crate::yaml::{self, ReadError, float_key};

/// A table and where it stands, for errors.
struct Fields<'f> {
    map: &'f Map<String, Json>,
    path: &'f str,
}

type Parse<T> = Result<T, ReadError>;

/// The kind of a value as Go's errors name it.
pub(crate) fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn refuse<T>(value: &Json, place: &str, wanted: &str) -> Parse<T> {
    let kind = kind_of(value);
    Err(ReadError::Unmarshal(format!("json: cannot unmarshal {kind} into Go {place} of type {wanted}")))
}

fn text(value: &Json, place: &str) -> Parse<String> {
    match value {
        Json::Null => Ok(String::new()),
        Json::String(text) => Ok(text.clone()),
        Json::Bool(value) => Ok(value.to_string()),
        Json::Number(number) if number.is_f64() => Ok(float_key(number.as_f64().unwrap_or_default())),
        Json::Number(number) => Ok(number.to_string()),
        other => refuse(other, place, "string"),
    }
}

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<&Json> {
        let exact = self.map.get(name);
        exact.or_else(|| self.map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
    }

    fn place(&self, name: &str) -> String {
        format!("struct field {}.{name}", self.path)
    }

    fn text(&self, name: &str) -> Parse<String> {
        self.get(name).map_or_else(|| Ok(String::new()), |value| text(value, &self.place(name)))
    }

    fn flag(&self, name: &str) -> Parse<bool> {
        match self.get(name) {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(other) => refuse(other, &self.place(name), "bool"),
        }
    }

    fn list(&self, name: &str, wanted: &str) -> Parse<&[Json]> {
        match self.get(name) {
            None | Some(Json::Null) => Ok(&[]),
            Some(Json::Array(items)) => Ok(items),
            Some(other) => refuse(other, &self.place(name), wanted),
        }
    }

    fn texts(&self, name: &str) -> Parse<Vec<String>> {
        self.list(name, "[]string")?.iter().map(|item| text(item, &self.place(name))).collect()
    }

    fn text_map(&self, name: &str) -> Parse<BTreeMap<String, String>> {
        match self.get(name) {
            None | Some(Json::Null) => Ok(BTreeMap::new()),
            Some(Json::Object(map)) => {
                let entry = |(key, value): (&String, &Json)| Ok((key.clone(), text(value, &self.place(name))?));
                map.iter().map(entry).collect()
            }
            Some(other) => refuse(other, &self.place(name), "map[string]string"),
        }
    }
}

fn dependency(value: &Json, path: &str) -> Parse<Option<Dependency>> {
    let map = match value {
        Json::Null => return Ok(None),
        Json::Object(map) => map,
        other => return refuse(other, &format!("struct field {path}"), "v2.Dependency"),
    };
    let fields = Fields { map, path };
    Ok(Some(Dependency {
        name: fields.text("name")?,
        version: fields.text("version")?,
        repository: fields.text("repository")?,
        condition: fields.text("condition")?,
        tags: fields.texts("tags")?,
        enabled: fields.flag("enabled")?,
        import_values: fields.list("import-values", "[]interface {}")?.to_vec(),
        alias: fields.text("alias")?,
    }))
}

fn maintainer(value: &Json) -> Parse<Option<Maintainer>> {
    let map = match value {
        Json::Null => return Ok(None),
        Json::Object(map) => map,
        other => return refuse(other, "struct field Metadata.maintainers", "v2.Maintainer"),
    };
    let fields = Fields { map, path: "Metadata.maintainers" };
    Ok(Some(Maintainer { name: fields.text("name")?, email: fields.text("email")?, url: fields.text("url")? }))
}

impl Metadata {
    /// Reads a `Chart.yaml`.
    pub fn parse(yaml: &[u8]) -> Result<Self, ReadError> {
        let mut metadata = Self::default();
        let map = yaml::read_object(yaml, "v2.Metadata")?;
        let fields = Fields { map: &map, path: "Metadata" };
        metadata.name = fields.text("name")?;
        metadata.home = fields.text("home")?;
        metadata.sources = fields.texts("sources")?;
        metadata.version = fields.text("version")?;
        metadata.description = fields.text("description")?;
        metadata.keywords = fields.texts("keywords")?;
        for value in fields.list("maintainers", "[]*v2.Maintainer")? {
            match maintainer(value)? {
                Some(maintainer) => metadata.maintainers.push(maintainer),
                None => metadata.empty_maintainer = true,
            }
        }
        metadata.icon = fields.text("icon")?;
        metadata.api_version = fields.text("apiVersion")?;
        metadata.condition = fields.text("condition")?;
        metadata.tags = fields.text("tags")?;
        metadata.app_version = fields.text("appVersion")?;
        metadata.deprecated = fields.flag("deprecated")?;
        metadata.annotations = fields.text_map("annotations")?;
        metadata.kube_version = fields.text("kubeVersion")?;
        metadata.kind = fields.text("type")?;
        metadata.read_dependencies(&fields)?;
        Ok(metadata)
    }

    /// Reads a `requirements.yaml` into a description that is there.
    pub fn parse_requirements(&mut self, yaml: &[u8]) -> Result<(), ReadError> {
        let map = yaml::read_object(yaml, "v2.Metadata")?;
        self.read_dependencies(&Fields { map: &map, path: "Metadata" })
    }

    fn read_dependencies(&mut self, fields: &Fields<'_>) -> Result<(), ReadError> {
        if fields.get("dependencies").is_none() {
            return Ok(());
        }
        self.dependencies.clear();
        for value in fields.list("dependencies", "[]*v2.Dependency")? {
            match dependency(value, "Metadata.dependencies")? {
                Some(dependency) => self.dependencies.push(dependency),
                None => self.empty_dependency = true,
            }
        }
        Ok(())
    }

    /// As `Chart.yaml` is written.
    pub fn to_yaml(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        yaml::to_yaml(&json).unwrap_or_default()
    }
}

impl Lock {
    /// Reads a `Chart.lock`.
    pub fn parse(yaml: &[u8]) -> Result<Self, ReadError> {
        let map = yaml::read_object(yaml, "v2.Lock")?;
        let fields = Fields { map: &map, path: "Lock" };
        let mut lock = Self { generated: fields.text("generated")?, digest: fields.text("digest")?, dependencies: Vec::new() };
        for value in fields.list("dependencies", "[]*v2.Dependency")? {
            lock.dependencies.extend(dependency(value, "Lock.dependencies")?);
        }
        Ok(lock)
    }

    /// As `Chart.lock` is written.
    pub fn to_yaml(&self) -> String {
        let json = serde_json::to_value(self).unwrap_or_default();
        yaml::to_yaml(&json).unwrap_or_default()
    }
}

//! A kind is a row: everything about a resource that is data, and the table of all rows.
//!
//! Built-in rows stand in `kinds/<group>.rs`; custom ones come from a CustomResourceDefinition. Never knows objects that are stored.

mod custom;
mod life;
mod table;
#[cfg(test)]
mod tests;

pub use custom::CustomKindError;
pub use table::{Group, KINDS, KindTable};

use crate::document::Value;
use crate::rules::{NoRules, Rules};
use crate::schema::{self, Schema};
use jiff::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;

/// A text that is static in built-in rows and owned in custom ones.
pub type Text = Cow<'static, str>;

/// Where objects live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// When `metadata.generation` goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// It is not kept.
    Never,
    /// When `spec` changes, and when a deletion begins.
    Spec,
    /// When anything but `metadata` and `status` changes.
    Content,
    /// When anything but `metadata` changes.
    Everything,
}

/// What happens to dependents when a deletion does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The garbage collector removes them later.
    Background,
    /// They stay and lose their owner.
    Orphan,
}

/// Turns a document of one version into another one's.
pub trait Convert: Send + Sync {
    /// From this version into the stored one.
    fn to_stored(&self, object: &mut Value);
    /// From the stored version into this one.
    fn to_served(&self, object: &mut Value);
}

/// One version of a kind.
#[derive(Clone)]
pub struct Version {
    /// The name, such as `v1`.
    pub name: Text,
    /// Whether requests may use it.
    pub served: bool,
    /// Whether objects are kept in it.
    pub storage: bool,
    /// The warning that every use gets, if it is deprecated.
    pub deprecated: Option<Text>,
    /// How it becomes the stored version; `None` changes nothing but `apiVersion`.
    pub convert: Option<&'static dyn Convert>,
    /// The definition of a built-in kind, such as `io.k8s.api.core.v1.Pod`; empty for custom kinds.
    pub definition: &'static str,
    /// The schema of a custom kind.
    pub custom_schema: Option<Arc<Schema>>,
    /// The schema of a custom kind as its author wrote it, for OpenAPI.
    pub custom_openapi: Option<Arc<Value>>,
    /// The columns of a table; the first is the name.
    pub printer_columns: Arc<[Column]>,
    /// Fields by which lists and watches can be narrowed, beside `metadata.name` and `metadata.namespace`.
    pub selectable_fields: Arc<[SelectableField]>,
    /// The subresources that this version serves.
    pub subresources: Arc<[Subresource]>,
}

impl Version {
    /// The schema.
    pub fn schema(&self) -> Option<&Schema> {
        match &self.custom_schema {
            Some(schema) => Some(schema),
            None => schema::named(self.definition),
        }
    }

    /// A subresource by its name.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }
}

/// What a subresource is, so that the server knows what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubresourceKind {
    /// `status`: the object itself; only status and some metadata may change.
    Status,
    /// `scale`: an `autoscaling/v1` Scale made of these fields.
    Scale(ScalePaths),
    /// The object itself, of which only these top-level fields may change (`finalize`, `approval`, `resize`, `ephemeralcontainers`).
    Fields,
    /// Something that the server does: `binding`, `eviction`, `token`, `log`, `exec`, `attach`, `portforward`, `proxy`.
    Action,
}

/// Where a scale finds its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScalePaths {
    /// The wanted number, such as `spec.replicas`.
    pub spec_replicas: Vec<String>,
    /// The present number, such as `status.replicas`.
    pub status_replicas: Vec<String>,
    /// The selector: a text in custom kinds, a selector object or map in built-in ones.
    pub label_selector: Option<Vec<String>>,
}

/// A subresource of a kind.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// The last part of the path.
    pub name: Text,
    /// What it is.
    pub kind: SubresourceKind,
    /// The verbs, as discovery lists them.
    pub verbs: &'static [&'static str],
    /// The kind that is sent and answered, where it is not the parent's: group, version, kind.
    pub body: Option<(&'static str, &'static str, &'static str)>,
}

/// A field by which lists can be narrowed.
#[derive(Clone, Debug)]
pub struct SelectableField {
    /// The name in a selector, such as `spec.nodeName`.
    pub name: Text,
    /// Where it stands in the stored version.
    pub path: Vec<Text>,
    /// Where it stands when it is not there; empty when nowhere else.
    pub otherwise: Vec<Text>,
    /// What counts when it is not there.
    pub default: &'static str,
}

impl SelectableField {
    /// The value as a selector compares it.
    pub fn value<'v>(&self, object: &'v Value) -> Cow<'v, str> {
        let at = |path: &[Text]| path.iter().try_fold(object, |value, name| value.field(name));
        let found = at(&self.path).filter(|value| !value.is_null() && value.as_str() != Some(""));
        match found.or_else(|| at(&self.otherwise)) {
            Some(Value::String(text)) if !text.is_empty() => Cow::Borrowed(text),
            Some(Value::Bool(flag)) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Some(Value::Int(number)) => Cow::Owned(number.to_string()),
            _ => Cow::Borrowed(self.default),
        }
    }
}

/// How a cell is made.
#[derive(Clone)]
pub enum Cell {
    /// By a function of the object and the time.
    Function(fn(&Value, Timestamp) -> Value),
    /// By a JSON path of a CustomResourceDefinition.
    Path(Arc<crate::kinds::JsonPath>),
}

/// A column of a table.
#[derive(Clone)]
pub struct Column {
    /// The heading.
    pub name: Text,
    /// `string`, `integer`, `date`, …
    pub kind: Text,
    /// The format; `name` marks the name's column.
    pub format: Text,
    /// For humans.
    pub description: Text,
    /// 0 is always shown, more only in wide output.
    pub priority: i32,
    /// How a cell is made.
    pub cell: Cell,
}

impl Column {
    /// The cell of an object in this version. `now` is for ages.
    pub fn value(&self, object: &Value, now: Timestamp) -> Value {
        match &self.cell {
            Cell::Function(cell) => cell(object, now),
            Cell::Path(path) => path.cell(object, &self.kind, now),
        }
    }
}

/// What stored objects share when several resources serve them (the two Events).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAs {
    /// The group whose storage is used.
    pub group: &'static str,
    /// The plural there.
    pub plural: &'static str,
    /// The `apiVersion` of stored objects.
    pub api_version: &'static str,
}

/// A resource: all that the server knows about a kind.
#[derive(Clone)]
pub struct Kind {
    /// The group; empty for core.
    pub group: Text,
    /// The kind, such as `Pod`.
    pub kind: Text,
    /// The kind of its lists.
    pub list_kind: Text,
    /// The name in paths.
    pub plural: Text,
    /// The name of one.
    pub singular: Text,
    /// Short names for users.
    pub short_names: Vec<Text>,
    /// Groups of resources for users, such as `all`.
    pub categories: Vec<Text>,
    /// Where objects live.
    pub scope: Scope,
    /// The versions, the preferred one first.
    pub versions: Vec<Version>,
    /// The verbs of the resource itself, sorted.
    pub verbs: &'static [&'static str],
    /// Where objects are kept, if another resource's place.
    pub stored_as: Option<StoredAs>,
    /// Whether objects are kept at all; reviews are answered and forgotten.
    pub stored: bool,
    /// Whether PUT on a missing name creates.
    pub create_on_update: bool,
    /// Whether PUT without a resourceVersion is allowed.
    pub unconditional_update: bool,
    /// When the generation goes up.
    pub generation_on: Generation,
    /// What happens to dependents by default.
    pub propagation: Propagation,
    /// Whether a deletion waits for a grace period (pods).
    pub graceful_deletion: bool,
    /// How names are checked: what is wrong with one.
    pub name_rule: fn(&str) -> Vec<String>,
    /// Whether it comes from a CustomResourceDefinition.
    pub custom: bool,
    /// The webhook that turns objects of one version into another, if they differ in more than their name.
    pub conversion: Option<Arc<Value>>,
    /// The revision of the store in which that definition was last written.
    pub defined_at: u64,
    /// The revision in which its schemas became what they are: objects that were written later are pruned by them already.
    pub schemas_since: u64,
    /// Whether that definition is being deleted, so that nothing new may come.
    pub terminating: bool,
    /// The rules that are no data.
    pub rules: &'static dyn Rules,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kind({})", crate::status::qualified(&self.group, &self.plural))
    }
}

impl Kind {
    /// A version by name, served or not.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The version in which objects are kept.
    pub fn storage_version(&self) -> &Version {
        self.versions.iter().find(|version| version.storage).unwrap_or(&self.versions[0])
    }

    /// The `apiVersion` of stored objects.
    pub fn storage_api_version(&self) -> String {
        match self.stored_as {
            Some(place) => place.api_version.to_owned(),
            None => crate::document::meta::join_api_version(&self.group, &self.storage_version().name),
        }
    }

    /// Group and plural under which objects are kept.
    pub fn storage_place(&self) -> (&str, &str) {
        self.stored_as.map_or((&*self.group, &*self.plural), |place| (place.group, place.plural))
    }

    /// Whether objects live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Whether the resource has this verb.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// The resource as error texts and RBAC name it: `deployments.apps`.
    pub fn qualified(&self) -> String {
        crate::status::qualified(&self.group, &self.plural)
    }

    /// A kind out of a CustomResourceDefinition (v1).
    ///
    /// # Errors
    /// What the definition breaks.
    pub fn from_crd(definition: &Value) -> Result<Self, Vec<crate::status::FieldError>> {
        custom::from_crd(definition)
    }
}

/// A row of the table with what most kinds share; `kinds/*.rs` build theirs from it.
impl Default for Kind {
    fn default() -> Self {
        Self {
            group: Text::Borrowed(""),
            kind: Text::Borrowed(""),
            list_kind: Text::Borrowed(""),
            plural: Text::Borrowed(""),
            singular: Text::Borrowed(""),
            short_names: Vec::new(),
            categories: Vec::new(),
            scope: Scope::Namespaced,
            versions: Vec::new(),
            verbs: ALL_VERBS,
            stored_as: None,
            stored: true,
            create_on_update: false,
            unconditional_update: true,
            generation_on: Generation::Never,
            propagation: Propagation::Background,
            graceful_deletion: false,
            name_rule: crate::rules::names::dns_subdomain,
            custom: false,
            conversion: None,
            defined_at: 0,
            schemas_since: 0,
            terminating: false,
            rules: &NoRules,
        }
    }
}

/// The verbs of an ordinary resource.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// The verbs of a resource whose collections cannot be deleted.
pub const NO_COLLECTION_DELETE: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
/// The verbs of a review.
pub const CREATE_ONLY: &[&str] = &["create"];

pub use crate::kinds::JsonPath;

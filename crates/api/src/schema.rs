//! What is known about the fields of a kind: one type for built-in kinds (from a table in the repository) and for custom ones.
//!
//! Built-in schemas are parsed the first time that somebody asks for them and shared from then on. Never holds an object.

mod check;
mod decode;
mod default;
mod facts;
mod prune;
pub mod structural;
#[cfg(test)]
mod tests;
mod unknown;

pub use check::validate;
pub use decode::{DecodeError, decode};
pub use default::{default, has_defaults};
pub(crate) use facts::interned;
pub use facts::{Description, named, names};
pub use prune::prune;
pub use unknown::unknown_fields;

use crate::document::Value;
use indexmap::IndexMap;
use std::sync::Arc;

/// The JSON type of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Type {
    /// Anything.
    #[default]
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A text.
    String,
    /// A list.
    Array,
    /// An object.
    Object,
    /// An integer or a text.
    IntOrString,
}

/// How the items of a list are told apart by server-side apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// The list is one value.
    #[default]
    Atomic,
    /// Each item is its own key.
    Set,
    /// These fields of an item are its key.
    Map(Vec<Arc<str>>),
}

/// How strategic merge patch treats a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// `merge`: items of the list are merged by the key, or as a set without one.
    pub merge: bool,
    /// `retainKeys`: a patch names the fields that stay.
    pub retain_keys: bool,
    /// `replace`: the value is one.
    pub replace: bool,
    /// The field that tells items apart.
    pub merge_key: Option<Arc<str>>,
}

/// What a custom kind's schema says beyond structure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Allowed values.
    pub enumeration: Option<Vec<Value>>,
    /// A regular expression for texts.
    pub pattern: Option<Arc<str>>,
    /// Lower bound.
    pub minimum: Option<f64>,
    /// Whether the lower bound itself is out.
    pub exclusive_minimum: bool,
    /// Upper bound.
    pub maximum: Option<f64>,
    /// Whether the upper bound itself is out.
    pub exclusive_maximum: bool,
    /// The number must be a multiple.
    pub multiple_of: Option<f64>,
    /// Fewest characters.
    pub min_length: Option<usize>,
    /// Most characters.
    pub max_length: Option<usize>,
    /// Fewest items.
    pub min_items: Option<usize>,
    /// Most items.
    pub max_items: Option<usize>,
    /// Items must differ.
    pub unique_items: bool,
    /// Fewest fields.
    pub min_properties: Option<usize>,
    /// Most fields.
    pub max_properties: Option<usize>,
    /// All must hold.
    pub all_of: Vec<Arc<Schema>>,
    /// At least one must hold.
    pub any_of: Vec<Arc<Schema>>,
    /// Exactly one must hold.
    pub one_of: Vec<Arc<Schema>>,
    /// Must not hold.
    pub not: Option<Arc<Schema>>,
    /// CEL rules as written (`x-kubernetes-validations`), kept for later.
    pub validations: Option<Value>,
}

/// One node of a schema. Read `properties`, `items` and the type through the methods, which follow references.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// The definition's name where this node is one, such as `io.k8s.api.core.v1.PodSpec`.
    pub name: Option<Arc<str>>,
    /// The definition that this node refers to.
    pub reference: Option<&'static str>,
    /// The JSON type.
    pub kind: Type,
    /// The format, such as `int32`, `date-time`, `byte`, `quantity`.
    pub format: Option<Arc<str>>,
    /// For humans; empty for built-in kinds (see [`Description`]).
    pub description: Option<Arc<str>>,
    /// Whether null is a value.
    pub nullable: bool,
    /// The fields by name.
    pub properties: IndexMap<Arc<str>, Schema>,
    /// The schema of fields that `properties` does not name, which makes the object a map.
    pub additional: Option<Arc<Schema>>,
    /// The schema of a list's items.
    pub items: Option<Arc<Schema>>,
    /// Fields that must be given.
    pub required: Vec<Arc<str>>,
    /// The value of a field that is not given.
    pub default: Option<Value>,
    /// How a list's items are told apart.
    pub list: ListType,
    /// Whether an object is one value for server-side apply.
    pub atomic: bool,
    /// How strategic merge patch treats the field.
    pub patch: PatchStrategy,
    /// Whether unknown fields are kept.
    pub preserve_unknown: bool,
    /// Whether an object that names no fields has none, as in custom kinds; in built-in ones it may have any.
    pub closed: bool,
    /// Whether this is a whole object with `apiVersion`, `kind` and `metadata`.
    pub embedded: bool,
    /// What a custom kind says beyond structure.
    pub limits: Option<Box<Limits>>,
    /// Whether there are CEL rules here or below; kept for the whole schema alone.
    pub has_rules: bool,
}

impl Schema {
    /// The definition behind a reference, or the node itself.
    pub fn target(&self) -> &Schema {
        self.reference.and_then(named).unwrap_or(self)
    }

    /// The schema of one field: named, or of the map.
    pub fn property(&self, name: &str) -> Option<&Schema> {
        let target = self.target();
        target.properties.get(name).or(target.additional.as_deref())
    }

    /// The schema of a list's items.
    pub fn items(&self) -> Option<&Schema> {
        self.target().items.as_deref()
    }

    /// The JSON type, through references.
    pub fn value_type(&self) -> Type {
        self.target().kind
    }

    /// The format, through references.
    pub fn value_format(&self) -> Option<&str> {
        self.format.as_deref().or(self.target().format.as_deref())
    }

    /// Whether an object is one value for server-side apply, here or by its definition.
    pub fn is_atomic(&self) -> bool {
        self.atomic || self.target().atomic
    }

    /// Whether unknown fields are kept, here or by its definition.
    pub fn preserves_unknown(&self) -> bool {
        self.preserve_unknown || self.target().preserve_unknown
    }

    /// How list items are told apart, here or by its definition.
    pub fn list_type(&self) -> &ListType {
        if self.list == ListType::Atomic { &self.target().list } else { &self.list }
    }

    /// The schema at a path of field names; items of lists are entered without a step.
    pub fn at(&self, path: &[&str]) -> Option<&Schema> {
        path.iter().try_fold(self, |schema, field| schema.items().unwrap_or(schema).property(field))
    }
}

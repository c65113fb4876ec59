//! Structural schemas as a CustomResourceDefinition writes them (`openAPIV3Schema`), read into [`Schema`].
//!
//! Reading never fails: what a definition may not say is refused by the rules of definitions before one is served.

use super::{Limits, ListType, Schema, Type};
use crate::document::{Map, Value};
use std::sync::Arc;

/// The definition of an object's metadata, which no custom schema may change.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schema of a whole custom object. `preserve_unknown` is for a definition that prunes nothing.
pub fn root(written: &Value) -> Schema {
    let mut schema = node(written);
    schema.kind = Type::Object;
    let metadata = schema.properties.shift_remove("metadata");
    if let Some(metadata) = metadata.filter(|metadata| !metadata.properties.is_empty()) {
        // What the author asks of the metadata is checked beside its own schema.
        let mut also = Schema { kind: Type::Object, preserve_unknown: true, ..Schema::default() };
        also.properties.insert("metadata".into(), metadata);
        schema.limits.get_or_insert_default().all_of.push(Arc::new(also));
    }
    whole(&mut schema);
    schema.has_rules = has_rules(written);
    schema
}

fn has_rules(written: &Value) -> bool {
    match written {
        Value::Object(map) => map.contains("x-kubernetes-validations") || map.values().any(has_rules),
        Value::Array(items) => items.iter().any(has_rules),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => false,
    }
}

/// Gives a whole object its `apiVersion`, `kind` and `metadata`.
fn whole(schema: &mut Schema) {
    let text = || Schema { kind: Type::String, ..Schema::default() };
    schema.properties.entry("apiVersion".into()).or_insert_with(text);
    schema.properties.entry("kind".into()).or_insert_with(text);
    let metadata = Schema { reference: Some(OBJECT_META), ..Schema::default() };
    schema.properties.insert("metadata".into(), metadata);
}

/// One node.
pub fn node(written: &Value) -> Schema {
    let flag = |name: &str| written.field(name).and_then(Value::as_bool).unwrap_or(false);
    let text = |name: &str| written.field(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut schema = Schema {
        kind: kind(written),
        format: text("format").map(Into::into),
        description: text("description").map(Into::into),
        nullable: flag("nullable"),
        properties: properties(written),
        additional: additional(written),
        items: written.field("items").filter(|items| items.as_object().is_some()).map(|items| Arc::new(node(items))),
        required: texts(written.field("required")),
        default: written.field("default").filter(|default| !default.is_null()).cloned(),
        list: list_type(written),
        atomic: text("x-kubernetes-map-type") == Some("atomic"),
        preserve_unknown: flag("x-kubernetes-preserve-unknown-fields"),
        closed: true,
        embedded: flag("x-kubernetes-embedded-resource"),
        limits: limits(written).map(Box::new),
        ..Schema::default()
    };
    if schema.embedded {
        whole(&mut schema);
    }
    schema
}

fn kind(written: &Value) -> Type {
    if written.bool_at(&["x-kubernetes-int-or-string"]) == Some(true) {
        return Type::IntOrString;
    }
    match written.str_at(&["type"]) {
        Some("boolean") => Type::Boolean,
        Some("integer") => Type::Integer,
        Some("number") => Type::Number,
        Some("string") => Type::String,
        Some("array") => Type::Array,
        Some("object") => Type::Object,
        _ => Type::Any,
    }
}

fn properties(written: &Value) -> indexmap::IndexMap<Arc<str>, Schema> {
    let map = written.object_at(&["properties"]);
    map.into_iter().flat_map(Map::iter).map(|(name, schema)| (name.into(), node(schema))).collect()
}

/// `additionalProperties: true` allows anything below.
fn additional(written: &Value) -> Option<Arc<Schema>> {
    match written.field("additionalProperties")? {
        Value::Bool(true) => Some(Arc::new(Schema { preserve_unknown: true, ..Schema::default() })),
        schema @ Value::Object(_) => Some(Arc::new(node(schema))),
        _ => None,
    }
}

fn list_type(written: &Value) -> ListType {
    match written.str_at(&["x-kubernetes-list-type"]) {
        Some("set") => ListType::Set,
        Some("map") => ListType::Map(texts(written.field("x-kubernetes-list-map-keys"))),
        _ => ListType::Atomic,
    }
}

fn texts(list: Option<&Value>) -> Vec<Arc<str>> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}

fn limits(written: &Value) -> Option<Limits> {
    let number = |name: &str| written.field(name).and_then(Value::as_f64);
    let size = |name: &str| written.field(name).and_then(Value::as_i64).and_then(|size| usize::try_from(size).ok());
    let flag = |name: &str| written.field(name).and_then(Value::as_bool).unwrap_or(false);
    let several =
        |name: &str| -> Vec<Arc<Schema>> { written.array_at(&[name]).iter().map(|one| Arc::new(junctor(one))).collect() };
    // The junctors that int-or-string asks for say nothing that its type does not say.
    let int_or_string = flag("x-kubernetes-int-or-string");
    let limits = Limits {
        enumeration: written.field("enum").and_then(Value::as_array).map(<[Value]>::to_vec),
        pattern: written.str_at(&["pattern"]).filter(|pattern| !pattern.is_empty()).map(Into::into),
        minimum: number("minimum"),
        exclusive_minimum: flag("exclusiveMinimum"),
        maximum: number("maximum"),
        exclusive_maximum: flag("exclusiveMaximum"),
        multiple_of: number("multipleOf"),
        min_length: size("minLength"),
        max_length: size("maxLength"),
        min_items: size("minItems"),
        max_items: size("maxItems"),
        unique_items: flag("uniqueItems"),
        min_properties: size("minProperties"),
        max_properties: size("maxProperties"),
        all_of: if int_or_string { Vec::new() } else { several("allOf") },
        any_of: if int_or_string { Vec::new() } else { several("anyOf") },
        one_of: several("oneOf"),
        not: written.field("not").filter(|not| not.as_object().is_some()).map(|not| Arc::new(junctor(not))),
        validations: written.field("x-kubernetes-validations").filter(|rules| !rules.is_empty()).cloned(),
    };
    (limits != Limits::default()).then_some(limits)
}

/// A schema below a junctor only checks: it never prunes, so unknown fields are none of its business.
fn junctor(written: &Value) -> Schema {
    let mut schema = node(written);
    schema.preserve_unknown = true;
    schema
}

//! Whether a schema is structural: every node has a type, and junctors only restrict.

use super::{FieldError, FieldPath};
use crate::document::{Map, Value};

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];

/// What is wrong with the schema of a whole object.
pub(super) fn check(schema: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match schema.str_at(&["type"]) {
        None | Some("") => errors.push(FieldError::required(path.child("type"), "must not be empty at the root")),
        Some("object") => {}
        Some(other) => errors.push(FieldError::invalid(path.child("type"), other, "must be object at the root")),
    }
    if schema.bool_at(&["nullable"]) == Some(true) {
        errors.push(FieldError::forbidden(path.child("nullable"), "nullable cannot be true at the root"));
    }
    check_metadata(schema, path, errors);
    below(schema, path, errors);
}

/// Of the metadata a schema may restrict the name alone.
fn check_metadata(schema: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let properties = schema.object_at(&["properties", "metadata", "properties"]);
    for name in properties.into_iter().flat_map(Map::keys).filter(|name| !matches!(*name, "name" | "generateName")) {
        let path = path.child("properties").key("metadata").child("properties").key(name);
        errors.push(FieldError::forbidden(
            path,
            "must not specify anything other than name and generateName, but metadata is implicitly specified",
        ));
    }
}

fn node(schema: &Value, path: &FieldPath, what: &str, errors: &mut Vec<FieldError>) {
    let flag = |name: &str| schema.bool_at(&[name]) == Some(true);
    let untyped = flag("x-kubernetes-int-or-string") || flag("x-kubernetes-preserve-unknown-fields");
    match schema.str_at(&["type"]) {
        None | Some("") if untyped => {}
        None | Some("") => errors.push(FieldError::required(path.child("type"), format!("must not be empty for {what}"))),
        Some(kind) if !TYPES.contains(&kind) => errors.push(FieldError::not_supported(path.child("type"), kind, TYPES)),
        Some(_) => {}
    }
    below(schema, path, errors);
}

fn below(schema: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (name, field) in schema.object_at(&["properties"]).into_iter().flat_map(Map::iter) {
        node(field, &path.child("properties").key(name), "specified object fields", errors);
    }
    if let Some(additional @ Value::Object(_)) = schema.field("additionalProperties") {
        node(additional, &path.child("additionalProperties"), "specified object fields", errors);
        if schema.object_at(&["properties"]).is_some_and(|properties| !properties.is_empty()) {
            errors.push(FieldError::forbidden(
                path.child("additionalProperties"),
                "must not be used in combination with properties",
            ));
        }
    }
    if schema.field("additionalProperties").and_then(Value::as_bool) == Some(false) {
        errors.push(FieldError::forbidden(path.child("additionalProperties"), "additionalProperties cannot be set to false"));
    }
    match schema.field("items") {
        Some(items @ Value::Object(_)) => node(items, &path.child("items"), "specified array items", errors),
        Some(Value::Array(_)) => {
            errors.push(FieldError::forbidden(path.child("items"), "items must be a schema object and not an array"))
        }
        _ if schema.str_at(&["type"]) == Some("array") => {
            errors.push(FieldError::required(path.child("items"), "must be specified"))
        }
        _ => {}
    }
    check_list(schema, path, errors);
    let pattern = schema.str_at(&["pattern"]).unwrap_or_default();
    if let Err(error) = regex::Regex::new(pattern) {
        errors.push(FieldError::invalid(
            path.child("pattern"),
            pattern,
            format!("must be a valid regular expression, but isn't: {error}"),
        ));
    }
    for field in ["$ref", "definitions", "dependencies", "patternProperties", "additionalItems", "id"] {
        if schema.field(field).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(path.child(field), format!("{field} is not supported")));
        }
    }
    if schema.bool_at(&["uniqueItems"]) == Some(true) {
        errors.push(FieldError::forbidden(
            path.child("uniqueItems"),
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
        ));
    }
    check_default(schema, path, errors);
}

fn check_list(schema: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let kind = schema.str_at(&["x-kubernetes-list-type"]).unwrap_or_default();
    let keys = schema.array_at(&["x-kubernetes-list-map-keys"]);
    if !matches!(kind, "" | "atomic" | "set" | "map") {
        errors.push(FieldError::not_supported(path.child("x-kubernetes-list-type"), kind, &["atomic", "map", "set"]));
    }
    if kind == "map" && keys.is_empty() {
        errors.push(FieldError::required(
            path.child("x-kubernetes-list-map-keys"),
            "must not be empty if x-kubernetes-list-type is map",
        ));
    }
    for (index, key) in keys.iter().enumerate() {
        let name = key.as_str().unwrap_or_default();
        let field = schema.get(&["items", "properties", name]);
        if field.is_none() {
            let text = "entries must all be names of item properties";
            errors.push(FieldError::invalid(path.child("x-kubernetes-list-map-keys").index(index), name, text));
        }
    }
}

/// A default must be a value that its own schema accepts.
fn check_default(schema: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(default) = schema.field("default").filter(|default| !default.is_null()) else { return };
    let read = crate::schema::structural::node(schema);
    for mut error in crate::schema::validate(default, &read) {
        let below = if error.field.is_empty() { String::new() } else { format!(".{}", error.field) };
        error.field = format!("{}{below}", path.child("default"));
        errors.push(error);
    }
}

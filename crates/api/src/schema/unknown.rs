//! Which fields a schema does not know.

use super::{Schema, Type};
use crate::document::Value;

/// The paths of fields that the schema does not know, such as `spec.containers[0].imag`. At the top, and of embedded objects,
/// `apiVersion`, `kind` and `metadata` count as known.
pub fn unknown_fields(object: &Value, schema: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    walk(object, schema, "", true, &mut found);
    found
}

fn walk(value: &Value, schema: &Schema, path: &str, whole: bool, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let open = is_open(schema);
            let whole = whole || schema.target().embedded;
            for (name, value) in map.iter() {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                match schema.property(name) {
                    Some(field) => walk(value, field, &path, false, found),
                    None if open => {}
                    None if whole && matches!(name, "apiVersion" | "kind" | "metadata") => {}
                    None => found.push(path),
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items() else { return };
            for (index, item) in items.iter().enumerate() {
                walk(item, schema, &format!("{path}[{index}]"), false, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {}
    }
}

/// Whether an object of this schema may have any field beside those that it names.
pub(super) fn is_open(schema: &Schema) -> bool {
    let target = schema.target();
    schema.preserves_unknown()
        || (!target.closed
            && (target.kind == Type::Any
                || (target.properties.is_empty() && target.additional.is_none() && target.name.as_deref().is_none_or(is_free))))
}

/// Definitions without fields that stand for any object.
fn is_free(name: &str) -> bool {
    name.ends_with(".FieldsV1") || name.ends_with(".RawExtension")
}

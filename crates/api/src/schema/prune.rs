//! Taking unknown fields away.

use super::{Schema, unknown::keeps_all};
use crate::document::Value;

/// Takes away the fields that the schema does not know, and nulls, which Go decodes to what a missing field is.
pub fn prune(object: &mut Value, schema: &Schema) {
    walk(object, schema, true);
}

fn walk(value: &mut Value, schema: &Schema, whole: bool) {
    match value {
        Value::Object(map) => {
            if keeps_all(schema) {
                return;
            }
            let whole = whole || schema.target().embedded;
            let nullable = |field: &Schema| field.nullable || field.preserves_unknown();
            map.retain(|name, value| match schema.property(name) {
                Some(field) if value.is_null() => nullable(field),
                Some(field) => {
                    walk(value, field, false);
                    true
                }
                None => whole && matches!(name, "apiVersion" | "kind" | "metadata"),
            });
        }
        Value::Array(items) => {
            if let Some(schema) = schema.items() {
                items.iter_mut().for_each(|item| walk(item, schema, false));
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {}
    }
}

//! Taking unknown fields away.

use super::{Schema, unknown::is_open};
use crate::document::Value;

/// Takes away the fields that the schema does not know, and nulls, which Go decodes to what a missing field is. In custom kinds a null
/// stays: it is filled in or refused later.
pub fn prune(object: &mut Value, schema: &Schema) {
    walk(object, schema, true);
}

fn walk(value: &mut Value, schema: &Schema, whole: bool) {
    match value {
        Value::Object(map) => {
            let open = is_open(schema);
            let target = schema.target();
            let whole = whole || target.embedded;
            let keeps_null =
                |field: &Schema| field.nullable || field.preserves_unknown() || (target.closed && field.reference.is_none());
            map.retain(|name, value| match schema.property(name) {
                Some(field) if value.is_null() => keeps_null(field),
                Some(field) => {
                    walk(value, field, false);
                    true
                }
                None => open || (whole && matches!(name, "apiVersion" | "kind" | "metadata")),
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

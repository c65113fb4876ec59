//! Filling in defaults that a schema states.

use super::Schema;
use crate::document::Value;

/// Fills in what a custom kind's schema gives as defaults. A null where none may stand counts as a missing value.
pub fn default(object: &mut Value, schema: &Schema) {
    match object {
        Value::Object(map) => {
            for (name, field) in &schema.properties {
                let Some(default) = &field.default else { continue };
                let missing = match map.get(name) {
                    None => true,
                    Some(value) => value.is_null() && !field.nullable,
                };
                if missing {
                    map.insert(&**name, default.clone());
                }
            }
            for (name, value) in map.iter_mut() {
                // References lead to built-in definitions, whose defaults are not for custom objects.
                let Some(field) = schema.property(name).filter(|field| field.reference.is_none()) else { continue };
                if value.is_null()
                    && !field.nullable
                    && let Some(default) = &field.default
                {
                    *value = default.clone();
                }
                default_below(value, field);
            }
        }
        Value::Array(_) => default_below(object, schema),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {}
    }
}

fn default_below(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(_) => default(value, schema),
        Value::Array(items) => {
            let Some(schema) = schema.items() else { return };
            for item in items {
                if item.is_null()
                    && !schema.nullable
                    && let Some(default) = &schema.default
                {
                    *item = default.clone();
                }
                default_below(item, schema);
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {}
    }
}

/// Whether filling in could ever change something.
pub fn has_defaults(schema: &Schema) -> bool {
    schema.default.is_some()
        || schema.properties.values().any(has_defaults)
        || schema.items.as_deref().is_some_and(has_defaults)
        || schema.additional.as_deref().is_some_and(has_defaults)
}

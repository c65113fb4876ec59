//! Whether a document has the form that a schema asks for, with upstream's complaints.

mod format;
mod limits;

use super::{ListType, Schema, Type};
use crate::document::{Map, Value};
use crate::status::{FieldError, FieldPath};

/// What does not fit a custom kind's schema.
pub fn validate(object: &Value, schema: &Schema) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check(object, schema, &FieldPath::default(), &mut errors);
    errors
}

fn check(value: &Value, schema: &Schema, path: &FieldPath, errors: &mut Vec<FieldError>) {
    // Metadata and other built-in definitions have rules of their own.
    if schema.reference.is_some() || (value.is_null() && schema.nullable) {
        return;
    }
    if !fits(value, schema.kind) {
        let (wanted, given) = (type_names(schema.kind), type_of(value));
        let text = format!("{} must be of type {wanted}: \"{given}\"", in_body(path));
        errors.push(FieldError::type_invalid(path.as_str(), given, text));
        return;
    }
    if let Some(limits) = &schema.limits {
        limits::check(value, limits, path, errors);
    }
    if let (Value::String(text), Some(format)) = (value, schema.format.as_deref())
        && !format::fits(text, format)
    {
        let complaint = format!("{} must be of type {format}: {}", in_body(path), crate::status::go_quote(text));
        errors.push(FieldError::type_invalid(path.as_str(), text.as_str(), complaint));
    }
    match value {
        Value::Object(map) => check_object(map, schema, path, errors),
        Value::Array(items) => check_list(items, schema, path, errors),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {}
    }
}

fn check_object(map: &Map, schema: &Schema, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for name in schema.required.iter().filter(|name| !map.contains(name)) {
        errors.push(FieldError::required(path.child(name), ""));
    }
    if schema.embedded {
        for name in ["apiVersion", "kind"] {
            if map.str(name).is_none_or(str::is_empty) {
                errors.push(FieldError::required(path.child(name), "must not be empty"));
            }
        }
    }
    for (name, value) in map.iter() {
        match (schema.properties.get(name), &schema.additional) {
            (Some(field), _) => check(value, field, &path.child(name), errors),
            (None, Some(each)) => check(value, each, &path.child(name), errors),
            (None, None) => {}
        }
    }
}

fn check_list(items: &[Value], schema: &Schema, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if let Some(each) = &schema.items {
        for (index, item) in items.iter().enumerate() {
            check(item, each, &path.index(index), errors);
        }
    }
    let id = |item: &Value| match &schema.list {
        ListType::Atomic => None,
        ListType::Set => Some(item.clone()),
        ListType::Map(keys) => {
            let map: Map = keys.iter().filter_map(|key| Some((key.to_string(), item.field(key)?.clone()))).collect();
            Some(Value::Object(map))
        }
    };
    for (index, item) in items.iter().enumerate() {
        let Some(own) = id(item) else { return };
        if items[..index].iter().any(|other| id(other).as_ref() == Some(&own)) {
            errors.push(FieldError::duplicate(path.index(index), own));
        }
    }
}

/// A field as these complaints name it.
fn in_body(path: &FieldPath) -> String {
    if path.as_str().is_empty() { "<nil> in body".to_owned() } else { format!("{path} in body") }
}

fn fits(value: &Value, kind: Type) -> bool {
    match kind {
        Type::Any => true,
        Type::Boolean => matches!(value, Value::Bool(_)),
        Type::Integer => value.as_i64().is_some(),
        Type::Number => value.as_f64().is_some(),
        Type::String => matches!(value, Value::String(_)),
        Type::Array => matches!(value, Value::Array(_)),
        Type::Object => matches!(value, Value::Object(_)),
        Type::IntOrString => matches!(value, Value::String(_)) || value.as_i64().is_some(),
    }
}

fn type_names(kind: Type) -> &'static str {
    match kind {
        Type::Any => "any",
        Type::Boolean => "boolean",
        Type::Integer => "integer",
        Type::Number => "number",
        Type::String => "string",
        Type::Array => "array",
        Type::Object => "object",
        Type::IntOrString => "integer,string",
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Float(number) if number.fract() == 0.0 => "integer",
        other => other.type_name(),
    }
}

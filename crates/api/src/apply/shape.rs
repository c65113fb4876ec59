//! How a value is taken apart by its schema: what is one value, what are fields, and what are items that a key tells apart.

use super::set::{Element, FieldSet};
use crate::document::{Map, Value};
use crate::schema::{ListType, Schema};

/// Structs that Go always writes, even when nothing is in them: they never come to be, so nobody owns that they are there.
const ALWAYS_THERE: &[&str] = &["metadata", "spec", "status", "strategy", "updateStrategy", "template", "jobTemplate"];

/// How a value is treated as a whole.
pub(super) enum Shape<'v> {
    /// One value: a scalar, or a list or object that is atomic.
    Leaf,
    /// An object whose fields have owners of their own.
    Fields(&'v Map),
    /// A list whose items have owners of their own.
    Items(&'v [Value]),
}

/// The shape of a value. Without a schema, objects have fields and lists are one value.
pub(super) fn shape<'v>(value: &'v Value, schema: Option<&Schema>) -> Shape<'v> {
    match value {
        Value::Object(map) if !schema.is_some_and(Schema::is_atomic) => Shape::Fields(map),
        Value::Array(items) if schema.is_some_and(|schema| *schema.list_type() != ListType::Atomic) => Shape::Items(items),
        _ => Shape::Leaf,
    }
}

/// The schema of a field; none below what may be anything.
pub(super) fn field_schema<'s>(schema: Option<&'s Schema>, name: &str) -> Option<&'s Schema> {
    schema?.property(name)
}

/// Whether the schema names the field, rather than a map holding it.
pub(super) fn is_named(schema: Option<&Schema>, name: &str) -> bool {
    schema.is_some_and(|schema| schema.target().properties.contains_key(name))
}

/// Whether the field is there even in an object that nobody has written.
pub(super) fn is_always_there(schema: Option<&Schema>, name: &str) -> bool {
    let Some(field) = schema.and_then(|schema| schema.target().properties.get(name)) else { return false };
    let required = schema.is_some_and(|schema| schema.target().required.iter().any(|required| &**required == name));
    field.name.is_none() && ((field.reference.is_some() && ALWAYS_THERE.contains(&name)) || (required && !field.closed))
}

/// What tells an item apart. A key field that is missing counts as its default.
pub(super) fn item_element(item: &Value, index: usize, schema: Option<&Schema>) -> Element {
    match schema.map(Schema::list_type) {
        Some(ListType::Set) => Element::Value(item.to_string()),
        Some(ListType::Map(keys)) => {
            let item_schema = schema.and_then(Schema::items);
            let value = |key: &str| match item.field(key) {
                Some(Value::Null) | None => field_schema(item_schema, key).and_then(|field| field.default.clone()),
                Some(value) => Some(value.clone()),
            };
            let mut found: Vec<(String, String)> =
                keys.iter().filter_map(|key| Some((key.to_string(), value(key)?.to_string()))).collect();
            found.sort();
            Element::Key(found)
        }
        Some(ListType::Atomic) | None => Element::Index(i64::try_from(index).unwrap_or(i64::MAX)),
    }
}

/// The fields that a configuration speaks of.
pub(super) fn field_set(value: &Value, schema: Option<&Schema>) -> FieldSet {
    let mut set = FieldSet::default();
    collect(value, schema, &mut Vec::new(), &mut set);
    set
}

/// The paths of lists and objects that are one value.
pub(super) fn atomics(value: &Value, schema: Option<&Schema>, path: &str, found: &mut Vec<String>) {
    match (shape(value, schema), value) {
        (Shape::Leaf, Value::Array(_) | Value::Object(_)) => found.push(path.to_owned()),
        (Shape::Leaf, _) => {}
        (Shape::Fields(map), _) => {
            map.iter().for_each(|(name, value)| atomics(value, field_schema(schema, name), &format!("{path}.{name}"), found));
        }
        (Shape::Items(items), _) => {
            let below = schema.and_then(Schema::items);
            items.iter().enumerate().for_each(|(at, item)| atomics(item, below, &format!("{path}[{at}]"), found));
        }
    }
}

fn collect(value: &Value, schema: Option<&Schema>, path: &mut Vec<Element>, set: &mut FieldSet) {
    match shape(value, schema) {
        Shape::Leaf => set.insert(path),
        Shape::Fields(map) => {
            for (name, value) in map.iter() {
                path.push(Element::Field(name.to_owned()));
                collect(value, field_schema(schema, name), path, set);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                if empty || !is_named(schema, name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Shape::Items(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(item_element(item, index, schema));
                collect(item, schema.and_then(Schema::items), path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}

//! What a write changed, field by field.

use super::set::{Element, FieldSet};
use super::shape::{Shape, field_schema, is_always_there, item_element, shape};
use crate::document::{Map, Value};
use crate::schema::Schema;

/// The fields that came, changed and went.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

/// Compares two states of an object.
pub(super) fn compare(old: &Value, new: &Value, schema: Option<&Schema>) -> Comparison {
    let mut found = Comparison::default();
    both(old, new, schema, &mut Vec::new(), &mut found);
    found
}

fn both(old: &Value, new: &Value, schema: Option<&Schema>, path: &mut Vec<Element>, found: &mut Comparison) {
    match (shape(old, schema), shape(new, schema)) {
        (Shape::Fields(a), Shape::Fields(b)) => fields(a, b, schema, path, found),
        (Shape::Items(a), Shape::Items(b)) => items(a, b, schema, path, found),
        (Shape::Items(a), _) if new.is_null() => items(a, &[], schema, path, found),
        (_, Shape::Items(b)) if old.is_null() => items(&[], b, schema, path, found),
        (Shape::Fields(_), _) if new.is_null() => one(old, schema, path, &mut found.removed),
        (_, Shape::Fields(b)) if old.is_null() => fields(&Map::new(), b, schema, path, found),
        _ => {
            if !equal(old, new) {
                found.modified.insert(path);
            }
        }
    }
}

/// Numbers are equal by their value: `1` and `1.0`.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

fn fields(old: &Map, new: &Map, schema: Option<&Schema>, path: &mut Vec<Element>, found: &mut Comparison) {
    for (name, value) in new.iter() {
        path.push(Element::Field(name.to_owned()));
        let field = field_schema(schema, name);
        match old.get(name) {
            Some(before) => both(before, value, field, path, found),
            None if is_always_there(schema, name) => {
                let nothing = match value {
                    Value::Object(_) => Value::object(),
                    _ => Value::Null,
                };
                both(&nothing, value, field, path, found);
            }
            None => one(value, field, path, &mut found.added),
        }
        path.pop();
    }
    for (name, value) in old.iter().filter(|(name, _)| !new.contains(name)) {
        path.push(Element::Field(name.to_owned()));
        one(value, field_schema(schema, name), path, &mut found.removed);
        path.pop();
    }
}

fn items(old: &[Value], new: &[Value], schema: Option<&Schema>, path: &mut Vec<Element>, found: &mut Comparison) {
    let keyed = |items: &[Value]| -> Vec<Element> {
        items.iter().enumerate().map(|(index, item)| item_element(item, index, schema)).collect()
    };
    let (old_keys, new_keys) = (keyed(old), keyed(new));
    let below = schema.and_then(Schema::items);
    for (key, item) in new_keys.iter().zip(new) {
        path.push(key.clone());
        match old_keys.iter().position(|other| other == key) {
            Some(place) => both(&old[place], item, below, path, found),
            None => one(item, below, path, &mut found.added),
        }
        path.pop();
    }
    for (key, item) in old_keys.iter().zip(old).filter(|(key, _)| !new_keys.contains(key)) {
        path.push(key.clone());
        one(item, below, path, &mut found.removed);
        path.pop();
    }
}

/// A value that is in one state alone: it and all below it.
fn one(value: &Value, schema: Option<&Schema>, path: &mut Vec<Element>, set: &mut FieldSet) {
    set.insert(path);
    match shape(value, schema) {
        Shape::Leaf => {}
        Shape::Fields(map) => {
            for (name, value) in map.iter() {
                path.push(Element::Field(name.to_owned()));
                let field = field_schema(schema, name);
                if is_always_there(schema, name) && value.as_object().is_some_and(|map| !map.is_empty()) {
                    below(value, field, path, set);
                } else {
                    one(value, field, path, set);
                }
                path.pop();
            }
        }
        Shape::Items(_) => below(value, schema, path, set),
    }
}

/// All below a value, and not the value itself.
fn below(value: &Value, schema: Option<&Schema>, path: &mut Vec<Element>, set: &mut FieldSet) {
    match shape(value, schema) {
        Shape::Leaf => set.insert(path),
        Shape::Fields(map) => {
            for (name, value) in map.iter() {
                path.push(Element::Field(name.to_owned()));
                one(value, field_schema(schema, name), path, set);
                path.pop();
            }
        }
        Shape::Items(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(item_element(item, index, schema));
                one(item, schema.and_then(Schema::items), path, set);
                path.pop();
            }
        }
    }
}

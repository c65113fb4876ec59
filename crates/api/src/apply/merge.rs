//! Laying a configuration over an object, and taking away what its manager no longer wants.

use super::set::{Element, FieldSet};
use super::shape::{Shape, field_schema, item_element, shape};
use crate::document::Value;
use crate::schema::Schema;

/// The object with the configuration laid over it.
pub(super) fn merge(live: &Value, configuration: &Value, schema: Option<&Schema>) -> Value {
    match (shape(live, schema), shape(configuration, schema)) {
        (Shape::Fields(live), Shape::Fields(wanted)) => {
            let mut merged = live.clone();
            for (name, value) in wanted.iter() {
                let field = field_schema(schema, name);
                let value = live.get(name).map_or_else(|| value.clone(), |before| merge(before, value, field));
                merged.insert(name, value);
            }
            Value::Object(merged)
        }
        (Shape::Items(live), Shape::Items(wanted)) => Value::Array(merge_items(live, wanted, schema)),
        _ => configuration.clone(),
    }
}

/// Items of the configuration keep its order; those that it does not name stay before the one that followed them.
fn merge_items(live: &[Value], wanted: &[Value], schema: Option<&Schema>) -> Vec<Value> {
    let keyed = |items: &[Value]| -> Vec<Element> {
        items.iter().enumerate().map(|(index, item)| item_element(item, index, schema)).collect()
    };
    let (live_keys, wanted_keys) = (keyed(live), keyed(wanted));
    let below = schema.and_then(Schema::items);
    let mut merged = Vec::with_capacity(live.len() + wanted.len());
    let mut at = 0;
    let push_unnamed = |at: &mut usize, until: usize, merged: &mut Vec<Value>| {
        while *at < until {
            if !wanted_keys.contains(&live_keys[*at]) {
                merged.push(live[*at].clone());
            }
            *at += 1;
        }
    };
    for (key, item) in wanted_keys.iter().zip(wanted) {
        match live_keys.iter().position(|other| other == key) {
            Some(place) => {
                push_unnamed(&mut at, place, &mut merged);
                merged.push(merge(&live[place], item, below));
            }
            None => {
                // A new item goes behind those of the object, unless one that it shares with the configuration still follows.
                if !live_keys[at..].iter().any(|other| wanted_keys.contains(other)) {
                    push_unnamed(&mut at, live.len(), &mut merged);
                }
                merged.push(item.clone());
            }
        }
    }
    push_unnamed(&mut at, live.len(), &mut merged);
    merged
}

/// Takes away what `last` held and nobody owns any more.
pub(super) fn remove(value: &mut Value, last: &FieldSet, owned: &FieldSet, schema: Option<&Schema>) {
    if matches!(shape(value, schema), Shape::Leaf) {
        return;
    }
    let nothing = FieldSet::default();
    match value {
        Value::Object(map) => {
            let names: Vec<String> = map.keys().map(str::to_owned).collect();
            for name in names {
                let element = Element::Field(name.clone());
                let Some(held) = last.below(&element) else { continue };
                if !owned.reaches(&element) {
                    map.remove(&name);
                } else if let Some(value) = map.get_mut(&name) {
                    remove(value, held, owned.below(&element).unwrap_or(&nothing), field_schema(schema, &name));
                }
            }
        }
        Value::Array(items) => {
            let mut kept = Vec::with_capacity(items.len());
            for (index, mut item) in std::mem::take(items).into_iter().enumerate() {
                let element = item_element(&item, index, schema);
                if let Some(held) = last.below(&element) {
                    if !owned.reaches(&element) {
                        continue;
                    }
                    remove(&mut item, held, owned.below(&element).unwrap_or(&nothing), schema.and_then(Schema::items));
                }
                kept.push(item);
            }
            *items = kept;
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {}
    }
}

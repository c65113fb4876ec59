//! Strategic merge patch: a merge that knows list keys and directives (`$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`, `$retainKeys`).

use super::PatchError;
use crate::document::{Map, Value};
use crate::schema::Schema;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

/// Merges a patch into a document by the kind's schema.
///
/// # Errors
/// When a directive is malformed or a list item lacks its merge key; the document is then as it was.
pub fn apply(document: &mut Value, patch: &Value, schema: &Schema) -> Result<(), PatchError> {
    let mut changed = document.clone();
    merge_value(&mut changed, patch, Some(schema))?;
    *document = changed;
    Ok(())
}

fn merge_value(target: &mut Value, patch: &Value, schema: Option<&Schema>) -> Result<(), PatchError> {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return Ok(());
    };
    merge_object(target.ensure_object(), patch, schema)
}

fn merge_object(target: &mut Map, patch: &Map, schema: Option<&Schema>) -> Result<(), PatchError> {
    match patch.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
        Some("replace") => {
            *target = without_directives(patch);
            return Ok(());
        }
        Some("delete") => {
            *target = Map::new();
            return Ok(());
        }
        None | Some("merge") => {}
        Some(other) => return Err(PatchError::Form(format!("Unknown patch type: \"{other}\""))),
    }
    if let Some(kept) = patch.get(RETAIN_KEYS) {
        let kept: Vec<&str> = kept.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        target.retain(|name, _| kept.contains(&name));
    }
    for (name, change) in patch.iter() {
        if name == PATCH || name == RETAIN_KEYS || name.starts_with(ORDER) {
            continue;
        }
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            let gone = change.as_array().unwrap_or_default();
            if let Some(Value::Array(items)) = target.get_mut(list) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        let field = schema.and_then(|schema| schema.property(name));
        merge_field(target, name, change, field)?;
    }
    for (name, order) in patch.iter().filter_map(|(name, order)| Some((name.strip_prefix(ORDER)?, order))) {
        let field = schema.and_then(|schema| schema.property(name));
        let key = field.and_then(merge_key);
        if let (Some(Value::Array(items)), Some(order)) = (target.get_mut(name), order.as_array()) {
            set_order(items, order, key);
        }
    }
    Ok(())
}

fn merge_field(target: &mut Map, name: &str, change: &Value, field: Option<&Schema>) -> Result<(), PatchError> {
    match change {
        Value::Null => {
            target.remove(name);
        }
        Value::Object(patch) => {
            let replaces = field.is_some_and(|field| field.patch.replace);
            if patch.str(PATCH) == Some("delete") {
                target.remove(name);
            } else if replaces || !matches!(target.get(name), Some(Value::Object(_))) {
                let mut fresh = Map::new();
                merge_object(&mut fresh, patch, field)?;
                target.insert(name, Value::Object(fresh));
            } else {
                merge_value(target.entry_or_null(name), change, field)?;
            }
        }
        Value::Array(items) => {
            let merges = field.is_some_and(|field| field.patch.merge);
            let mut list = match target.get_mut(name).map(std::mem::take) {
                Some(Value::Array(list)) if merges => list,
                _ => Vec::new(),
            };
            if merges {
                merge_list(&mut list, items, field, name)?;
            } else {
                list.clone_from(items);
            }
            target.insert(name, Value::Array(list));
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::String(_) => {
            target.insert(name, change.clone());
        }
    }
    Ok(())
}

fn merge_key(field: &Schema) -> Option<&str> {
    field.patch.merge_key.as_deref()
}

fn merge_list(list: &mut Vec<Value>, changes: &[Value], field: Option<&Schema>, name: &str) -> Result<(), PatchError> {
    let Some(key) = field.and_then(merge_key) else {
        for change in changes {
            if !list.contains(change) {
                list.push(change.clone());
            }
        }
        return Ok(());
    };
    let directive = |change: &Value| change.str_at(&[PATCH]).map(str::to_owned);
    if changes.iter().any(|change| directive(change).as_deref() == Some("replace")) {
        let kept = changes.iter().filter(|change| directive(change).as_deref() != Some("replace"));
        *list = kept.cloned().collect();
        return Ok(());
    }
    let before: Vec<Option<Value>> = list.iter().map(|item| item.field(key).cloned()).collect();
    for change in changes {
        let Some(id) = change.field(key) else {
            return Err(PatchError::Form(format!("map: {change} does not contain declared merge key: {key} (in {name})")));
        };
        let place = list.iter().position(|item| item.field(key) == Some(id));
        match (directive(change).as_deref(), place) {
            (Some("delete"), place) => {
                if place.is_some() {
                    list.retain(|item| item.field(key) != Some(id));
                }
            }
            (_, Some(place)) => merge_value(&mut list[place], change, field.and_then(Schema::items))?,
            (_, None) => {
                let mut fresh = Value::object();
                merge_value(&mut fresh, change, field.and_then(Schema::items))?;
                list.push(fresh);
            }
        }
    }
    interleave(list, changes, &before, key);
    Ok(())
}

/// Items that the patch names come in its order, the others between them as they stood; a new item goes before those that follow it nowhere.
fn interleave(list: &mut Vec<Value>, changes: &[Value], before: &[Option<Value>], key: &str) {
    let rank = |item: &Value| changes.iter().position(|change| change.field(key) == item.field(key));
    let place = |item: &Value| before.iter().position(|id| id.as_ref() == item.field(key));
    let (mut named, others): (Vec<Value>, Vec<Value>) = std::mem::take(list).into_iter().partition(|item| rank(item).is_some());
    named.sort_by_key(rank);
    let mut others = others.into_iter().peekable();
    for item in named {
        let limit = place(&item);
        while let Some(other) = others.next_if(|other| limit.is_some() && place(other) < limit) {
            list.push(other);
        }
        list.push(item);
    }
    list.extend(others);
}

/// Puts the items that the order names into that order; the others keep their place relative to the one before them.
fn set_order(items: &mut Vec<Value>, order: &[Value], key: Option<&str>) {
    fn id<'v>(item: &'v Value, key: Option<&str>) -> Option<&'v Value> {
        match key {
            Some(key) => item.field(key),
            None => Some(item),
        }
    }
    let rank = |item: &Value| order.iter().position(|ordered| id(ordered, key) == id(item, key));
    let mut last = None;
    let mut keyed: Vec<(Option<usize>, usize, Value)> = Vec::with_capacity(items.len());
    for (at, item) in std::mem::take(items).into_iter().enumerate() {
        if let Some(rank) = rank(&item) {
            last = Some(rank);
        }
        keyed.push((last, at, item));
    }
    keyed.sort_by_key(|(rank, at, _)| (*rank, *at));
    *items = keyed.into_iter().map(|(_, _, item)| item).collect();
}

fn without_directives(patch: &Map) -> Map {
    let mut plain = patch.clone();
    plain.retain(|name, _| name != PATCH && name != RETAIN_KEYS && !name.starts_with(ORDER) && !name.starts_with(DELETE_FROM));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    fn patched(document: &str, patch: &str) -> String {
        let parse = |text: &str| Value::parse_json(text.as_bytes()).unwrap().0;
        let mut document = parse(document);
        apply(&mut document, &parse(patch), schema::named("io.k8s.api.core.v1.PodSpec").unwrap()).unwrap();
        document.to_string()
    }

    #[test]
    fn lists_are_merged_by_their_key_and_plain_ones_replaced() {
        let table = [
            (
                r#"{"containers":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#,
                r#"{"containers":[{"name":"b","image":"2"},{"name":"new"}]}"#,
                r#"{"containers":[{"name":"a"},{"name":"b","image":"2"},{"name":"new"},{"name":"c"}]}"#,
            ),
            (
                r#"{"containers":[{"name":"a","image":"1"},{"name":"b"}]}"#,
                r#"{"containers":[{"name":"a","image":"2"}]}"#,
                r#"{"containers":[{"name":"a","image":"2"},{"name":"b"}]}"#,
            ),
            (
                r#"{"containers":[{"name":"a"},{"name":"b"}]}"#,
                r#"{"containers":[{"name":"a","$patch":"delete"}]}"#,
                r#"{"containers":[{"name":"b"}]}"#,
            ),
            (
                r#"{"containers":[{"name":"a","args":["x","y"]}]}"#,
                r#"{"containers":[{"name":"a","args":["z"]}]}"#,
                r#"{"containers":[{"name":"a","args":["z"]}]}"#,
            ),
            (
                r#"{"containers":[{"name":"a"},{"name":"b"}]}"#,
                r#"{"$setElementOrder/containers":[{"name":"c"},{"name":"b"},{"name":"a"}],"containers":[{"name":"c"}]}"#,
                r#"{"containers":[{"name":"c"},{"name":"b"},{"name":"a"}]}"#,
            ),
            (
                r#"{"nodeSelector":{"a":"1","b":"2"}}"#,
                r#"{"nodeSelector":{"a":null,"c":"3"}}"#,
                r#"{"nodeSelector":{"b":"2","c":"3"}}"#,
            ),
            (
                r#"{"nodeSelector":{"a":"1"}}"#,
                r#"{"nodeSelector":{"$patch":"replace","c":"3"}}"#,
                r#"{"nodeSelector":{"c":"3"}}"#,
            ),
            (
                r#"{"volumes":[{"name":"v","emptyDir":{}}]}"#,
                r#"{"volumes":[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/x"}}]}"#,
                r#"{"volumes":[{"name":"v","hostPath":{"path":"/x"}}]}"#,
            ),
        ];
        for (document, patch, expected) in table {
            assert_eq!(patched(document, patch), expected, "{patch}");
        }
    }

    #[test]
    fn an_item_without_its_key_is_refused_and_changes_nothing() {
        let mut document = Value::object();
        let patch = Value::parse_json(br#"{"hostNetwork":true,"containers":[{"image":"x"}]}"#).unwrap().0;
        assert!(apply(&mut document, &patch, schema::named("io.k8s.api.core.v1.PodSpec").unwrap()).is_err());
        assert!(document.is_empty());
    }
}

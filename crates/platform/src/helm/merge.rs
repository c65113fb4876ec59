//! Patches that turn what was applied last into what is applied now, and leave alone what others set. It is pure.

use std::sync::LazyLock;

use api::kind::KindTable;
use api::schema::Schema;
use serde_json::{Map, Value as Json, json};

use super::cluster::text;

static KINDS: LazyLock<KindTable> = LazyLock::new(KindTable::built_in);

/// A patch and its form; it undoes what any of those before said that the new one does not.
pub(super) fn patch(before: &[&Json], new: &Json) -> (Json, &'static str) {
    let version = text(new, "/apiVersion");
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let row = KINDS.by_kind(group, version, text(new, "/kind"));
    let schema = row.and_then(|(_, version)| version.schema());
    let form = if schema.is_some() { "application/strategic-merge-patch+json" } else { "application/merge-patch+json" };
    if let (None, [old]) = (schema, before) {
        // Lists of custom kinds are one value each, and what did not change stays as others may have set it.
        return (difference(old, new).unwrap_or_else(|| json!({})), form);
    }
    let mut patch = new.clone();
    before.iter().for_each(|old| drop_fields(&mut patch, old, schema));
    (patch, form)
}

/// What the last one said and the new one does not is unset.
fn drop_fields(new: &mut Json, old: &Json, schema: Option<&Schema>) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    for (name, before) in old {
        let field = schema.and_then(|schema| schema.property(name));
        match (new.get_mut(name), before) {
            (None, _) => drop(new.insert(name.clone(), Json::Null)),
            (Some(Json::Array(now)), Json::Array(before)) => {
                let gone = drop_items(now, before, field);
                if !gone.is_empty() {
                    new.insert(format!("$deleteFromPrimitiveList/{name}"), Json::Array(gone));
                }
            }
            (Some(now), _) => drop_fields(now, before, field),
        }
    }
}

/// The same for the items of a list that is merged; plain items that go are handed back.
fn drop_items(now: &mut Vec<Json>, before: &[Json], field: Option<&Schema>) -> Vec<Json> {
    let Some(field) = field.filter(|field| field.patch.merge) else { return Vec::new() };
    let Some(key) = field.patch.merge_key.as_deref() else {
        return before.iter().filter(|item| !now.contains(item)).cloned().collect();
    };
    for item in before {
        match now.iter_mut().find(|it| it[key] == item[key]) {
            Some(kept) => drop_fields(kept, item, field.items()),
            None => now.push(json!({key: item[key], "$patch": "delete"})),
        }
    }
    Vec::new()
}

/// A JSON merge patch of what changed; nothing where nothing did.
fn difference(old: &Json, new: &Json) -> Option<Json> {
    if old == new {
        return None;
    }
    let (Some(before), Some(now)) = (old.as_object(), new.as_object()) else { return Some(new.clone()) };
    let mut changes = Map::new();
    for (name, value) in now {
        let change = before.get(name).map_or_else(|| Some(value.clone()), |before| difference(before, value));
        changes.extend(change.map(|change| (name.clone(), change)));
    }
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    changes.extend(gone.map(|name| (name.clone(), Json::Null)));
    Some(Json::Object(changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_said_is_unset_and_the_rest_is_left_alone() {
        let pod = |spec: Json| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": spec});
        let rows = [
            (
                pod(json!({"nodeSelector": {"a": "1", "b": "2"}, "hostname": "x"})),
                pod(json!({"nodeSelector": {"a": "1"}})),
                pod(json!({"nodeSelector": {"a": "1", "b": null}, "hostname": null})),
            ),
            (
                pod(json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y"}]}, {"name": "b"}]})),
                pod(json!({"containers": [{"name": "a", "env": [{"name": "Y"}]}]})),
                pod(json!({"containers": [
                    {"name": "a", "env": [{"name": "Y"}, {"name": "X", "$patch": "delete"}]},
                    {"name": "b", "$patch": "delete"},
                ]})),
            ),
            (
                pod(json!({"containers": [{"name": "a", "args": ["x", "y"]}]})),
                pod(json!({"containers": [{"name": "a", "args": ["z"]}]})),
                pod(json!({"containers": [{"name": "a", "args": ["z"]}]})),
            ),
        ];
        for (old, new, wanted) in rows {
            assert_eq!(patch(&[&old], &new), (wanted, "application/strategic-merge-patch+json"));
        }
        let mut old = pod(json!({}));
        old["metadata"]["finalizers"] = json!(["a/b", "c/d"]);
        let mut new = old.clone();
        new["metadata"]["finalizers"] = json!(["c/d"]);
        assert_eq!(patch(&[&old], &new).0["metadata"]["$deleteFromPrimitiveList/finalizers"], json!(["a/b"]));
    }

    #[test]
    fn of_a_custom_kind_only_what_changed_is_sent() {
        let thing = |spec: Json| json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": spec});
        let (old, new) = (thing(json!({"a": 1, "b": [1, 2], "c": {"d": 1}})), thing(json!({"b": [1], "c": {"d": 1}, "e": 2})));
        let (changes, form) = patch(&[&old], &new);
        assert_eq!(changes, json!({"spec": {"a": null, "b": [1], "e": 2}}));
        assert_eq!(form, "application/merge-patch+json");
        assert_eq!(patch(&[&old], &old).0, json!({}));
    }
}

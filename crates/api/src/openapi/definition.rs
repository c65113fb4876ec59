//! Schemas as OpenAPI writes them.

use crate::document::Value as Document;
use crate::schema::{self, Description, ListType, Schema, Type};
use serde_json::{Map, Value, json};

/// The two forms of OpenAPI documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Swagger 2.0.
    V2,
    /// OpenAPI 3.0.
    V3,
}

impl Dialect {
    /// The address of a definition.
    pub(super) fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// A built-in definition; an empty object when there is none of that name.
pub(super) fn built_in(name: &str, dialect: Dialect) -> Value {
    let Some(definition) = schema::named(name) else { return json!({"type": "object"}) };
    let mut written = node(definition, dialect);
    describe(&mut written, name, "");
    if !definition.properties.is_empty() {
        let properties: Map<String, Value> = definition
            .properties
            .iter()
            .map(|(field, schema)| {
                let mut written = node(schema, dialect);
                describe(&mut written, name, field);
                (field.to_string(), written)
            })
            .collect();
        written["properties"] = Value::Object(properties);
        written["type"] = json!("object");
    }
    if !definition.required.is_empty() {
        written["required"] = json!(definition.required.iter().map(|name| &**name).collect::<Vec<_>>());
    }
    written
}

fn describe(written: &mut Value, definition: &str, field: &str) {
    if let (Some(text), Some(map)) = (Description::of(definition, field), written.as_object_mut()) {
        map.shift_insert(0, "description".into(), json!(text.unescaped()));
    }
}

/// A node without its name's own fields.
fn node(schema: &Schema, dialect: Dialect) -> Value {
    let mut map = Map::new();
    match (schema.reference, schema.kind) {
        (Some(reference), _) => {
            let name = schema::named(reference).and_then(|schema| schema.name.as_deref()).unwrap_or(reference);
            let reference = json!({"$ref": dialect.reference(name)});
            match dialect {
                Dialect::V2 => map.insert("$ref".into(), reference["$ref"].clone()),
                Dialect::V3 => map.insert("allOf".into(), json!([reference])),
            };
        }
        (None, Type::IntOrString) => int_or_string(&mut map, schema, dialect),
        (None, kind) => {
            if let Some(name) = type_name(kind) {
                map.insert("type".into(), json!(name));
            }
            if let Some(format) = &schema.format {
                let format = if &**format == "micro-time" { "date-time" } else { &**format };
                map.insert("format".into(), json!(format));
            }
        }
    }
    if let Some(items) = &schema.items {
        map.insert("items".into(), node(items, dialect));
    }
    if let Some(additional) = &schema.additional {
        map.insert("additionalProperties".into(), node(additional, dialect));
    }
    if let (Some(default), Dialect::V3) = (&schema.default, dialect) {
        map.insert("default".into(), Value::from(default));
    }
    extensions(&mut map, schema);
    Value::Object(map)
}

fn int_or_string(map: &mut Map<String, Value>, schema: &Schema, dialect: Dialect) {
    let quantity = schema.format.as_deref() == Some("quantity");
    match (dialect, quantity) {
        (Dialect::V3, true) => {
            map.insert("oneOf".into(), json!([{"type": "string"}, {"type": "number"}]));
        }
        (Dialect::V3, false) => {
            map.insert("format".into(), json!("int-or-string"));
            map.insert("oneOf".into(), json!([{"type": "integer"}, {"type": "string"}]));
        }
        (Dialect::V2, true) => {
            map.insert("type".into(), json!("string"));
        }
        (Dialect::V2, false) => {
            map.insert("type".into(), json!("string"));
            map.insert("format".into(), json!("int-or-string"));
        }
    }
}

fn type_name(kind: Type) -> Option<&'static str> {
    match kind {
        Type::Any | Type::IntOrString => None,
        Type::Boolean => Some("boolean"),
        Type::Integer => Some("integer"),
        Type::Number => Some("number"),
        Type::String => Some("string"),
        Type::Array => Some("array"),
        Type::Object => Some("object"),
    }
}

fn extensions(map: &mut Map<String, Value>, schema: &Schema) {
    match &schema.list {
        ListType::Map(keys) => {
            map.insert("x-kubernetes-list-map-keys".into(), json!(keys.iter().map(|key| &**key).collect::<Vec<_>>()));
            map.insert("x-kubernetes-list-type".into(), json!("map"));
        }
        ListType::Set => {
            map.insert("x-kubernetes-list-type".into(), json!("set"));
        }
        ListType::Atomic => {}
    }
    if schema.atomic {
        map.insert("x-kubernetes-map-type".into(), json!("atomic"));
    }
    let patch = &schema.patch;
    let strategies: Vec<&str> = [(patch.merge, "merge"), (patch.retain_keys, "retainKeys"), (patch.replace, "replace")]
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, name)| *name)
        .collect();
    if let Some(key) = &patch.merge_key {
        map.insert("x-kubernetes-patch-merge-key".into(), json!(&**key));
    }
    if !strategies.is_empty() {
        map.insert("x-kubernetes-patch-strategy".into(), json!(strategies.join(",")));
    }
}

/// The schema of a custom kind as its author wrote it, with `apiVersion`, `kind` and `metadata`.
pub(super) fn custom(written: &Document, dialect: Dialect) -> Value {
    let mut schema = Value::from(written);
    if dialect == Dialect::V2 {
        // An object that may be anything is published as just that.
        if schema["x-kubernetes-preserve-unknown-fields"] == json!(true) {
            schema = json!({});
        }
        simplify(&mut schema);
    }
    schema["type"] = json!("object");
    whole(&mut schema, OBJECT_META, dialect);
    schema
}

/// What Swagger cannot say is left open.
fn simplify(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else { return };
    let flag = |map: &Map<String, Value>, name: &str| map.get(name) == Some(&Value::Bool(true));
    let (nullable, open, either) =
        (flag(map, "nullable"), flag(map, "x-kubernetes-preserve-unknown-fields"), flag(map, "x-kubernetes-int-or-string"));
    for field in ["allOf", "anyOf", "oneOf", "not", "nullable", "default"] {
        map.remove(field);
    }
    if nullable || open || either {
        map.remove("items");
        map.remove("properties");
        map.remove("additionalProperties");
    }
    if nullable || either {
        map.remove("type");
    }
    for field in ["items", "additionalProperties"] {
        if let Some(below) = map.get_mut(field) {
            simplify(below);
        }
    }
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        properties.values_mut().for_each(simplify);
    }
}

fn whole(schema: &mut Value, metadata: &str, dialect: Dialect) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    for (field, text) in [
        (
            "apiVersion",
            "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
        ),
        (
            "kind",
            "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
        ),
    ] {
        schema["properties"][field] = json!({"description": text, "type": "string"});
    }
    let text = "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";
    schema["properties"]["metadata"] = match dialect {
        Dialect::V2 => json!({"description": text, "$ref": dialect.reference(metadata)}),
        Dialect::V3 => json!({"description": text, "allOf": [{"$ref": dialect.reference(metadata)}]}),
    };
}

/// The list of a kind.
pub(super) fn list(of: &str, own: &str, kind: &str, custom: bool, dialect: Dialect) -> Value {
    if !custom && schema::named(own).is_some() {
        return built_in(own, dialect);
    }
    let item = match dialect {
        Dialect::V2 => json!({"$ref": dialect.reference(of)}),
        Dialect::V3 => json!({"allOf": [{"$ref": dialect.reference(of)}]}),
    };
    let mut list = json!({
        "description": format!("{kind}List is a list of {kind}"),
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"description": format!("List of {}.", kind.to_lowercase()), "type": "array", "items": item}},
    });
    whole(&mut list, LIST_META, dialect);
    list
}

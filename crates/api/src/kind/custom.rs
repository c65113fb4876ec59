//! Kinds out of CustomResourceDefinitions.

use super::{
    Cell, Column, Generation, JsonPath, Kind, ScalePaths, Scope, SelectableField, Subresource, SubresourceKind, Text, Version,
};
use crate::document::Value;
use crate::schema::structural;
use crate::status::{FieldError, FieldPath};
use std::sync::Arc;

/// Why a definition makes no kind.
pub type CustomKindError = Vec<FieldError>;

const READ_WRITE: &[&str] = &["get", "patch", "update"];

/// A kind out of a definition that its rules have found good.
pub(super) fn from_crd(definition: &Value) -> Result<Kind, Vec<FieldError>> {
    let text = |path: &[&str]| Text::Owned(definition.str_at(path).unwrap_or_default().to_owned());
    // The accepted names count once there are some: they are what clients were told.
    let names: &[&str] = if definition.str_at(&["status", "acceptedNames", "kind"]).is_some_and(|kind| !kind.is_empty()) {
        &["status", "acceptedNames"]
    } else {
        &["spec", "names"]
    };
    let named = |field: &'static str| -> Text { text(&[names, &[field]].concat()) };
    let list = |field: &'static str| -> Vec<Text> {
        let items = definition.array_at(&[names, &[field]].concat());
        items.iter().filter_map(|item| Some(Text::Owned(item.as_str()?.to_owned()))).collect()
    };
    let or = |given: Text, otherwise: &dyn Fn() -> String| if given.is_empty() { Text::Owned(otherwise()) } else { given };
    let kind = named("kind");
    let mut errors = Vec::new();
    let versions = versions(definition, &text(&["spec", "group"]), &kind, &mut errors);
    if versions.is_empty() {
        errors.push(FieldError::required("spec.versions", ""));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let has_status = versions.iter().any(|version| version.subresource("status").is_some());
    Ok(Kind {
        group: text(&["spec", "group"]),
        list_kind: or(named("listKind"), &|| format!("{kind}List")),
        plural: text(&["spec", "names", "plural"]),
        singular: or(named("singular"), &|| kind.to_lowercase()),
        short_names: list("shortNames"),
        categories: list("categories"),
        scope: if definition.str_at(&["spec", "scope"]) == Some("Cluster") { Scope::Cluster } else { Scope::Namespaced },
        versions,
        unconditional_update: false,
        generation_on: if has_status { Generation::Content } else { Generation::Everything },
        custom: true,
        conversion: conversion(definition),
        terminating: crate::document::meta::is_deleted(definition),
        kind,
        ..<Kind as Default>::default()
    })
}

fn versions(definition: &Value, group: &str, kind: &str, errors: &mut Vec<FieldError>) -> Vec<Version> {
    let path = FieldPath::new("spec").child("versions");
    let written = definition.array_at(&["spec", "versions"]).iter().enumerate();
    let mut versions: Vec<Version> =
        written.map(|(index, written)| version(written, group, kind, &path.index(index), errors)).collect();
    versions.sort_by_key(|version| std::cmp::Reverse(super::table::version_order(&version.name)));
    versions
}

fn version(written: &Value, group: &str, kind: &str, path: &FieldPath, errors: &mut Vec<FieldError>) -> Version {
    let flag = |name: &str| written.field(name).and_then(Value::as_bool).unwrap_or(false);
    let name = written.str_at(&["name"]).unwrap_or_default();
    let schema = written.get(&["schema", "openAPIV3Schema"]).cloned().unwrap_or_else(Value::object);
    let own_warning = written.str_at(&["deprecationWarning"]).filter(|text| !text.is_empty());
    let warning = own_warning.map_or_else(|| format!("{group}/{name} {kind} is deprecated"), str::to_owned);
    Version {
        name: Text::Owned(name.to_owned()),
        served: flag("served"),
        storage: flag("storage"),
        deprecated: flag("deprecated").then_some(Text::Owned(warning)),
        convert: None,
        definition: "",
        custom_schema: Some(Arc::new(structural::root(&schema))),
        custom_openapi: Some(Arc::new(schema)),
        printer_columns: columns(written, &path.child("additionalPrinterColumns"), errors),
        selectable_fields: selectable(written),
        subresources: subresources(written),
    }
}

fn columns(written: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) -> Arc<[Column]> {
    let name = Column {
        name: Text::Borrowed("Name"),
        kind: Text::Borrowed("string"),
        format: Text::Borrowed("name"),
        description: Text::Borrowed("Name must be unique within a namespace."),
        priority: 0,
        cell: Cell::Function(|object, _| crate::document::meta::name(object).into()),
    };
    let mut columns = vec![name];
    for (index, column) in written.array_at(&["additionalPrinterColumns"]).iter().enumerate() {
        let text = |field: &str| Text::Owned(column.str_at(&[field]).unwrap_or_default().to_owned());
        let Some(parsed) = JsonPath::parse(&text("jsonPath")) else {
            let field = path.index(index).child("jsonPath");
            errors.push(FieldError::invalid(field, text("jsonPath"), "is an invalid JSON path"));
            continue;
        };
        columns.push(Column {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column.i64_at(&["priority"]).and_then(|priority| i32::try_from(priority).ok()).unwrap_or(0),
            cell: Cell::Path(Arc::new(parsed)),
        });
    }
    if let (1, Some(path)) = (columns.len(), JsonPath::parse(".metadata.creationTimestamp")) {
        columns.push(Column {
            name: Text::Borrowed("Age"),
            kind: Text::Borrowed("date"),
            format: Text::Borrowed(""),
            description: Text::Borrowed(
                "CreationTimestamp is a timestamp representing the server time when this object was created.",
            ),
            priority: 0,
            cell: Cell::Path(Arc::new(path)),
        });
    }
    columns.into()
}

fn selectable(written: &Value) -> Arc<[SelectableField]> {
    let field = |field: &Value| {
        let path = field.str_at(&["jsonPath"])?;
        let name = path.trim_start_matches('.').to_owned();
        let path = JsonPath::parse(path)?.fields()?.into_iter().map(Text::Owned).collect();
        Some(SelectableField { name: Text::Owned(name), path, otherwise: Vec::new(), default: "" })
    };
    written.array_at(&["selectableFields"]).iter().filter_map(field).collect()
}

fn subresources(written: &Value) -> Arc<[Subresource]> {
    let mut found = Vec::new();
    if written.get(&["subresources", "status"]).is_some_and(|status| !status.is_null()) {
        found.push(Subresource { name: Text::Borrowed("status"), kind: SubresourceKind::Status, verbs: READ_WRITE, body: None });
    }
    if let Some(scale) = written.get(&["subresources", "scale"]).filter(|scale| scale.as_object().is_some()) {
        let path = |field: &str| JsonPath::parse(scale.str_at(&[field])?)?.fields();
        let paths = ScalePaths {
            spec_replicas: path("specReplicasPath").unwrap_or_default(),
            status_replicas: path("statusReplicasPath").unwrap_or_default(),
            label_selector: path("labelSelectorPath"),
        };
        let body = Some(("autoscaling", "v1", "Scale"));
        found.push(Subresource { name: Text::Borrowed("scale"), kind: SubresourceKind::Scale(paths), verbs: READ_WRITE, body });
    }
    found.into()
}

fn conversion(definition: &Value) -> Option<Arc<Value>> {
    let by_webhook = definition.str_at(&["spec", "conversion", "strategy"]) == Some("Webhook");
    definition.get(&["spec", "conversion", "webhook"]).filter(|_| by_webhook).cloned().map(Arc::new)
}

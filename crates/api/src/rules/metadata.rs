//! What holds for the metadata of every object: labels, annotations, finalizers and owners.

use super::{FieldError, FieldPath, names};
use crate::document::{Value, meta};

/// The most bytes that all annotations together may have.
const ANNOTATION_BYTES_MAX: usize = 256 * 1024;

/// What is wrong with the metadata, or with its change.
pub fn validate(new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = FieldPath::new("metadata");
    let mut errors = Vec::new();
    labels(new, &path, &mut errors);
    annotations(new, &path, &mut errors);
    owners(new, &path, &mut errors);
    for finalizer in meta::finalizers(new) {
        let path = path.child("finalizers");
        for problem in names::qualified_name(finalizer) {
            errors.push(FieldError::invalid(&path, finalizer, problem));
        }
        let short = matches!(finalizer, "orphan" | "foregroundDeletion" | "kubernetes");
        if errors.is_empty() && !finalizer.contains('/') && !short && !finalizer.contains('.') {
            let text = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&path, finalizer, text));
        }
    }
    if let Some(old) = old.filter(|old| meta::is_deleted(old)) {
        let added: Vec<&str> = meta::finalizers(new).filter(|finalizer| !meta::has_finalizer(old, finalizer)).collect();
        if !added.is_empty() {
            let list = added.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
            let text =
                format!("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{list}}}");
            errors.push(FieldError::forbidden(path.child("finalizers"), text));
        }
    }
    errors
}

/// What is wrong with the labels below `path`; templates have them too.
pub fn labels(object: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let path = path.child("labels");
    for (name, value) in object.object_at(&["metadata", "labels"]).into_iter().flat_map(crate::document::Map::iter) {
        for problem in names::qualified_name(name) {
            errors.push(FieldError::invalid(&path, name, problem));
        }
        let text = value.as_str().unwrap_or_default();
        for problem in names::label_value(text) {
            errors.push(FieldError::invalid(&path, text, problem));
        }
    }
}

/// What is wrong with the annotations below `path`.
pub fn annotations(object: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let path = path.child("annotations");
    let mut bytes = 0;
    for (name, value) in meta::annotations(object).into_iter().flat_map(crate::document::Map::iter) {
        for problem in names::qualified_name(&name.to_lowercase()) {
            errors.push(FieldError::invalid(&path, name, problem));
        }
        bytes += name.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATION_BYTES_MAX {
        errors.push(FieldError::too_long(&path, ANNOTATION_BYTES_MAX));
    }
}

fn owners(object: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let path = path.child("ownerReferences");
    let owners = meta::owner_references(object);
    for (index, owner) in owners.iter().enumerate() {
        let path = path.index(index);
        let needed = [
            ("apiVersion", &owner.api_version, "version must not be empty"),
            ("kind", &owner.kind, "must not be empty"),
            ("name", &owner.name, "must not be empty"),
            ("uid", &owner.uid, "must not be empty"),
        ];
        for (field, given, text) in needed {
            if given.is_empty() {
                errors.push(FieldError::invalid(path.child(field), given.as_str(), text));
            }
        }
        if owner.kind == "Event" && owner.api_version == "v1" {
            errors.push(FieldError::invalid(&path, Value::Null, "/v1, Kind=Event is disallowed from being an owner"));
        }
    }
    let controllers: Vec<&str> = owners.iter().filter(|owner| owner.controller).map(|owner| owner.name.as_str()).collect();
    if controllers.len() > 1 {
        let shown = object.get(&["metadata", "ownerReferences"]).cloned().unwrap_or_default();
        let text = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            controllers[0], controllers[1]
        );
        errors.push(FieldError::invalid(&path, shown, text));
    }
}

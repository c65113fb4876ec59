//! CustomResourceDefinitions: what is filled in, and which definitions can be served.

mod structure;

use super::{FieldError, FieldPath, RuleContext, Rules, names};
use crate::document::{Value, meta};
use crate::kind::JsonPath;

/// The rules of definitions.
pub struct DefinitionRules;

/// The finalizer that holds a definition until its instances are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

impl Rules for DefinitionRules {
    fn default(&self, definition: &mut Value) {
        let Some(spec) = definition.get_mut(&["spec"]) else { return };
        let kind = spec.str_at(&["names", "kind"]).unwrap_or_default().to_owned();
        if !kind.is_empty() {
            for (field, text) in [("singular", kind.to_lowercase()), ("listKind", format!("{kind}List"))] {
                if spec.str_at(&["names", field]).is_none_or(str::is_empty) {
                    spec.set_at(&["names", field], text);
                }
            }
        }
        if spec.str_at(&["conversion", "strategy"]).is_none_or(str::is_empty) {
            spec.set_at(&["conversion", "strategy"], "None");
        }
        if spec.get(&["conversion", "webhook", "clientConfig", "service"]).is_some() {
            spec.default_at(&["conversion", "webhook", "clientConfig", "service", "port"], 443_i64);
        }
        for version in spec.get_mut(&["versions"]).and_then(Value::as_array_mut).into_iter().flatten() {
            version.default_at(&["served"], false);
            version.default_at(&["storage"], false);
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        if let (Some(old), Some(_)) = (old, context.subresource) {
            super::pod::keep(new, old, &["spec"]);
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        check_names(new, &mut errors);
        check_versions(new, &mut errors);
        check_conversion(new, &mut errors);
        if let Some(old) = old {
            check_change(new, old, &mut errors);
        }
        errors
    }
}

fn check_names(definition: &Value, errors: &mut Vec<FieldError>) {
    let text = |path: &[&str]| definition.str_at(path).unwrap_or_default();
    let (group, plural) = (text(&["spec", "group"]), text(&["spec", "names", "plural"]));
    if meta::name(definition) != format!("{plural}.{group}") {
        errors.push(FieldError::invalid("metadata.name", meta::name(definition), "must be spec.names.plural+\".\"+spec.group"));
    }
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    } else if let Some(problem) = names::dns_subdomain(group).into_iter().next() {
        errors.push(FieldError::invalid("spec.group", group, problem));
    } else if !group.contains('.') {
        errors.push(FieldError::invalid("spec.group", group, "should be a domain with at least one dot"));
    }
    match text(&["spec", "scope"]) {
        "" => errors.push(FieldError::required("spec.scope", "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported("spec.scope", other, &["Cluster", "Namespaced"])),
    }
    for field in ["plural", "singular", "kind", "listKind"] {
        let name = text(&["spec", "names", field]);
        let path = FieldPath::new("spec").child("names").child(field);
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        for problem in names::dns_1035_label(&name.to_lowercase()) {
            errors.push(FieldError::invalid(&path, name, problem));
        }
    }
    for field in ["shortNames", "categories"] {
        for (index, item) in definition.array_at(&["spec", "names", field]).iter().enumerate() {
            let name = item.as_str().unwrap_or_default();
            for problem in names::dns_1035_label(name) {
                let path = FieldPath::new("spec").child("names").child(field).index(index);
                errors.push(FieldError::invalid(path, name, problem));
            }
        }
    }
    if definition.bool_at(&["spec", "preserveUnknownFields"]) == Some(true) {
        let text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid("spec.preserveUnknownFields", true, text));
    }
}

fn check_versions(definition: &Value, errors: &mut Vec<FieldError>) {
    let versions = definition.array_at(&["spec", "versions"]);
    let path = FieldPath::new("spec").child("versions");
    let stored = versions.iter().filter(|version| version.bool_at(&["storage"]) == Some(true)).count();
    if versions.is_empty() {
        errors.push(FieldError::required(&path, ""));
    } else if stored != 1 {
        let shown = definition.get(&["spec", "versions"]).cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&path, shown, "must have exactly one version marked as storage version"));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        let name = version.str_at(&["name"]).unwrap_or_default();
        for problem in names::dns_1035_label(name) {
            errors.push(FieldError::invalid(path.child("name"), name, problem));
        }
        if versions[..index].iter().any(|other| other.str_at(&["name"]) == Some(name)) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        let schema_path = path.child("schema").child("openAPIV3Schema");
        match version.get(&["schema", "openAPIV3Schema"]) {
            Some(schema) if schema.as_object().is_some() => structure::check(schema, &schema_path, errors),
            _ => errors.push(FieldError::required(&schema_path, "schemas are required")),
        }
        check_columns(version, &path, errors);
        check_subresources(version, &path, errors);
        check_selectable(version, &path, errors);
    }
}

fn check_columns(version: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    const KINDS: &[&str] = &["boolean", "date", "integer", "number", "string"];
    for (index, column) in version.array_at(&["additionalPrinterColumns"]).iter().enumerate() {
        let path = path.child("additionalPrinterColumns").index(index);
        let text = |field: &str| column.str_at(&[field]).unwrap_or_default();
        if text("name").is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        match text("type") {
            "" => errors.push(FieldError::required(path.child("type"), "must be one of boolean,date,integer,number,string")),
            kind if !KINDS.contains(&kind) => {
                errors.push(FieldError::invalid(path.child("type"), kind, "must be one of boolean,date,integer,number,string"));
            }
            _ => {}
        }
        match text("jsonPath") {
            "" => errors.push(FieldError::required(path.child("jsonPath"), "")),
            given if JsonPath::parse(given).is_none() => {
                errors.push(FieldError::invalid(path.child("jsonPath"), given, "is an invalid JSON path"));
            }
            _ => {}
        }
    }
}

fn check_subresources(version: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(scale) = version.get(&["subresources", "scale"]).filter(|scale| !scale.is_null()) else { return };
    let path = path.child("subresources").child("scale");
    let places = [
        ("specReplicasPath", ".spec.", true),
        ("statusReplicasPath", ".status.", true),
        ("labelSelectorPath", ".status.", false),
    ];
    for (field, prefix, required) in places {
        let given = scale.str_at(&[field]).unwrap_or_default();
        let path = path.child(field);
        let simple = JsonPath::parse(given).and_then(|path| path.fields()).is_some();
        if given.is_empty() {
            if required {
                errors.push(FieldError::required(path, ""));
            }
        } else if !simple {
            errors.push(FieldError::invalid(path, given, "should be a json path under .spec"));
        } else if !given.starts_with(prefix) {
            let text = format!("should be a json path under {}", prefix.trim_end_matches('.'));
            errors.push(FieldError::invalid(path, given, text));
        }
    }
}

fn check_selectable(version: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let fields = version.array_at(&["selectableFields"]);
    let path = path.child("selectableFields");
    if fields.len() > 8 {
        errors.push(FieldError::too_many(&path, fields.len(), 8));
    }
    for (index, field) in fields.iter().enumerate() {
        let path = path.index(index).child("jsonPath");
        match field.str_at(&["jsonPath"]).unwrap_or_default() {
            "" => errors.push(FieldError::required(path, "")),
            given if given.starts_with(".metadata") => {
                errors.push(FieldError::invalid(path, given, "must not point to fields in metadata"));
            }
            given if JsonPath::parse(given).and_then(|path| path.fields()).is_none() => {
                errors.push(FieldError::invalid(path, given, "is an invalid path: only simple paths of fields are allowed"));
            }
            _ => {}
        }
    }
}

fn check_conversion(definition: &Value, errors: &mut Vec<FieldError>) {
    let strategy = definition.str_at(&["spec", "conversion", "strategy"]).unwrap_or("None");
    let path = FieldPath::new("spec").child("conversion");
    let webhook = definition.get(&["spec", "conversion", "webhook"]).filter(|webhook| !webhook.is_null());
    match (strategy, webhook) {
        ("None", None) => {}
        ("None", Some(_)) => {
            errors.push(FieldError::forbidden(path.child("webhook"), "should not be set when strategy is not set to Webhook"));
        }
        ("Webhook", None) => {
            errors.push(FieldError::required(path.child("webhook"), "required when strategy is set to Webhook"));
        }
        ("Webhook", Some(webhook)) => {
            let url = webhook.str_at(&["clientConfig", "url"]).is_some();
            let service = webhook.get(&["clientConfig", "service"]).is_some_and(|service| !service.is_null());
            if url == service {
                let field = path.child("webhook").child("clientConfig");
                errors.push(FieldError::required(field, "exactly one of url or service is required"));
            }
            if webhook.array_at(&["conversionReviewVersions"]).is_empty() {
                errors.push(FieldError::required(path.child("webhook").child("conversionReviewVersions"), ""));
            }
        }
        (other, _) => errors.push(FieldError::not_supported(path.child("strategy"), other, &["None", "Webhook"])),
    }
}

fn check_change(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let established = old
        .array_at(&["status", "conditions"])
        .iter()
        .any(|condition| condition.str_at(&["type"]) == Some("Established") && condition.str_at(&["status"]) == Some("True"));
    let mut fixed: Vec<&[&str]> = vec![&["spec", "group"], &["spec", "names", "plural"]];
    if established {
        fixed.extend([&["spec", "scope"] as &[&str], &["spec", "names", "kind"]]);
    }
    for path in fixed {
        if new.get(path) != old.get(path) {
            errors.push(FieldError::invalid(path.join("."), new.get(path).cloned().unwrap_or_default(), "field is immutable"));
        }
    }
    // A version in which objects may still be kept cannot be taken away.
    let names: Vec<&str> = new.array_at(&["spec", "versions"]).iter().filter_map(|version| version.str_at(&["name"])).collect();
    for (index, stored) in new.array_at(&["status", "storedVersions"]).iter().filter_map(Value::as_str).enumerate() {
        if !names.contains(&stored) {
            let path = FieldPath::new("status").child("storedVersions").index(index);
            errors.push(FieldError::invalid(
                path,
                stored,
                "missing from spec.versions; either the version was removed or the storage version is not a served version",
            ));
        }
    }
}

//! ConfigMaps and Secrets: their keys, their size, and what may no longer change.

use super::{FieldError, Rules, names};
use crate::document::{Map, Value, meta};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The rules of ConfigMaps.
pub struct ConfigMapRules;
/// The rules of Secrets.
pub struct SecretRules;

/// The most bytes that one of them holds.
const BYTES_MAX: usize = 1024 * 1024;
const FIXED: &str = "field is immutable when `immutable` is set";

impl Rules for ConfigMapRules {
    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let bytes = keys(new, "data", &mut errors) + keys(new, "binaryData", &mut errors);
        for name in new.object_at(&["binaryData"]).into_iter().flat_map(Map::keys) {
            if new.object_at(&["data"]).is_some_and(|data| data.contains(name)) {
                errors.push(FieldError::invalid(format!("data[{name}]"), name, "duplicate of key present in binaryData"));
            }
        }
        if bytes > BYTES_MAX {
            errors.push(FieldError::too_long("", BYTES_MAX));
        }
        check_immutable(new, old, &["data", "binaryData"], &mut errors);
        errors
    }
}

impl Rules for SecretRules {
    fn default(&self, secret: &mut Value) {
        secret.default_at(&["type"], "Opaque");
        if let Some(Value::Object(texts)) = secret.remove_at(&["stringData"]) {
            for (name, text) in texts.iter() {
                secret.set_at(&["data", name], STANDARD.encode(text.as_str().unwrap_or_default()));
            }
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if keys(new, "data", &mut errors) / 4 * 3 > BYTES_MAX {
            errors.push(FieldError::too_long("data", BYTES_MAX));
        }
        check_type(new, &mut errors);
        if let Some(old) = old {
            super::change::fixed(new, old, &["type"], &mut errors);
        }
        check_immutable(new, old, &["data"], &mut errors);
        errors
    }
}

/// What the type of a Secret asks to be in it.
fn check_type(secret: &Value, errors: &mut Vec<FieldError>) {
    let kind = secret.str_at(&["type"]).unwrap_or_default();
    let has = |name: &str| secret.get(&["data", name]).is_some();
    let mut need = |name: &str| {
        if !has(name) {
            errors.push(FieldError::required(format!("data[{name}]"), ""));
        }
    };
    match kind {
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if meta::annotation(secret, name).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{name}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => need(".dockercfg"),
        "kubernetes.io/dockerconfigjson" => need(".dockerconfigjson"),
        "kubernetes.io/basic-auth" if !has("username") && !has("password") => {
            errors.push(FieldError::required("data[username]", ""));
            errors.push(FieldError::required("data[password]", ""));
        }
        "kubernetes.io/ssh-auth" => need("ssh-privatekey"),
        "kubernetes.io/tls" => {
            need("tls.crt");
            need("tls.key");
        }
        _ => {}
    }
}

/// Checks the keys of a field, and counts the bytes of its values.
fn keys(object: &Value, field: &str, errors: &mut Vec<FieldError>) -> usize {
    let mut bytes = 0;
    for (name, value) in object.object_at(&[field]).into_iter().flat_map(Map::iter) {
        for problem in names::config_map_key(name) {
            errors.push(FieldError::invalid(format!("{field}[{name}]"), name, problem));
        }
        bytes += value.as_str().map_or(0, str::len);
    }
    bytes
}

fn check_immutable(new: &Value, old: Option<&Value>, fields: &[&str], errors: &mut Vec<FieldError>) {
    let Some(old) = old.filter(|old| old.bool_at(&["immutable"]) == Some(true)) else { return };
    if new.bool_at(&["immutable"]) != Some(true) {
        errors.push(FieldError::forbidden("immutable", FIXED));
    }
    for field in fields {
        let value = |object: &Value| object.field(field).filter(|value| !value.is_empty()).cloned();
        if value(new) != value(old) {
            errors.push(FieldError::forbidden(*field, FIXED));
        }
    }
}

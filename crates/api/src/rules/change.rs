//! Words for what may not change.

use super::FieldError;
use crate::document::Value;

/// An error if a field differs from what it was.
pub(super) fn fixed(new: &Value, old: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    if same(new, old, path) {
        return;
    }
    errors.push(FieldError::invalid(path.join("."), new.get(path).cloned().unwrap_or_default(), "field is immutable"));
}

/// An error of the sort `Forbidden` if a field differs from what it was.
pub(super) fn forbidden(new: &Value, old: &Value, path: &[&str], text: &str, errors: &mut Vec<FieldError>) {
    if !same(new, old, path) {
        errors.push(FieldError::forbidden(path.join("."), text));
    }
}

/// Whether a field is as it was; null is as good as missing.
pub(super) fn same(new: &Value, old: &Value, path: &[&str]) -> bool {
    let value = |object: &Value| object.get(path).filter(|value| !value.is_null()).cloned();
    value(new) == value(old)
}

/// An error if a number is below zero.
pub(super) fn not_negative(object: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    if let Some(number) = object.i64_at(path).filter(|number| *number < 0) {
        errors.push(FieldError::invalid(path.join("."), number, "must be greater than or equal to 0"));
    }
}

/// An error if a text is none of those that are allowed.
pub(super) fn one_of(object: &Value, path: &[&str], allowed: &[&str], errors: &mut Vec<FieldError>) {
    if let Some(text) = object.str_at(path).filter(|text| !allowed.contains(text)) {
        errors.push(FieldError::not_supported(path.join("."), text, allowed));
    }
}

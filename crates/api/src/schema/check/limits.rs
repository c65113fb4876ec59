//! The bounds, patterns, enumerations and junctors of a custom kind's schema.

use super::{check as check_value, in_body};
use crate::document::Value;
use crate::schema::{Limits, Schema};
use crate::status::{FieldError, FieldPath};

pub(super) fn check(value: &Value, limits: &Limits, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if let Some(allowed) = &limits.enumeration
        && !allowed.iter().any(|one| same(one, value))
    {
        let texts: Vec<String> = allowed.iter().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        errors.push(FieldError::not_supported(path.as_str(), value.clone(), &texts));
    }
    match value {
        Value::String(text) => check_text(text, limits, path, errors),
        Value::Int(_) | Value::Float(_) => check_number(value, limits, path, errors),
        Value::Array(items) => check_items(items, limits, path, errors),
        Value::Object(map) => {
            let mut refuse = |text: String| errors.push(FieldError::invalid(path.as_str(), value.clone(), text));
            if let Some(least) = limits.min_properties.filter(|least| map.len() < *least) {
                refuse(format!("{} should have at least {least} properties", in_body(path)));
            }
            if let Some(most) = limits.max_properties.filter(|most| map.len() > *most) {
                errors.push(FieldError::too_many(path.as_str(), map.len(), most));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    check_junctors(value, limits, path, errors);
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

fn check_text(text: &str, limits: &Limits, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let length = text.chars().count();
    if let Some(most) = limits.max_length.filter(|most| length > *most) {
        errors.push(FieldError::too_long(path.as_str(), most));
    }
    let mut refuse = |complaint: String| errors.push(FieldError::invalid(path.as_str(), text, complaint));
    if let Some(least) = limits.min_length.filter(|least| length < *least) {
        refuse(format!("{} should be at least {least} chars long", in_body(path)));
    }
    if let Some(pattern) = &limits.pattern
        && !regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
    {
        refuse(format!("{} should match '{pattern}'", in_body(path)));
    }
}

fn check_number(value: &Value, limits: &Limits, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let Some(number) = value.as_f64() else { return };
    let mut refuse = |complaint: String| errors.push(FieldError::invalid(path.as_str(), value.clone(), complaint));
    if let Some(least) = limits.minimum {
        if limits.exclusive_minimum && number <= least {
            refuse(format!("{} should be greater than {least}", in_body(path)));
        } else if number < least {
            refuse(format!("{} should be greater than or equal to {least}", in_body(path)));
        }
    }
    if let Some(most) = limits.maximum {
        if limits.exclusive_maximum && number >= most {
            refuse(format!("{} should be less than {most}", in_body(path)));
        } else if number > most {
            refuse(format!("{} should be less than or equal to {most}", in_body(path)));
        }
    }
    if let Some(factor) =
        limits.multiple_of.filter(|factor| *factor > 0.0 && ((number / factor).round() * factor - number).abs() > 1e-9)
    {
        refuse(format!("{} should be a multiple of {factor}", in_body(path)));
    }
}

fn check_items(items: &[Value], limits: &Limits, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if let Some(most) = limits.max_items.filter(|most| items.len() > *most) {
        errors.push(FieldError::too_many(path.as_str(), items.len(), most));
    }
    let mut refuse = |complaint: String| errors.push(FieldError::invalid(path.as_str(), Value::Array(items.to_vec()), complaint));
    if let Some(least) = limits.min_items.filter(|least| items.len() < *least) {
        refuse(format!("{} should have at least {least} items", in_body(path)));
    }
    if limits.unique_items && items.iter().enumerate().any(|(index, item)| items[..index].contains(item)) {
        refuse(format!("{} shouldn't contain duplicates", in_body(path)));
    }
}

fn check_junctors(value: &Value, limits: &Limits, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let complaints = |schema: &Schema| {
        let mut found = Vec::new();
        check_against(value, schema, path, &mut found);
        found
    };
    for schema in &limits.all_of {
        errors.extend(complaints(schema));
    }
    let mut refuse = |text: &str| {
        errors.push(FieldError::invalid(path.as_str(), value.clone(), format!("{} {text}", in_body(path))));
    };
    if !limits.any_of.is_empty() && !limits.any_of.iter().any(|schema| complaints(schema).is_empty()) {
        refuse("must validate at least one schema (anyOf)");
    }
    if !limits.one_of.is_empty() {
        match limits.one_of.iter().filter(|schema| complaints(schema).is_empty()).count() {
            1 => {}
            0 => refuse("must validate one and only one schema (oneOf). Found none valid"),
            count => refuse(&format!("must validate one and only one schema (oneOf). Found {count} valid alternatives")),
        }
    }
    if limits.not.as_ref().is_some_and(|schema| complaints(schema).is_empty()) {
        refuse("must not validate the schema (not)");
    }
}

fn check_against(value: &Value, schema: &Schema, path: &FieldPath, errors: &mut Vec<FieldError>) {
    check_value(value, schema, path, errors);
}

//! `values.schema.json` of a tree of charts. It never fetches a schema: what refers to another place is an error.

use std::fmt::Write as _;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, ValidationOptions};
use serde_json::Value as Json;

use crate::chart::Chart;
use crate::values::Values;

/// What of a chart's values its schema refuses, and its subcharts' schemas; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
pub struct SchemaError(pub String);

/// Checks coalesced values.
pub fn check(chart: &Chart, values: &Values) -> Result<(), SchemaError> {
    let mut text = String::new();
    check_below(chart, values, &mut text);
    if text.is_empty() { Ok(()) } else { Err(SchemaError(text)) }
}

fn check_below(chart: &Chart, values: &Values, text: &mut String) {
    if let Some(schema) = &chart.schema
        && let Err(error) = check_one(schema, values)
    {
        let _ = write!(text, "{}:\n{error}", chart.name());
    }
    for subchart in &chart.dependencies {
        match values.get(subchart.name()) {
            None | Some(Json::Null) => {}
            Some(Json::Object(values)) => check_below(subchart, values, text),
            Some(other) => {
                let kind = match other {
                    Json::Bool(_) => "bool",
                    Json::Number(number) if number.is_f64() => "float64",
                    Json::Number(_) => "int64",
                    Json::String(_) => "string",
                    _ => "[]interface {}",
                };
                let name = subchart.name();
                let _ = writeln!(text, "{name}:\ninvalid type for values: expected object (map), got {kind}");
            }
        }
    }
}

/// Checks one table by one schema; the text has no heading.
pub fn check_table(schema: &[u8], values: &Values) -> Result<(), String> {
    check_one(schema, values)
}

fn check_one(schema: &[u8], values: &Values) -> Result<(), String> {
    let schema: Json = serde_json::from_slice(schema).map_err(|error| format!("{error}\n"))?;
    let options: ValidationOptions = jsonschema::options();
    let validator = options.build(&schema).map_err(|error| format!("{error}\n"))?;
    let values = whole(&Json::Object(values.clone()));
    let mut lines = Vec::new();
    for error in validator.iter_errors(&values) {
        describe(&error, 0, &mut lines);
    }
    if lines.is_empty() {
        return Ok(());
    }
    Err(lines.join("\n") + "\n")
}

/// Floats without a fraction as integers, which is what a schema means.
#[must_use]
pub fn whole(value: &Json) -> Json {
    match value {
        Json::Number(number) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
            Some(float) if float.fract() == 0.0 && float.abs() < 9.0e15 => Json::from(float as i64),
            _ => value.clone(),
        },
        Json::Array(items) => Json::Array(items.iter().map(whole).collect()),
        Json::Object(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), whole(value))).collect()),
        other => other.clone(),
    }
}

fn describe(error: &ValidationError<'_>, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let place = format!("{indent}- at '{}': ", error.instance_path());
    if let ValidationErrorKind::Required { property } = error.kind() {
        return describe_missing(&place, &shown(property), lines);
    }
    if let ValidationErrorKind::UnevaluatedProperties { unexpected } = error.kind() {
        for name in unexpected {
            lines.push(format!("{indent}- at '{}/{name}': false schema", error.instance_path()));
        }
        return;
    }
    lines.push(format!("{place}{}", message(error)));
    let context = match error.kind() {
        ValidationErrorKind::AnyOf { context }
        | ValidationErrorKind::OneOfNotValid { context }
        | ValidationErrorKind::OneOfMultipleValid { context } => context,
        _ => return,
    };
    for cause in context.iter().flatten() {
        describe(cause, depth + 1, lines);
    }
}

/// Missing properties of one object share a line.
fn describe_missing(place: &str, property: &str, lines: &mut Vec<String>) {
    if let Some(last) = lines.last_mut() {
        if let Some(one) = last.strip_prefix(place).and_then(|rest| rest.strip_prefix("missing property ")) {
            *last = format!("{place}missing properties {one}, {property}");
            return;
        }
        if last.starts_with(&format!("{place}missing properties ")) {
            let _ = write!(last, ", {property}");
            return;
        }
    }
    lines.push(format!("{place}missing property {property}"));
}

fn message(error: &ValidationError<'_>) -> String {
    let got = error.instance();
    let size = || match &**got {
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        Json::Object(map) => map.len(),
        _ => 0,
    };
    match error.kind() {
        ValidationErrorKind::Type { kind } => format!("got {}, want {}", kind_of(got), wanted(kind)),
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options.as_array().into_iter().flatten().map(shown).collect();
            format!("value must be one of {}", options.join(", "))
        }
        ValidationErrorKind::Constant { expected_value } => format!("value must be {}", shown(expected_value)),
        ValidationErrorKind::Minimum { limit } => format!("minimum: got {}, want {}", grouped(got), grouped(limit)),
        ValidationErrorKind::Maximum { limit } => format!("maximum: got {}, want {}", grouped(got), grouped(limit)),
        ValidationErrorKind::ExclusiveMinimum { limit } => {
            format!("exclusiveMinimum: got {}, want {}", grouped(got), grouped(limit))
        }
        ValidationErrorKind::ExclusiveMaximum { limit } => {
            format!("exclusiveMaximum: got {}, want {}", grouped(got), grouped(limit))
        }
        ValidationErrorKind::MultipleOf { multiple_of } => {
            format!("multipleOf: got {}, want {}", grouped(got), grouped(multiple_of))
        }
        ValidationErrorKind::MinLength { limit } => format!("minLength: got {}, want {limit}", size()),
        ValidationErrorKind::MaxLength { limit } => format!("maxLength: got {}, want {limit}", size()),
        ValidationErrorKind::MinItems { limit } => format!("minItems: got {}, want {limit}", size()),
        ValidationErrorKind::MaxItems { limit } => format!("maxItems: got {}, want {limit}", size()),
        ValidationErrorKind::MinProperties { limit } => format!("minProperties: got {}, want {limit}", size()),
        ValidationErrorKind::MaxProperties { limit } => format!("maxProperties: got {}, want {limit}", size()),
        ValidationErrorKind::Pattern { pattern } => format!("{} does not match pattern '{pattern}'", shown(got)),
        ValidationErrorKind::Format { format } => format!("{} is not valid {format}", shown(got)),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().map(|name| format!("'{name}'")).collect();
            format!("additional properties {} not allowed", names.join(", "))
        }
        ValidationErrorKind::UniqueItems => equal_items(got),
        ValidationErrorKind::AnyOf { .. } => "'anyOf' failed".to_owned(),
        ValidationErrorKind::OneOfNotValid { .. } => "'oneOf' failed, none matched".to_owned(),
        ValidationErrorKind::OneOfMultipleValid { .. } => "'oneOf' failed, more than one matched".to_owned(),
        ValidationErrorKind::Not { .. } => "'not' failed".to_owned(),
        ValidationErrorKind::FalseSchema => "false schema".to_owned(),
        _ => error.to_string(),
    }
}

fn equal_items(list: &Json) -> String {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    for (second, item) in items.iter().enumerate() {
        if let Some(first) = items[..second].iter().position(|before| before == item) {
            return format!("items at {first} and {second} are equal");
        }
    }
    "items are equal".to_owned()
}

fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// The wanted types in the order in which Helm's library has them.
fn wanted(kind: &TypeKind) -> String {
    const ORDER: &[&str] = &["null", "boolean", "number", "integer", "string", "array", "object"];
    let names: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(many) => many.iter().map(|one| one.to_string()).collect(),
    };
    let mut names: Vec<&str> = names.iter().map(|name| name.trim_matches('"')).collect();
    names.sort_by_key(|name| ORDER.iter().position(|known| known == name));
    names.join(" or ")
}

/// A number with a comma at each thousand.
fn grouped(number: &impl std::fmt::Display) -> String {
    let text = number.to_string();
    let whole = text.len() - text.trim_start_matches(['-', '+']).trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let sign = text.len() - text.trim_start_matches('-').len();
    let mut out = String::new();
    for (at, digit) in text.char_indices() {
        if at > sign && at < whole && (whole - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => format!("'{text}'"),
        Json::Number(number) => number.to_string(),
        other => crate::print::display(&crate::value::Value::from_tree(other)).to_string(),
    }
}

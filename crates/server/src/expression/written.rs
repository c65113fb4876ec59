//! Expressions in what is written: those of webhooks and policies must compile, so that no write meets one later that cannot.

use api::document::{Value, meta};
use api::kind::Kind;
use api::status::FieldError;

/// The longest expression.
const LENGTH_MAX: usize = 5 * 1024;

/// What is wrong with the expressions of a webhook configuration or policy. One that stands in `old` too is not looked at again.
pub(crate) fn problems(kind: &Kind, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    if kind.group != "admissionregistration.k8s.io" {
        return Vec::new();
    }
    let before: Vec<String> = old.map(|old| expressions(old).into_iter().map(|(_, text)| text).collect()).unwrap_or_default();
    let fresh = expressions(new).into_iter().filter(|(_, text)| !text.trim().is_empty() && !before.contains(text));
    fresh.filter_map(|(field, text)| problem(field, &text)).collect()
}

fn problem(field: String, text: &str) -> Option<FieldError> {
    if text.len() > LENGTH_MAX {
        return Some(FieldError::too_long(field, LENGTH_MAX));
    }
    let error = super::parse::parsed(text.trim()).err()?;
    Some(FieldError::invalid(field, text, error.to_string()))
}

/// Every expression, and where it stands.
fn expressions(object: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut add = |holder: &Value, path: String, fields: &[&[&str]]| {
        for field in fields {
            if let Some(text) = holder.str_at(field) {
                found.push((format!("{path}.{}", field.join(".")), text.to_owned()));
            }
        }
    };
    if meta::kind(object).ends_with("WebhookConfiguration") {
        for (at, webhook) in object.array_at(&["webhooks"]).iter().enumerate() {
            for (place, condition) in webhook.array_at(&["matchConditions"]).iter().enumerate() {
                add(condition, format!("webhooks[{at}].matchConditions[{place}]"), &[&["expression"]]);
            }
        }
        return found;
    }
    for (list, fields) in [
        ("matchConditions", &[&["expression"] as &[&str]] as &[&[&str]]),
        ("variables", &[&["expression"]]),
        ("validations", &[&["expression"], &["messageExpression"]]),
        ("auditAnnotations", &[&["valueExpression"]]),
        ("mutations", &[&["applyConfiguration", "expression"], &["jsonPatch", "expression"]]),
    ] {
        for (at, item) in object.array_at(&["spec", list]).iter().enumerate() {
            add(item, format!("spec.{list}[{at}]"), fields);
        }
    }
    found
}

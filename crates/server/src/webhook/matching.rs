//! Which writes a webhook or policy wants to see: rules, and selectors of namespace and object.

use api::document::{Value, meta};
use api::selector::LabelSelector;
use api::status::Status;

use crate::State;
use crate::admission::{Operation, Review};
use crate::security::Objects as _;

/// Whether the webhook wants to see the write.
pub(crate) fn matches(webhook: &Value, review: &Review<'_>, state: &State) -> Result<bool, Status> {
    let equivalent = webhook.str_at(&["matchPolicy"]) != Some("Exact");
    let rules = webhook.array_at(&["rules"]);
    Ok(rules.iter().any(|rule| rule_matches(rule, review, state, equivalent))
        && selects_namespace(webhook, review, state)?
        && selects_object(webhook, review)?)
}

/// Whether a rule names the operation and the resource.
pub(crate) fn rule_matches(rule: &Value, review: &Review<'_>, state: &State, equivalent: bool) -> bool {
    let has = |field: &str, wanted: &str| {
        rule.array_at(&[field]).iter().filter_map(Value::as_str).any(|given| given == "*" || given == wanted)
    };
    if !has("operations", review.operation.as_str()) || !has("apiGroups", review.group) {
        return false;
    }
    let version = has("apiVersions", review.version)
        || (equivalent && other_versions(review, state).iter().any(|name| has("apiVersions", name)));
    let full = format!("{}/{}", review.resource, review.subresource);
    let resource = rule.array_at(&["resources"]).iter().filter_map(Value::as_str).any(|given| match given.split_once('/') {
        None if review.subresource.is_empty() => given == "*" || given == review.resource,
        None => false,
        Some(("*", "*")) => true,
        Some(("*", sub)) => sub == review.subresource,
        Some((resource, "*")) => resource == review.resource,
        Some(_) => given == full,
    });
    let scope = match rule.str_at(&["scope"]) {
        Some("Cluster") => review.namespace.is_empty() || is_namespace(review),
        Some("Namespaced") => !review.namespace.is_empty() && !is_namespace(review),
        _ => true,
    };
    version && resource && scope
}

fn other_versions(review: &Review<'_>, state: &State) -> Vec<String> {
    let kinds = state.kinds();
    let kind = kinds.resource(review.group, review.resource);
    kind.map(|kind| kind.versions.iter().filter(|version| version.served).map(|version| version.name.to_string()).collect())
        .unwrap_or_default()
}

fn is_namespace(review: &Review<'_>) -> bool {
    review.group.is_empty() && review.resource == "namespaces"
}

/// Whether the labels of the write's namespace are selected; what is in none always is.
pub(crate) fn selects_namespace(holder: &Value, review: &Review<'_>, state: &State) -> Result<bool, Status> {
    let Some(selector) = holder.get(&["namespaceSelector"]).filter(|selector| !selector.is_empty()) else { return Ok(true) };
    let selector = LabelSelector::from_object(selector).map_err(|error| Status::internal(error.to_string()))?;
    if selector.is_everything() {
        return Ok(true);
    }
    if is_namespace(review) && review.operation != Operation::Connect {
        let object = if review.operation == Operation::Delete { review.old } else { Some(&*review.object) };
        return Ok(selector.matches(object.and_then(meta::labels)));
    }
    if review.namespace.is_empty() {
        return Ok(true);
    }
    let namespace = state.object("", "namespaces", "", review.namespace);
    let namespace = namespace.ok_or_else(|| Status::not_found("", "namespaces", review.namespace))?;
    Ok(selector.matches(meta::labels(&namespace)))
}

/// Whether the labels of the object, before or after, are selected.
pub(crate) fn selects_object(holder: &Value, review: &Review<'_>) -> Result<bool, Status> {
    let Some(selector) = holder.get(&["objectSelector"]).filter(|selector| !selector.is_empty()) else { return Ok(true) };
    let selector = LabelSelector::from_object(selector).map_err(|error| Status::internal(error.to_string()))?;
    let selected =
        |object: Option<&Value>| object.is_some_and(|object| !object.is_null() && selector.matches(meta::labels(object)));
    Ok(selector.is_everything() || selected(Some(review.object)) || selected(review.old))
}

//! Labels and the selectors over them, from typed objects. Owns the translation alone; matching is `api::selector`'s.

use std::collections::BTreeMap;

use api::selector::{LabelSelector, Operator, Requirement};
use k8s_openapi::apimachinery::pkg::apis::meta::v1;

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// A selector out of a typed one; none selects nothing, an empty one everything, one that makes no sense nothing.
#[must_use]
pub fn selector(typed: Option<&v1::LabelSelector>) -> LabelSelector {
    let Some(typed) = typed else { return LabelSelector::nothing() };
    let mut requirements = from_map(typed.match_labels.iter().flatten());
    for expression in typed.match_expressions.iter().flatten() {
        let Some(operator) = operator(&expression.operator) else { return LabelSelector::nothing() };
        let mut values = expression.values.clone().unwrap_or_default();
        values.sort();
        requirements.push(Requirement { key: expression.key.clone(), operator, values });
    }
    LabelSelector::of(requirements)
}

/// A selector that wants each label of a map; an empty map selects everything.
pub fn from_map<'m>(labels: impl Iterator<Item = (&'m String, &'m String)>) -> Vec<Requirement> {
    labels.map(|(key, value)| Requirement { key: key.clone(), operator: Operator::In, values: vec![value.clone()] }).collect()
}

/// Whether labels match.
#[must_use]
pub fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.matches_by(|key| labels.get(key).map(String::as_str))
}

/// Adds to a selector that these labels of a pod must (or must not) have the pod's own values.
#[must_use]
pub fn with_keys(selector: &LabelSelector, keys: &[String], operator: Operator, labels: &Labels) -> LabelSelector {
    let own = keys.iter().filter_map(|key| {
        let values = vec![labels.get(key)?.clone()];
        Some(Requirement { key: key.clone(), operator, values })
    });
    let own: Vec<_> = own.collect();
    if own.is_empty() { selector.clone() } else { selector.and(own) }
}

/// The operator of a name, as label and node selectors write it.
#[must_use]
pub fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return None,
    })
}

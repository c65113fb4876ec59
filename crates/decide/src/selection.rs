//! Which labels a typed selector chooses. Knows no objects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// Labels as typed objects carry them.
pub type Labels = BTreeMap<String, String>;

/// Whether the selector chooses these labels. An empty one chooses everything.
pub fn matches(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    selector.match_labels.as_ref().is_none_or(|wanted| contains(labels, wanted))
        && selector.match_expressions.iter().flatten().all(|requirement| meets(requirement, labels))
}

/// Whether these labels contain all of the wanted ones.
pub fn contains(labels: Option<&Labels>, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
}

/// Whether a selector chooses everything.
pub fn is_everything(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty) && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}

fn meets(requirement: &LabelSelectorRequirement, labels: Option<&Labels>) -> bool {
    let value = labels.and_then(|labels| labels.get(&requirement.key));
    let listed = |value: &String| requirement.values.iter().flatten().any(|listed| listed == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_chooses_as_its_parts_say() {
        let labels: Labels = [("app".to_owned(), "web".to_owned())].into();
        let requirement = |operator: &str, key: &str, values: &[&str]| LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: key.into(),
                operator: operator.into(),
                values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
            }]),
            match_labels: None,
        };
        for (selector, chosen) in [
            (LabelSelector::default(), true),
            (LabelSelector { match_labels: Some(labels.clone()), match_expressions: None }, true),
            (requirement("In", "app", &["web", "db"]), true),
            (requirement("NotIn", "app", &["web"]), false),
            (requirement("NotIn", "tier", &["web"]), true),
            (requirement("Exists", "tier", &[]), false),
            (requirement("DoesNotExist", "tier", &[]), true),
        ] {
            assert_eq!(matches(&selector, Some(&labels)), chosen, "{selector:?}");
        }
    }
}

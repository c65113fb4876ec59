//! One rule of a role, and what it allows.

use crate::authz::{Attributes, ResourceTarget, Target};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// A rule: verbs on resources, or verbs on paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// API groups, `*` for all.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// Paths, `*` at their end matches the rest.
    #[serde(default, rename = "nonResourceURLs", deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
    /// Names that it is limited to; empty for all.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Resources: `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Verbs, `*` for all.
    #[serde(default, deserialize_with = "list")]
    pub verbs: Vec<String>,
}

/// Nulls are empty lists, as in Go.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::<Vec<String>>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn has(list: &[String], what: &str) -> bool {
    list.iter().any(|x| x == "*" || x == what)
}

impl Rule {
    /// Whether this rule allows what is asked.
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        match &attributes.target {
            Target::Resource(resource) => has(&self.verbs, attributes.verb) && self.covers_resource(resource),
            Target::Path(path) => has(&self.verbs, attributes.verb) && self.covers_path(path),
        }
    }

    fn covers_resource(&self, target: &ResourceTarget<'_>) -> bool {
        has(&self.api_groups, target.group)
            && self.resources.iter().any(|r| resource_matches(r, target.resource, target.subresource))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|n| n == target.name))
    }

    fn covers_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|url| path_matches(url, path))
    }
}

/// `*` matches all, `pods` the resource itself, `pods/log` one subresource, `*/scale` that subresource of all.
pub(super) fn resource_matches(rule: &str, resource: &str, subresource: &str) -> bool {
    if rule == "*" {
        return true;
    }
    match rule.split_once('/') {
        None => subresource.is_empty() && rule == resource,
        Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == "*" || of == resource),
    }
}

/// Whole paths, or a prefix before a final `*`.
pub(super) fn path_matches(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix.trim_end_matches('*')),
        None => rule == path,
    }
}

impl fmt::Display for Rule {
    /// As upstream prints a rule in refusals: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("NonResourceURLs", &self.non_resource_urls),
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        f.write_str("{")?;
        let mut separator = "";
        for (name, list) in parts.into_iter().filter(|(_, list)| !list.is_empty()) {
            let quoted: Vec<String> = list.iter().map(|x| format!("{x:?}")).collect();
            write!(f, "{separator}{name}:[{}]", quoted.join(" "))?;
            separator = ", ";
        }
        f.write_str("}")
    }
}

//! Nobody grants what they do not hold: whether a set of rules is covered by another.

use super::Rule;
use super::rule::path_matches;

/// Rules that the granter does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing(pub Vec<Rule>);

/// What of `granted` is not covered by `held`, compacted for reading; none when all is held.
pub fn missing_rules(held: &[Rule], granted: &[Rule]) -> Option<Missing> {
    let mut missing = Vec::new();
    for rule in granted {
        for single in singles(rule) {
            if !held.iter().any(|h| covers(h, &single)) {
                missing.push(single);
            }
        }
    }
    (!missing.is_empty()).then(|| Missing(compact(missing)))
}

/// One rule a verb, group, resource and name.
fn singles(rule: &Rule) -> Vec<Rule> {
    let mut out = Vec::new();
    for verb in &rule.verbs {
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let base = Rule {
                    api_groups: vec![group.clone()],
                    resources: vec![resource.clone()],
                    verbs: vec![verb.clone()],
                    ..Rule::default()
                };
                if rule.resource_names.is_empty() {
                    out.push(base);
                    continue;
                }
                for name in &rule.resource_names {
                    out.push(Rule { resource_names: vec![name.clone()], ..base.clone() });
                }
            }
        }
        for url in &rule.non_resource_urls {
            out.push(Rule { non_resource_urls: vec![url.clone()], verbs: vec![verb.clone()], ..Rule::default() });
        }
    }
    out
}

fn covers(held: &Rule, single: &Rule) -> bool {
    let all = |held: &[String], wanted: &[String]| held.iter().any(|h| h == "*") || wanted.iter().all(|w| held.contains(w));
    let resources = |held: &[String], wanted: &[String]| {
        held.iter().any(|h| h == "*")
            || wanted
                .iter()
                .all(|w| held.contains(w) || w.split_once('/').is_some_and(|(_, sub)| held.contains(&format!("*/{sub}"))))
    };
    let names = held.resource_names.is_empty()
        || (!single.resource_names.is_empty() && single.resource_names.iter().all(|n| held.resource_names.contains(n)));
    let urls = single
        .non_resource_urls
        .iter()
        .all(|url| held.non_resource_urls.iter().any(|h| h == url || (h.ends_with('*') && path_matches(h, url))));
    all(&held.verbs, &single.verbs)
        && all(&held.api_groups, &single.api_groups)
        && resources(&held.resources, &single.resources)
        && names
        && urls
}

/// Joins the verbs of rules that differ in nothing else.
fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for rule in rules {
        let same = |o: &&mut Rule| {
            o.api_groups == rule.api_groups
                && o.resources == rule.resources
                && o.resource_names == rule.resource_names
                && o.non_resource_urls == rule.non_resource_urls
        };
        match out.iter_mut().find(same) {
            Some(existing) => existing.verbs.extend(rule.verbs),
            None => out.push(rule),
        }
    }
    out
}

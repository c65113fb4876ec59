//! Nobody gives away rights that they do not hold, unless they may `escalate` the role or `bind` it.

use super::{Ground, Operation, Review};
use crate::authz::rbac::{RoleRef, Rule, missing_rules};
use crate::authz::{Attributes, ResourceTarget, Target};
use api::identity::MASTERS;
use api::status::Status;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let writes = matches!(review.operation, Operation::Create | Operation::Update);
    if review.group != GROUP || !writes || review.identity.is_in(MASTERS) {
        return Ok(());
    }
    match review.resource {
        "roles" | "clusterroles" => role(review, ground),
        "rolebindings" | "clusterrolebindings" => binding(review, ground),
        _ => Ok(()),
    }
}

fn may(review: &Review<'_>, ground: &Ground<'_>, verb: &str, resource: &str, name: &str) -> bool {
    let namespace = review.namespace;
    let target = ResourceTarget { group: GROUP, version: "v1", resource, namespace, name, ..<_>::default() };
    let attributes = Attributes { identity: review.identity, verb, target: Target::Resource(target) };
    ground.security.indexes.authorize(&attributes).allowed()
}

fn role(review: &Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let unchanged = review.old.is_some_and(|old| {
        old.get(&["rules"]) == review.object.get(&["rules"])
            && old.get(&["aggregationRule"]) == review.object.get(&["aggregationRule"])
    });
    if unchanged || may(review, ground, "escalate", review.resource, review.name) {
        return Ok(());
    }
    if review.object.get(&["aggregationRule"]).is_some_and(|a| !a.is_null()) {
        let everything =
            Rule { verbs: vec!["*".into()], api_groups: vec!["*".into()], resources: vec!["*".into()], ..Rule::default() };
        if missing_rules(&ground.security.indexes.rbac.rules_for(review.identity, ""), &[everything]).is_some() {
            return Err(review.forbidden("must have cluster-admin privileges to use the aggregationRule"));
        }
    }
    let rules = review.object.get(&["rules"]).and_then(|r| r.decode::<Option<Vec<Rule>>>().ok()).flatten();
    refuse_missing(review, ground, &rules.unwrap_or_default())
}

fn binding(review: &Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let unchanged = review.old.is_some_and(|old| {
        old.get(&["subjects"]) == review.object.get(&["subjects"]) && old.get(&["roleRef"]) == review.object.get(&["roleRef"])
    });
    let Some(role) = review.object.get(&["roleRef"]).and_then(|r| r.decode::<RoleRef>().ok()) else { return Ok(()) };
    let plural = if role.kind == "Role" { "roles" } else { "clusterroles" };
    if unchanged || may(review, ground, "bind", plural, &role.name) {
        return Ok(());
    }
    match ground.security.indexes.rbac.rules_of(&role, review.namespace) {
        Some(rules) => refuse_missing(review, ground, &rules),
        None => Err(Status::not_found(GROUP, plural, &role.name)),
    }
}

fn refuse_missing(review: &Review<'_>, ground: &Ground<'_>, granted: &[Rule]) -> Result<(), Status> {
    let held = ground.security.indexes.rbac.rules_for(review.identity, review.namespace);
    let Some(missing) = missing_rules(&held, granted) else { return Ok(()) };
    let groups: Vec<String> = review.identity.groups.iter().map(|g| format!("{g:?}")).collect();
    let mut lines: Vec<String> = missing.0.iter().map(ToString::to_string).collect();
    lines.sort();
    Err(review.forbidden(format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        review.identity.name,
        groups.join(" "),
        lines.join("\n")
    )))
}

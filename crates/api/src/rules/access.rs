//! Roles and bindings.

use super::{FieldError, FieldPath, Rules, change};
use crate::document::{Value, meta};

/// The rules of Roles and ClusterRoles.
pub struct RoleRules;
/// The rules of RoleBindings and ClusterRoleBindings.
pub struct BindingRules;

const GROUP: &str = "rbac.authorization.k8s.io";

impl Rules for RoleRules {
    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let namespaced = meta::kind(new) == "Role";
        for (index, rule) in new.array_at(&["rules"]).iter().enumerate() {
            let path = FieldPath::new("rules").index(index);
            let has = |field: &str| !rule.array_at(&[field]).is_empty();
            if !has("verbs") {
                errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
            }
            if has("nonResourceURLs") {
                let shown = rule.field("nonResourceURLs").cloned().unwrap_or_default();
                if namespaced {
                    let text = "namespaced rules cannot apply to non-resource URLs";
                    errors.push(FieldError::invalid(path.child("nonResourceURLs"), shown.clone(), text));
                }
                if has("apiGroups") || has("resources") || has("resourceNames") {
                    let text = "rules cannot apply to both regular resources and non-resource URLs";
                    errors.push(FieldError::invalid(path.child("nonResourceURLs"), shown, text));
                }
                continue;
            }
            if !has("apiGroups") {
                errors.push(FieldError::required(path.child("apiGroups"), "resource rules must supply at least one api group"));
            }
            if !has("resources") {
                errors.push(FieldError::required(path.child("resources"), "resource rules must supply at least one resource"));
            }
        }
        errors
    }
}

impl Rules for BindingRules {
    fn default(&self, binding: &mut Value) {
        if binding.get(&["roleRef"]).is_some() {
            binding.default_at(&["roleRef", "apiGroup"], GROUP);
        }
        for subject in binding.get_mut(&["subjects"]).and_then(Value::as_array_mut).into_iter().flatten() {
            if matches!(subject.str_at(&["kind"]), Some("User" | "Group")) {
                subject.default_at(&["apiGroup"], GROUP);
            }
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let text = |field: &str| new.str_at(&["roleRef", field]).unwrap_or_default();
        let role = FieldPath::new("roleRef");
        if text("apiGroup") != GROUP {
            errors.push(FieldError::not_supported(role.child("apiGroup"), text("apiGroup"), &[GROUP]));
        }
        let kinds: &[&str] = if meta::kind(new) == "RoleBinding" { &["ClusterRole", "Role"] } else { &["ClusterRole"] };
        if !kinds.contains(&text("kind")) {
            errors.push(FieldError::not_supported(role.child("kind"), text("kind"), kinds));
        }
        if text("name").is_empty() {
            errors.push(FieldError::required(role.child("name"), ""));
        }
        for (index, subject) in new.array_at(&["subjects"]).iter().enumerate() {
            check_subject(subject, meta::kind(new) == "RoleBinding", &FieldPath::new("subjects").index(index), &mut errors);
        }
        if old.is_some_and(|old| !change::same(new, old, &["roleRef"])) {
            let shown = new.get(&["roleRef"]).cloned().unwrap_or_default();
            errors.push(FieldError::invalid(role, shown, "cannot change roleRef"));
        }
        errors
    }
}

fn check_subject(subject: &Value, namespaced: bool, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let text = |field: &str| subject.str_at(&[field]).unwrap_or_default();
    if text("name").is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    match text("kind") {
        "ServiceAccount" => {
            if !text("apiGroup").is_empty() {
                errors.push(FieldError::not_supported(path.child("apiGroup"), text("apiGroup"), &[""]));
            }
            if !namespaced && text("namespace").is_empty() {
                errors.push(FieldError::required(path.child("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if text("apiGroup") != GROUP {
                errors.push(FieldError::not_supported(path.child("apiGroup"), text("apiGroup"), &[GROUP]));
            }
        }
        other => errors.push(FieldError::not_supported(path.child("kind"), other, &["Group", "ServiceAccount", "User"])),
    }
}

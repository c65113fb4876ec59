//! Budgets, quotas, ranges, priorities, leases and other small kinds that limit something.

use super::{FieldError, FieldPath, RuleContext, Rules, change, pod};
use crate::document::{Map, Value, meta};
use crate::quantity::Quantity;

/// The rules of PodDisruptionBudgets.
pub struct BudgetRules;
/// The rules of ResourceQuotas.
pub struct QuotaRules;
/// The rules of LimitRanges.
pub struct RangeRules;
/// The rules of PriorityClasses.
pub struct PriorityRules;
/// The rules of RuntimeClasses.
pub struct RuntimeRules;
/// The rules of Leases.
pub struct LeaseRules;

/// The highest priority that users may give.
const PRIORITY_MAX: i64 = 1_000_000_000;

impl Rules for BudgetRules {
    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => {
                let zero = crate::value!({"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0});
                new.set_at(&["status"], zero);
            }
            Some(old) if context.subresource.is_some() => pod::keep(new, old, &["spec"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let given = |field: &str| new.get(&["spec", field]).filter(|value| !value.is_null());
        if given("minAvailable").is_some() && given("maxUnavailable").is_some() {
            let shown = new.get(&["spec"]).cloned().unwrap_or_default();
            errors.push(FieldError::invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"));
        }
        for field in ["minAvailable", "maxUnavailable"] {
            if let Some(value) = given(field) {
                check_share(value, &FieldPath::new("spec").child(field), &mut errors);
            }
        }
        change::one_of(new, &["spec", "unhealthyPodEvictionPolicy"], &["AlwaysAllow", "IfHealthyBudget"], &mut errors);
        errors
    }
}

/// A number, or a percentage up to 100.
pub(super) fn check_share(value: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match value {
        Value::Int(number) if *number < 0 => {
            errors.push(FieldError::invalid(path, *number, "must be greater than or equal to 0"));
        }
        Value::String(text) => match text.strip_suffix('%').and_then(|digits| digits.parse::<u32>().ok()) {
            None => {
                let problem = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
                errors.push(FieldError::invalid(path, text.as_str(), problem));
            }
            Some(percent) if percent > 100 => {
                errors.push(FieldError::invalid(path, text.as_str(), "must not be greater than 100%"));
            }
            Some(_) => {}
        },
        _ => {}
    }
}

impl Rules for QuotaRules {
    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => new.set_at(&["status"], Value::object()),
            Some(old) if context.subresource.is_some() => pod::keep(new, old, &["spec"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (name, amount) in new.object_at(&["spec", "hard"]).into_iter().flat_map(Map::iter) {
            let path = FieldPath::new("spec").child("hard").key(name);
            let text = amount.as_str().unwrap_or_default();
            let read: Option<Quantity> = text.parse().ok();
            if read.is_some_and(Quantity::is_negative) {
                errors.push(FieldError::invalid(&path, text, "must be greater than or equal to 0"));
            }
            let counted = name.starts_with("count/")
                || matches!(
                    name,
                    "pods"
                        | "services"
                        | "secrets"
                        | "configmaps"
                        | "replicationcontrollers"
                        | "resourcequotas"
                        | "persistentvolumeclaims"
                        | "services.nodeports"
                        | "services.loadbalancers"
                );
            if counted && read.is_some_and(|amount| amount.milli_value() % 1000 != 0) {
                errors.push(FieldError::invalid(&path, text, "must be an integer"));
            }
        }
        const SCOPES: &[&str] = &[
            "BestEffort",
            "CrossNamespacePodAffinity",
            "NotBestEffort",
            "NotTerminating",
            "PriorityClass",
            "Terminating",
            "VolumeAttributesClass",
        ];
        for scope in new.array_at(&["spec", "scopes"]).iter().filter_map(Value::as_str).filter(|scope| !SCOPES.contains(scope)) {
            errors.push(FieldError::invalid("spec.scopes", scope, "unsupported scope"));
        }
        if let Some(old) = old {
            change::fixed(new, old, &["spec", "scopes"], &mut errors);
        }
        errors
    }
}

impl Rules for RangeRules {
    fn default(&self, range: &mut Value) {
        for limit in range.get_mut(&["spec", "limits"]).and_then(Value::as_array_mut).into_iter().flatten() {
            if limit.str_at(&["type"]) != Some("Container") {
                continue;
            }
            // The default limit is the highest one, the default request the default limit, or else the lowest one.
            for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
                let amounts: Option<Map> = limit.object_at(&[from]).cloned();
                for (name, amount) in amounts.iter().flat_map(Map::iter) {
                    limit.default_at(&[to, name], amount.clone());
                }
            }
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (index, limit) in new.array_at(&["spec", "limits"]).iter().enumerate() {
            let path = FieldPath::new("spec").child("limits").index(index);
            let kind = limit.str_at(&["type"]).unwrap_or_default();
            if seen.contains(&kind) {
                errors.push(FieldError::duplicate(path.child("type"), kind));
            }
            seen.push(kind);
            let amount = |field: &str, name: &str| limit.str_at(&[field, name]).and_then(|text| text.parse::<Quantity>().ok());
            let fields = ["min", "max", "default", "defaultRequest"];
            let mut resources: Vec<&str> =
                fields.iter().filter_map(|field| limit.object_at(&[field])).flat_map(Map::keys).collect();
            resources.sort_unstable();
            resources.dedup();
            for name in resources {
                for (low, high) in [
                    ("min", "max"),
                    ("min", "default"),
                    ("min", "defaultRequest"),
                    ("defaultRequest", "max"),
                    ("defaultRequest", "default"),
                    ("default", "max"),
                ] {
                    if let (Some(a), Some(b)) = (amount(low, name), amount(high, name))
                        && a > b
                    {
                        let word = |field: &str| match field {
                            "defaultRequest" => "default request".to_owned(),
                            "default" => "default limit".to_owned(),
                            other => other.to_owned(),
                        };
                        let text = format!("{} value {a} is greater than {} value {b}", word(low), word(high));
                        let shown = limit.str_at(&[low, name]).unwrap_or_default();
                        errors.push(FieldError::invalid(path.child(low).key(name), shown, text));
                    }
                }
            }
        }
        errors
    }
}

impl Rules for PriorityRules {
    fn default(&self, class: &mut Value) {
        class.default_at(&["preemptionPolicy"], "PreemptLowerPriority");
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let value = new.i64_at(&["value"]).unwrap_or(0);
        if meta::name(new).starts_with("system-") {
            let known = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
            if !known.contains(&(meta::name(new), value)) {
                let text = "priority class names with 'system-' prefix are reserved for system use only. error: only system priority classes may begin with it";
                errors.push(FieldError::forbidden("metadata.name", text));
            }
        } else if value > PRIORITY_MAX {
            let text = format!("maximum allowed value of a user defined priority is {PRIORITY_MAX}");
            errors.push(FieldError::forbidden("value", text));
        }
        change::one_of(new, &["preemptionPolicy"], &["Never", "PreemptLowerPriority"], &mut errors);
        if let Some(old) = old {
            let number = |object: &Value| object.i64_at(&["value"]).unwrap_or(0);
            if number(new) != number(old) {
                errors.push(FieldError::forbidden("value", "may not be changed in an update."));
            }
            let policy = |object: &Value| object.str_at(&["preemptionPolicy"]).unwrap_or("PreemptLowerPriority").to_owned();
            if policy(new) != policy(old) {
                errors.push(FieldError::invalid("preemptionPolicy", policy(new), "field is immutable"));
            }
        }
        errors
    }
}

impl Rules for RuntimeRules {
    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let handler = new.str_at(&["handler"]).unwrap_or_default();
        errors
            .extend(super::names::dns_label(handler).into_iter().map(|problem| FieldError::invalid("handler", handler, problem)));
        if let Some(old) = old {
            change::fixed(new, old, &["handler"], &mut errors);
        }
        errors
    }
}

impl Rules for LeaseRules {
    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if let Some(seconds) = new.i64_at(&["spec", "leaseDurationSeconds"]).filter(|seconds| *seconds <= 0) {
            errors.push(FieldError::invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"));
        }
        change::not_negative(new, &["spec", "leaseTransitions"], &mut errors);
        errors
    }
}

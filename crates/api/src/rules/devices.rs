//! Taints of devices: who they hold for, and since when.

use super::{FieldError, RuleContext, Rules, names};
use crate::document::{Value, meta};

/// The rules of DeviceTaintRules.
pub struct TaintRules;

const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];
const CONDITIONS_MAX: usize = 8;
const ADDED: [&str; 3] = ["spec", "taint", "timeAdded"];
const EFFECT: [&str; 3] = ["spec", "taint", "effect"];

impl Rules for TaintRules {
    /// The time follows the effect, so that it says since when this effect holds.
    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        if context.subresource.is_some() {
            return;
        }
        let missing = new.get(&ADDED).is_none_or(Value::is_null);
        let moved = old.is_some_and(|old| old.get(&EFFECT) != new.get(&EFFECT) && old.get(&ADDED) == new.get(&ADDED));
        if missing || moved {
            let kept = old.and_then(|old| old.get(&ADDED)).filter(|_| missing && !moved).cloned();
            new.set_at(&ADDED, kept.unwrap_or_else(|| meta::format_time(context.now).into()));
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource == Some("status") {
            let count = new.array_at(&["status", "conditions"]).len();
            if count > CONDITIONS_MAX {
                errors.push(FieldError::too_many("status.conditions", count, CONDITIONS_MAX));
            }
            return errors;
        }
        let selector = |field: &str| new.str_at(&["spec", "deviceSelector", field]).map(str::to_owned);
        let mut check = |field: &str, text: &str, rule: fn(&str) -> Vec<String>| {
            errors.extend(rule(text).into_iter().map(|problem| FieldError::invalid(format!("spec.{field}"), text, problem)));
        };
        if let Some(driver) = selector("driver") {
            check("deviceSelector.driver", &driver, names::dns_subdomain);
        }
        if let Some(pool) = selector("pool") {
            pool.split('/').for_each(|part| check("deviceSelector.pool", part, names::dns_subdomain));
        }
        if let Some(device) = selector("device") {
            check("deviceSelector.device", &device, names::dns_label);
        }
        let taint = |field: &str| new.str_at(&["spec", "taint", field]).unwrap_or_default();
        check("taint.key", taint("key"), names::qualified_name);
        check("taint.value", taint("value"), names::label_value);
        let same = old.is_some_and(|old| old.get(&EFFECT) == new.get(&EFFECT));
        match taint("effect") {
            _ if same => {}
            "" => errors.push(FieldError::required("spec.taint.effect", "")),
            effect if EFFECTS.contains(&effect) => {}
            effect => errors.push(FieldError::not_supported("spec.taint.effect", effect, &EFFECTS)),
        }
        errors
    }
}

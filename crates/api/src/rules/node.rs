//! Nodes: their pod addresses are given once.

use super::{FieldError, RuleContext, Rules, change, pod};
use crate::document::{Map, Value};

/// The rules of nodes.
pub struct NodeRules;

impl Rules for NodeRules {
    fn default(&self, node: &mut Value) {
        // What a node can give is what it has, until it says less.
        let capacity: Option<Map> = node.object_at(&["status", "capacity"]).cloned();
        for (name, amount) in capacity.iter().flat_map(Map::iter) {
            node.default_at(&["status", "allocatable", name], amount.clone());
        }
        if let (Some(block), true) =
            (node.str_at(&["spec", "podCIDR"]).map(str::to_owned), node.array_at(&["spec", "podCIDRs"]).is_empty())
            && !block.is_empty()
        {
            node.set_at(&["spec", "podCIDRs"], vec![block]);
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        if let (Some(old), Some("status")) = (old, context.subresource) {
            pod::keep(new, old, &["spec"]);
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, taint) in new.array_at(&["spec", "taints"]).iter().enumerate() {
            let path = format!("spec.taints[{index}]");
            let key = taint.str_at(&["key"]).unwrap_or_default();
            for problem in super::names::qualified_name(key) {
                errors.push(FieldError::invalid(format!("{path}.key"), key, problem));
            }
            let effect = taint.str_at(&["effect"]).unwrap_or_default();
            let effects = ["NoExecute", "NoSchedule", "PreferNoSchedule"];
            if effect.is_empty() {
                errors.push(FieldError::required(format!("{path}.effect"), ""));
            } else if !effects.contains(&effect) {
                errors.push(FieldError::not_supported(format!("{path}.effect"), effect, &effects));
            }
        }
        if let Some(old) = old.filter(|old| !old.array_at(&["spec", "podCIDRs"]).is_empty()) {
            let text = "node updates may not change podCIDR except from \"\" to valid";
            change::forbidden(new, old, &["spec", "podCIDRs"], text, &mut errors);
        }
        if let Some(old) = old.filter(|old| old.str_at(&["spec", "providerID"]).is_some_and(|id| !id.is_empty())) {
            let text = "node updates may not change providerID except from \"\" to valid";
            change::forbidden(new, old, &["spec", "providerID"], text, &mut errors);
        }
        errors
    }
}

//! Deployments, replica sets, stateful sets and daemon sets: a template and a selector that finds what is made of it.

use super::{FieldError, RuleContext, Rules, pod};
use crate::{
    document::{Value, meta},
    selector::LabelSelector,
};

/// The rules of the workloads of `apps`.
pub struct WorkloadRules;

impl Rules for WorkloadRules {
    fn default(&self, object: &mut Value) {
        let kind = meta::kind(object).to_owned();
        if kind != "DaemonSet" {
            object.default_at(&["spec", "replicas"], 1_i64);
        }
        if kind != "ReplicaSet" {
            object.default_at(&["spec", "revisionHistoryLimit"], 10_i64);
        }
        match kind.as_str() {
            "Deployment" => {
                object.default_at(&["spec", "strategy", "type"], "RollingUpdate");
                if object.str_at(&["spec", "strategy", "type"]) == Some("RollingUpdate") {
                    object.default_at(&["spec", "strategy", "rollingUpdate", "maxUnavailable"], "25%");
                    object.default_at(&["spec", "strategy", "rollingUpdate", "maxSurge"], "25%");
                }
                object.default_at(&["spec", "progressDeadlineSeconds"], 600_i64);
            }
            "StatefulSet" => {
                object.default_at(&["spec", "podManagementPolicy"], "OrderedReady");
                object.default_at(&["spec", "updateStrategy", "type"], "RollingUpdate");
                if object.str_at(&["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
                    object.default_at(&["spec", "updateStrategy", "rollingUpdate", "partition"], 0_i64);
                }
                for policy in ["whenDeleted", "whenScaled"] {
                    object.default_at(&["spec", "persistentVolumeClaimRetentionPolicy", policy], "Retain");
                }
            }
            "DaemonSet" => {
                object.default_at(&["spec", "updateStrategy", "type"], "RollingUpdate");
                if object.str_at(&["spec", "updateStrategy", "type"]) == Some("RollingUpdate") {
                    object.default_at(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"], 1_i64);
                    object.default_at(&["spec", "updateStrategy", "rollingUpdate", "maxSurge"], 0_i64);
                }
            }
            _ => {}
        }
        if let Some(spec) = object.get_mut(&["spec", "template", "spec"]) {
            pod::default_spec(spec);
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => {
                new.set_at(&["status"], Value::object());
            }
            Some(old) if context.subresource.is_none() => pod::keep(new, old, &["status"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match new.get(&["spec", "selector"]).map(LabelSelector::from_object) {
            None => errors.push(FieldError::required("spec.selector", "")),
            Some(Err(problem)) => errors.push(FieldError::invalid("spec.selector", Value::Null, problem.to_string())),
            Some(Ok(selector)) if selector.is_everything() => {
                errors.push(FieldError::invalid(
                    "spec.selector",
                    new.get(&["spec", "selector"]).cloned().unwrap_or_default(),
                    "empty selector is invalid for deployment",
                ));
            }
            Some(Ok(selector)) => {
                let labels = new.object_at(&["spec", "template", "metadata", "labels"]);
                if !selector.matches(labels) {
                    let labels = labels.cloned().map_or(Value::object(), Value::Object);
                    errors.push(FieldError::invalid(
                        "spec.template.metadata.labels",
                        labels,
                        "`selector` does not match template `labels`",
                    ));
                }
            }
        }
        let replicas = new.i64_at(&["spec", "replicas"]).unwrap_or(0);
        if replicas < 0 {
            errors.push(FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0"));
        }
        match new.get(&["spec", "template", "spec"]) {
            Some(spec) => errors.extend(pod::validate_spec(spec, "spec.template.spec")),
            None => errors.push(FieldError::required("spec.template.spec", "")),
        }
        let before = old.and_then(|old| old.get(&["spec", "selector"]));
        if before.is_some_and(|before| Some(before) != new.get(&["spec", "selector"])) {
            let now = new.get(&["spec", "selector"]).cloned().unwrap_or_default();
            errors.push(FieldError::invalid("spec.selector", now, "field is immutable"));
        }
        errors
    }
}

//! Autoscalers: one metric at least, and bounds that make sense.

use super::{FieldError, FieldPath, Rules};
use crate::document::Value;

/// The rules of HorizontalPodAutoscalers, in v2.
pub struct AutoscalerRules;

impl Rules for AutoscalerRules {
    fn default(&self, object: &mut Value) {
        object.default_at(&["spec", "minReplicas"], 1_i64);
        if object.array_at(&["spec", "metrics"]).is_empty() {
            let metric = crate::value!({
                "type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            });
            object.set_at(&["spec", "metrics"], Value::Array(vec![metric]));
        }
        if object.get(&["spec", "behavior"]).is_some_and(|behavior| !behavior.is_null()) {
            default_behavior(object);
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spec = FieldPath::new("spec");
        let number = |field: &str| new.i64_at(&["spec", field]);
        let (least, most) = (number("minReplicas").unwrap_or(1), number("maxReplicas").unwrap_or(0));
        if least < 1 {
            errors.push(FieldError::invalid(spec.child("minReplicas"), least, "must be greater than or equal to 1"));
        }
        if most < 1 {
            errors.push(FieldError::invalid(spec.child("maxReplicas"), most, "must be greater than 0"));
        } else if most < least {
            errors.push(FieldError::invalid(spec.child("maxReplicas"), most, "must be greater than or equal to `minReplicas`"));
        }
        for field in ["kind", "name"] {
            if new.str_at(&["spec", "scaleTargetRef", field]).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(spec.child("scaleTargetRef").child(field), ""));
            }
        }
        for (index, metric) in new.array_at(&["spec", "metrics"]).iter().enumerate() {
            check_metric(metric, &spec.child("metrics").index(index), &mut errors);
        }
        errors
    }
}

fn default_behavior(object: &mut Value) {
    let policy = |kind: &str, value: i64| crate::value!({"type": kind, "value": value, "periodSeconds": 15});
    for (direction, window, policies) in [
        ("scaleUp", Some(0_i64), vec![policy("Pods", 4), policy("Percent", 100)]),
        ("scaleDown", None, vec![policy("Percent", 100)]),
    ] {
        let path = ["spec", "behavior", direction];
        let below = |field: &'static str| [path.as_slice(), &[field]].concat();
        object.default_at(&below("selectPolicy"), "Max");
        if let Some(window) = window {
            object.default_at(&below("stabilizationWindowSeconds"), window);
        }
        if object.array_at(&below("policies")).is_empty() {
            object.set_at(&below("policies"), Value::Array(policies));
        }
    }
}

fn check_metric(metric: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    const KINDS: [(&str, &str); 5] = [
        ("ContainerResource", "containerResource"),
        ("External", "external"),
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
    ];
    let kind = metric.str_at(&["type"]).unwrap_or_default();
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "must specify a metric source type"));
        return;
    }
    let Some((_, field)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        errors.push(FieldError::not_supported(path.child("type"), kind, &names));
        return;
    };
    if metric.get(&[field]).is_none_or(Value::is_null) {
        errors.push(FieldError::required(path.child(field), "must populate information for the given metric source"));
        return;
    }
    if matches!(kind, "Resource" | "ContainerResource") {
        let path = path.child(field);
        if metric.str_at(&[field, "name"]).unwrap_or_default().is_empty() {
            errors.push(FieldError::required(path.child("name"), "must specify a resource name"));
        }
        let target = |name: &str| metric.get(&[field, "target", name]).filter(|value| !value.is_null());
        match (target("averageUtilization"), target("averageValue")) {
            (None, None) => errors.push(FieldError::required(
                path.child("target").child("averageUtilization"),
                "must set either a target raw value or a target utilization",
            )),
            (Some(_), Some(_)) => errors.push(FieldError::forbidden(
                path.child("target").child("averageValue"),
                "may not set both a target raw value and a target utilization",
            )),
            (Some(percent), None) if percent.as_i64().unwrap_or(0) < 1 => {
                errors.push(FieldError::invalid(
                    path.child("target").child("averageUtilization"),
                    percent.clone(),
                    "must be greater than 0",
                ));
            }
            _ => {}
        }
    }
}

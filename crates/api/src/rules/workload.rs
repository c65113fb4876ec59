//! Deployments, replica sets, stateful sets and daemon sets: a template and a selector that finds what is made of it.

use std::borrow::Cow;

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

    fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource == Some("status") {
            return errors;
        }
        match new.get(&["spec", "selector"]).map(LabelSelector::from_object) {
            None => errors.push(FieldError::required("spec.selector", "")),
            Some(Err(problem)) => errors.push(FieldError::invalid("spec.selector", Value::Null, problem.to_string())),
            Some(Ok(selector)) if selector.is_everything() => {
                errors.push(FieldError::invalid(
                    "spec.selector",
                    new.get(&["spec", "selector"]).cloned().unwrap_or_default(),
                    format!("empty selector is invalid for {}", meta::kind(new).to_lowercase()),
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
            Some(spec) => errors.extend(pod::validate_spec(&with_claims(spec, new), "spec.template.spec")),
            None => errors.push(FieldError::required("spec.template.spec", "")),
        }
        let policy = new.str_at(&["spec", "template", "spec", "restartPolicy"]).unwrap_or("Always");
        if policy != "Always" {
            errors.push(FieldError::not_supported("spec.template.spec.restartPolicy", policy, &["Always"]));
        }
        if let Some(old) = old.filter(|_| meta::kind(new) == "StatefulSet") {
            check_set_change(new, old, &mut errors);
            return errors;
        }
        let before = old.and_then(|old| old.get(&["spec", "selector"]));
        if before.is_some_and(|before| Some(before) != new.get(&["spec", "selector"])) {
            let now = new.get(&["spec", "selector"]).cloned().unwrap_or_default();
            errors.push(FieldError::invalid("spec.selector", now, "field is immutable"));
        }
        errors
    }
}

/// The pods' spec with the volumes that a stateful set's claim templates bring: containers mount those by their names too.
fn with_claims<'v>(spec: &'v Value, workload: &Value) -> Cow<'v, Value> {
    let templates = workload.array_at(&["spec", "volumeClaimTemplates"]);
    if templates.is_empty() {
        return Cow::Borrowed(spec);
    }
    let claims = templates.iter().map(|template| {
        let mut volume = Value::object();
        volume.set_at(&["name"], template.str_at(&["metadata", "name"]).unwrap_or_default());
        volume
    });
    let volumes: Vec<Value> = spec.array_at(&["volumes"]).iter().cloned().chain(claims).collect();
    let mut spec = spec.clone();
    spec.set_at(&["volumes"], Value::Array(volumes));
    Cow::Owned(spec)
}

/// Of a stateful set only this may change; the rest names the pods and claims that are there.
fn check_set_change(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    const FREE: [&str; 7] = [
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    ];
    let mut left = new.get(&["spec"]).cloned().unwrap_or_default();
    let before = old.get(&["spec"]).cloned().unwrap_or_default();
    for field in FREE {
        pod::keep(&mut left, &before, &[field]);
    }
    if left != before {
        let text = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
                    'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.push(FieldError::forbidden("spec", text));
    }
}

/// The rules of replication controllers, whose selector is a plain map.
pub struct ReplicationRules;

impl Rules for ReplicationRules {
    fn default(&self, object: &mut Value) {
        object.default_at(&["spec", "replicas"], 1_i64);
        let labels = object.object_at(&["spec", "template", "metadata", "labels"]).filter(|labels| !labels.is_empty()).cloned();
        if let Some(labels) = labels {
            if object.object_at(&["spec", "selector"]).is_none_or(crate::document::Map::is_empty) {
                object.set_at(&["spec", "selector"], labels.clone());
            }
            if meta::labels(object).is_none_or(crate::document::Map::is_empty) {
                meta::set(object, "labels", labels);
            }
        }
        if let Some(spec) = object.get_mut(&["spec", "template", "spec"]) {
            pod::default_spec(spec);
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        WorkloadRules.prepare(new, old, context);
        if old.is_none() {
            new.set_at(&["status", "replicas"], 0_i64);
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource == Some("status") {
            return errors;
        }
        super::change::not_negative(new, &["spec", "replicas"], &mut errors);
        let selector = new.object_at(&["spec", "selector"]).cloned().unwrap_or_default();
        if selector.is_empty() {
            errors.push(FieldError::required("spec.selector", ""));
        }
        match new.get(&["spec", "template", "spec"]) {
            Some(spec) => {
                let labels = new.object_at(&["spec", "template", "metadata", "labels"]);
                if !LabelSelector::from_map(&selector).matches(labels) {
                    let shown = labels.cloned().map_or(Value::object(), Value::Object);
                    errors.push(FieldError::invalid(
                        "spec.template.metadata.labels",
                        shown,
                        "`selector` does not match template `labels`",
                    ));
                }
                errors.extend(pod::validate_spec(spec, "spec.template.spec"));
            }
            None => errors.push(FieldError::required("spec.template", "")),
        }
        errors
    }
}

/// The rules of pod templates.
pub struct TemplateRules;

impl Rules for TemplateRules {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut(&["template", "spec"]) {
            pod::default_spec(spec);
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        new.get(&["template", "spec"]).map_or_else(Vec::new, |spec| pod::validate_spec(spec, "template.spec"))
    }
}

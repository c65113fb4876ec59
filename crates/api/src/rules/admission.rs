//! Kinds by which the API server is extended and steered: webhooks, policies, API services and flow control.

use super::{FieldError, FieldPath, RuleContext, Rules, names};
use crate::document::{Value, meta};

/// Webhook configurations, mutating and validating.
pub struct WebhookRules;
/// Admission policies.
pub struct PolicyRules;
/// Bindings of admission policies.
pub struct BindingRules;
/// API services.
pub struct RegistrationRules;
/// Flow schemas and priority levels.
pub struct FlowRules;

fn items<'v>(object: &'v mut Value, path: &[&str]) -> impl Iterator<Item = &'v mut Value> {
    object.get_mut(path).and_then(Value::as_array_mut).into_iter().flatten()
}

impl Rules for WebhookRules {
    fn default(&self, object: &mut Value) {
        let mutating = meta::kind(object).starts_with("Mutating");
        for webhook in items(object, &["webhooks"]) {
            for (field, value) in [("failurePolicy", "Fail"), ("matchPolicy", "Equivalent")] {
                webhook.default_at(&[field], value);
            }
            webhook.default_at(&["namespaceSelector"], Value::object());
            webhook.default_at(&["objectSelector"], Value::object());
            webhook.default_at(&["timeoutSeconds"], 10_i64);
            if mutating {
                webhook.default_at(&["reinvocationPolicy"], "Never");
            }
            if webhook.get(&["clientConfig", "service"]).is_some() {
                webhook.default_at(&["clientConfig", "service", "port"], 443_i64);
            }
            for rule in items(webhook, &["rules"]) {
                rule.default_at(&["scope"], "*");
            }
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (index, webhook) in new.array_at(&["webhooks"]).iter().enumerate() {
            let path = FieldPath::new("webhooks").index(index);
            check_webhook(webhook, &path, &mut errors);
            let name = webhook.str_at(&["name"]).unwrap_or_default();
            if seen.contains(&name) {
                errors.push(FieldError::duplicate(path.child("name"), name));
            }
            seen.push(name);
        }
        errors
    }
}

fn check_webhook(webhook: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let text = |field: &str| webhook.str_at(&[field]).unwrap_or_default();
    let name = text("name");
    if names::dns_subdomain(name).is_empty() && name.split('.').count() < 3 {
        errors.push(FieldError::invalid(
            path.child("name"),
            name,
            "should be a domain with at least three segments separated by dots",
        ));
    } else {
        errors
            .extend(names::dns_subdomain(name).into_iter().map(|problem| FieldError::invalid(path.child("name"), name, problem)));
    }
    for (field, allowed) in [
        ("sideEffects", &["None", "NoneOnDryRun"] as &[&str]),
        ("failurePolicy", &["Fail", "Ignore"]),
        ("matchPolicy", &["Equivalent", "Exact"]),
    ] {
        match text(field) {
            "" if field == "sideEffects" => {
                errors.push(FieldError::required(path.child(field), "must specify one of None, NoneOnDryRun"))
            }
            given if !given.is_empty() && !allowed.contains(&given) => {
                errors.push(FieldError::not_supported(path.child(field), given, allowed))
            }
            _ => {}
        }
    }
    if let Some(seconds) = webhook.i64_at(&["timeoutSeconds"]).filter(|seconds| !(1..=30).contains(seconds)) {
        errors.push(FieldError::invalid(
            path.child("timeoutSeconds"),
            seconds,
            "the timeout value must be between 1 and 30 seconds",
        ));
    }
    let versions = webhook.array_at(&["admissionReviewVersions"]);
    if versions.is_empty() {
        let text = "must specify one of v1, v1beta1";
        errors.push(FieldError::required(path.child("admissionReviewVersions"), text));
    } else if !versions.iter().any(|version| matches!(version.as_str(), Some("v1" | "v1beta1"))) {
        let shown = Value::Array(versions.to_vec());
        errors.push(FieldError::invalid(
            path.child("admissionReviewVersions"),
            shown,
            "must include at least one of v1, v1beta1",
        ));
    }
    let client = path.child("clientConfig");
    match (
        webhook.str_at(&["clientConfig", "url"]),
        webhook.get(&["clientConfig", "service"]).filter(|service| !service.is_null()),
    ) {
        (Some(url), None) if !url.starts_with("https://") => {
            let scheme = url.split("://").next().unwrap_or_default();
            errors.push(FieldError::invalid(
                client.child("url"),
                url,
                format!("'https' is the only allowed URL scheme; desired format: https://host[/path]; got {scheme}"),
            ));
        }
        (Some(_), None) | (None, Some(_)) => {}
        _ => errors.push(FieldError::required(client, "exactly one of url or service is required")),
    }
    check_conditions(webhook, path, errors);
}

/// Match conditions: each has a unique name and an expression.
fn check_conditions(holder: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (index, condition) in holder.array_at(&["matchConditions"]).iter().enumerate() {
        let path = path.child("matchConditions").index(index);
        for field in ["name", "expression"] {
            if condition.str_at(&[field]).unwrap_or_default().trim().is_empty() {
                errors.push(FieldError::required(path.child(field), ""));
            }
        }
    }
}

fn default_matching(resources: &mut Value) {
    resources.default_at(&["matchPolicy"], "Equivalent");
    resources.default_at(&["namespaceSelector"], Value::object());
    resources.default_at(&["objectSelector"], Value::object());
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in items(resources, &[list]) {
            rule.default_at(&["scope"], "*");
        }
    }
}

impl Rules for PolicyRules {
    fn default(&self, object: &mut Value) {
        object.default_at(&["spec", "failurePolicy"], "Fail");
        if meta::kind(object).starts_with("Mutating") {
            object.default_at(&["spec", "reinvocationPolicy"], "Never");
        }
        if let Some(resources) = object.get_mut(&["spec", "matchConstraints"]) {
            default_matching(resources);
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spec = FieldPath::new("spec");
        if new.get(&["spec", "matchConstraints"]).is_none_or(Value::is_null) {
            errors.push(FieldError::required(spec.child("matchConstraints"), ""));
        }
        if meta::kind(new).starts_with("Validating") {
            if new.array_at(&["spec", "validations"]).is_empty() && new.array_at(&["spec", "auditAnnotations"]).is_empty() {
                let text = "validations or auditAnnotations must contain at least one item";
                errors.push(FieldError::required(spec.child("validations"), text));
            }
            for (index, validation) in new.array_at(&["spec", "validations"]).iter().enumerate() {
                if validation.str_at(&["expression"]).unwrap_or_default().trim().is_empty() {
                    errors.push(FieldError::required(
                        spec.child("validations").index(index).child("expression"),
                        "expression is not specified",
                    ));
                }
            }
        }
        for (index, mutation) in new.array_at(&["spec", "mutations"]).iter().enumerate() {
            check_mutation(mutation, &spec.child("mutations").index(index), &mut errors);
        }
        errors
    }
}

/// A mutation is of one sort, and has the expression of that sort.
fn check_mutation(mutation: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let kind = mutation.str_at(&["patchType"]).unwrap_or_default();
    let (own, other) = match kind {
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
        "JSONPatch" => ("jsonPatch", "applyConfiguration"),
        "" => return errors.push(FieldError::required(path.child("patchType"), "")),
        odd => {
            let supported = ["ApplyConfiguration", "JSONPatch"];
            return errors.push(FieldError::not_supported(path.child("patchType"), odd, &supported));
        }
    };
    if mutation.get(&[own]).is_none_or(Value::is_null) {
        errors.push(FieldError::required(path.child(own), format!("must be specified when patchType is {kind}")));
    } else if mutation.str_at(&[own, "expression"]).unwrap_or_default().trim().is_empty() {
        errors.push(FieldError::required(path.child(own).child("expression"), "expression is not specified"));
    }
    if mutation.get(&[other]).is_some_and(|value| !value.is_null()) {
        let text = format!("must not be specified when patchType is {kind}");
        errors.push(FieldError::invalid(path.child(other), Value::from("{}"), text));
    }
}

impl Rules for BindingRules {
    fn default(&self, object: &mut Value) {
        if let Some(resources) = object.get_mut(&["spec", "matchResources"]) {
            default_matching(resources);
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if new.str_at(&["spec", "policyName"]).unwrap_or_default().is_empty() {
            errors.push(FieldError::required("spec.policyName", ""));
        }
        if meta::kind(new).starts_with("Validating") && new.array_at(&["spec", "validationActions"]).is_empty() {
            errors.push(FieldError::required("spec.validationActions", "at least one validation action is required"));
        }
        errors
    }
}

impl Rules for RegistrationRules {
    fn default(&self, object: &mut Value) {
        if object.get(&["spec", "service"]).is_some_and(|service| !service.is_null()) {
            object.default_at(&["spec", "service", "port"], 443_i64);
        }
    }

    fn prepare(&self, new: &mut Value, _old: Option<&Value>, context: &RuleContext<'_>) {
        let local = new.get(&["spec", "service"]).is_none_or(Value::is_null);
        if local && context.subresource.is_none() && new.array_at(&["status", "conditions"]).is_empty() {
            let condition = crate::value!({
                "type": "Available", "status": "True", "lastTransitionTime": meta::format_time(context.now),
                "reason": "Local", "message": "Local APIServices are always available",
            });
            new.set_at(&["status", "conditions"], Value::Array(vec![condition]));
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let text = |field: &str| new.str_at(&["spec", field]).unwrap_or_default();
        let mut errors = Vec::new();
        let wanted = format!("{}.{}", text("version"), text("group"));
        if meta::name(new) != wanted {
            errors.push(FieldError::invalid(
                "metadata.name",
                meta::name(new),
                format!("must be `spec.version+\".\"+spec.group`: \"{wanted}\""),
            ));
        }
        let priority = |field: &str| new.i64_at(&["spec", field]).unwrap_or(0);
        for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
            if !(1..=most).contains(&priority(field)) {
                errors.push(FieldError::invalid(
                    format!("spec.{field}"),
                    priority(field),
                    format!("must be positive and less than {most}"),
                ));
            }
        }
        if new.bool_at(&["spec", "insecureSkipTLSVerify"]) == Some(true) && !text("caBundle").is_empty() {
            errors.push(FieldError::invalid("spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present"));
        }
        errors
    }
}

impl Rules for FlowRules {
    fn default(&self, object: &mut Value) {
        if meta::kind(object) == "FlowSchema" {
            object.default_at(&["spec", "matchingPrecedence"], 1000_i64);
            return;
        }
        match object.str_at(&["spec", "type"]) {
            Some("Limited") => {
                object.default_at(&["spec", "limited", "nominalConcurrencyShares"], 30_i64);
                object.default_at(&["spec", "limited", "lendablePercent"], 0_i64);
                object.default_at(&["spec", "limited", "limitResponse", "type"], "Reject");
                if object.str_at(&["spec", "limited", "limitResponse", "type"]) == Some("Queue") {
                    for (field, value) in [("queues", 64_i64), ("handSize", 8), ("queueLengthLimit", 50)] {
                        object.default_at(&["spec", "limited", "limitResponse", "queuing", field], value);
                    }
                }
            }
            Some("Exempt") => {
                object.default_at(&["spec", "exempt", "nominalConcurrencyShares"], 0_i64);
                object.default_at(&["spec", "exempt", "lendablePercent"], 0_i64);
            }
            _ => {}
        }
    }
}

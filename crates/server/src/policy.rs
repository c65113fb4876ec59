//! Admission policies: expressions that a write must satisfy, or that change it, bound to what they apply to and to their parameters.

mod mutate;

use api::document::{Value, meta};
use api::selector::LabelSelector;
use api::status::{Cause, Reason, Status};

use crate::State;
use crate::admission::Review;
use crate::expression::{ExpressionError, Scope};
use crate::security::Objects as _;
use crate::webhook::{matching, review_request};

pub(crate) use mutate::mutate;

const GROUP: &str = "admissionregistration.k8s.io";

/// What one expression of one policy decided.
struct Refusal {
    message: String,
    reason: Reason,
}

/// Refuses a write that a bound policy forbids.
pub(crate) fn validate(review: &mut Review<'_>, state: &State) -> Result<(), Status> {
    if review.group == GROUP {
        return Ok(());
    }
    for binding in state.configurations(GROUP, "validatingadmissionpolicybindings") {
        let name = binding.str_at(&["spec", "policyName"]).unwrap_or_default();
        let Some(policy) = state.object(GROUP, "validatingadmissionpolicies", "", name) else { continue };
        if !is_matched(&policy, &binding, review, state)? {
            continue;
        }
        for refusal in refusals(&policy, &binding, review, state) {
            enforce(review, &policy, &binding, refusal)?;
        }
    }
    Ok(())
}

fn is_matched(policy: &Value, binding: &Value, review: &Review<'_>, state: &State) -> Result<bool, Status> {
    let empty = Value::object();
    let constraints = policy.get(&["spec", "matchConstraints"]).unwrap_or(&empty);
    if !selects(constraints, review, state, false)? {
        return Ok(false);
    }
    binding.get(&["spec", "matchResources"]).map_or(Ok(true), |resources| selects(resources, review, state, true))
}

/// Whether match resources select the write. `lenient`: without rules everything is selected.
fn selects(resources: &Value, review: &Review<'_>, state: &State, lenient: bool) -> Result<bool, Status> {
    let equivalent = resources.str_at(&["matchPolicy"]) != Some("Exact");
    let named = |rule: &Value| {
        let names = rule.array_at(&["resourceNames"]);
        let is_named = names.is_empty() || names.iter().any(|name| name.as_str() == Some(review.name));
        is_named && matching::rule_matches(rule, review, state, equivalent)
    };
    let rules = resources.array_at(&["resourceRules"]);
    let included = rules.iter().any(named) || (lenient && rules.is_empty());
    Ok(included
        && !resources.array_at(&["excludeResourceRules"]).iter().any(named)
        && matching::selects_namespace(resources, review, state)?
        && matching::selects_object(resources, review)?)
}

/// Everything that the policy holds against the write.
fn refusals(policy: &Value, binding: &Value, review: &Review<'_>, state: &State) -> Vec<Refusal> {
    let fails_open = policy.str_at(&["spec", "failurePolicy"]) == Some("Ignore");
    let failed = |message: String| if fails_open { Vec::new() } else { vec![Refusal { message, reason: Reason::Invalid }] };
    let parameters = match parameters(policy, binding, review, state) {
        Ok(parameters) => parameters,
        Err(message) => return failed(message),
    };
    let mut found = Vec::new();
    for params in parameters {
        let mut scope = scope(review, state, params.as_ref());
        match conditions_hold(policy, &scope) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => {
                found.extend(failed(error.to_string()));
                continue;
            }
        }
        scope.put_variables(policy.array_at(&["spec", "variables"]));
        for validation in policy.array_at(&["spec", "validations"]) {
            found.extend(judged(validation, &scope, fails_open));
        }
    }
    found
}

fn judged(validation: &Value, scope: &Scope, fails_open: bool) -> Option<Refusal> {
    let text = |field: &str| validation.str_at(&[field]).map(str::trim).filter(|text| !text.is_empty());
    let expression = text("expression").unwrap_or_default();
    let message = match scope.holds(expression) {
        Ok(true) => return None,
        Ok(false) => {
            let made = text("messageExpression").and_then(|expression| scope.text(expression));
            made.filter(|text| !text.trim().is_empty())
                .or_else(|| text("message").map(str::to_owned))
                .unwrap_or_else(|| format!("failed expression: {expression}"))
        }
        Err(_) if fails_open => return None,
        Err(error) => format!("expression '{expression}' resulted in error: {error}"),
    };
    let reason = text("reason").and_then(|word| Reason::ALL.iter().find(|reason| reason.as_str() == word)).copied();
    Some(Refusal { message, reason: reason.unwrap_or(Reason::Invalid) })
}

fn conditions_hold(policy: &Value, scope: &Scope) -> Result<bool, ExpressionError> {
    for condition in policy.array_at(&["spec", "matchConditions"]) {
        if !scope.holds(condition.str_at(&["expression"]).unwrap_or_default())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What expressions about a write see.
pub(crate) fn scope(review: &Review<'_>, state: &State, params: Option<&Value>) -> Scope {
    let mut scope = Scope::new();
    let question = review_request(review, state);
    let request = question.get(&["request"]).cloned().unwrap_or_default();
    scope.put("object", request.get(&["object"]).unwrap_or(&Value::Null));
    scope.put("oldObject", request.get(&["oldObject"]).unwrap_or(&Value::Null));
    let mut request = request;
    request.remove_at(&["object"]);
    request.remove_at(&["oldObject"]);
    scope.put("request", &request);
    scope.put("params", params.unwrap_or(&Value::Null));
    let namespace = Some(review.namespace).filter(|name| !name.is_empty());
    let namespace = namespace.and_then(|name| state.object("", "namespaces", "", name));
    scope.put("namespaceObject", &namespace.unwrap_or_default());
    scope
}

/// The parameters of a binding: one run without any, or one for each that it names or selects.
fn parameters(policy: &Value, binding: &Value, review: &Review<'_>, state: &State) -> Result<Vec<Option<Value>>, String> {
    let Some(kind) = policy.get(&["spec", "paramKind"]).filter(|kind| !kind.is_empty()) else { return Ok(vec![None]) };
    let Some(given) = binding.get(&["spec", "paramRef"]).filter(|given| !given.is_empty()) else { return Ok(vec![None]) };
    let (group, version) = meta::split_api_version(kind.str_at(&["apiVersion"]).unwrap_or_default());
    let kinds = state.kinds();
    let name = kind.str_at(&["kind"]).unwrap_or_default();
    let Some((resource, _)) = kinds.by_kind(group, version, name) else {
        return Err(format!("failed to find resource referenced by paramKind: '{}'", kind));
    };
    let own = given.str_at(&["namespace"]).filter(|name| !name.is_empty());
    let namespace = if resource.is_namespaced() { own.unwrap_or(review.namespace) } else { "" };
    let found: Vec<Value> = match given.str_at(&["name"]).filter(|name| !name.is_empty()) {
        Some(name) => state.object(group, &resource.plural, namespace, name).into_iter().collect(),
        None => {
            let selector =
                given.get(&["selector"]).and_then(|selector| LabelSelector::from_object(selector).ok()).unwrap_or_default();
            let all = state.objects(group, &resource.plural, namespace);
            all.into_iter().filter(|object| selector.matches(meta::labels(object))).collect()
        }
    };
    if found.is_empty() {
        return match given.str_at(&["parameterNotFoundAction"]) {
            Some("Allow") => Ok(Vec::new()),
            _ => Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned()),
        };
    }
    Ok(found.into_iter().map(Some).collect())
}

/// Denies or warns, as the binding says.
fn enforce(review: &mut Review<'_>, policy: &Value, binding: &Value, refusal: Refusal) -> Result<(), Status> {
    let (policy, bound) = (meta::name(policy), meta::name(binding));
    let actions: Vec<&str> = binding.array_at(&["spec", "validationActions"]).iter().filter_map(Value::as_str).collect();
    if actions.contains(&"Warn") {
        review.warnings.push(format!(
            "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{bound}': {}",
            refusal.message
        ));
    }
    if !actions.contains(&"Deny") {
        return Ok(());
    }
    let text = format!("ValidatingAdmissionPolicy '{policy}' with binding '{bound}' denied request: {}", refusal.message);
    let mut status = Status::forbidden(review.group, review.resource, review.name, &text);
    status.reason = refusal.reason;
    status.code = refusal.reason.code();
    let cause = Cause { message: refusal.message, ..Cause::default() };
    status.details.get_or_insert_default().causes.push(cause);
    Err(status)
}

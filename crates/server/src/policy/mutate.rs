//! Mutating admission policies: each mutation is an expression that makes a configuration which is laid over the object, or a JSON patch.

use api::apply;
use api::document::{Value, meta};
use api::patch::{PatchError, json};
use api::status::{Reason, Status};

use super::{GROUP, conditions_hold, is_matched, parameters, scope};
use crate::State;
use crate::admission::Review;
use crate::security::Objects as _;
use crate::webhook;

/// What ran and may run again when the object is changed after it.
#[derive(Default)]
pub(crate) struct Mutations {
    again: Vec<Run>,
}

/// One policy with one binding.
struct Run {
    policy: Value,
    binding: Value,
    /// The object as this policy left it.
    left: Value,
}

/// Has every bound policy change the write.
pub(crate) fn mutate(review: &mut Review<'_>, state: &State) -> Result<Mutations, Status> {
    let mut mutations = Mutations::default();
    if review.group == GROUP || review.object.is_null() {
        return Ok(mutations);
    }
    for binding in state.configurations(GROUP, "mutatingadmissionpolicybindings") {
        let name = binding.str_at(&["spec", "policyName"]).unwrap_or_default();
        let Some(policy) = state.object(GROUP, "mutatingadmissionpolicies", "", name) else { continue };
        if !is_matched(&policy, &binding, review, state)? {
            continue;
        }
        run(&policy, &binding, review, state)?;
        if policy.str_at(&["spec", "reinvocationPolicy"]) == Some("IfNeeded") {
            mutations.again.push(Run { policy, binding, left: review.object.clone() });
        }
    }
    Ok(mutations)
}

impl Mutations {
    /// Runs those again that want to see what came after them, once.
    pub(crate) fn again(self, review: &mut Review<'_>, state: &State) -> Result<(), Status> {
        for Run { policy, binding, left } in self.again {
            if left != *review.object && is_matched(&policy, &binding, review, state)? {
                run(&policy, &binding, review, state)?;
            }
        }
        Ok(())
    }
}

fn run(policy: &Value, binding: &Value, review: &mut Review<'_>, state: &State) -> Result<(), Status> {
    let outcome = match parameters(policy, binding, review, state) {
        Ok(parameters) => parameters.iter().try_for_each(|params| with(policy, params.as_ref(), review, state)),
        Err(message) => Err(message),
    };
    match outcome {
        Err(why) if policy.str_at(&["spec", "failurePolicy"]) != Some("Ignore") => {
            let (policy, binding) = (meta::name(policy), meta::name(binding));
            let text = format!("policy '{policy}' with binding '{binding}' denied request: {why}");
            let mut status = Status::forbidden(review.group, review.resource, review.name, &text);
            status.reason = Reason::Invalid;
            status.code = Reason::Invalid.code();
            Err(status)
        }
        _ => Ok(()),
    }
}

fn with(policy: &Value, params: Option<&Value>, review: &mut Review<'_>, state: &State) -> Result<(), String> {
    if !conditions_hold(policy, &scope(review, state, params)).map_err(|error| error.to_string())? {
        return Ok(());
    }
    for mutation in policy.array_at(&["spec", "mutations"]) {
        let mut scope = scope(review, state, params);
        scope.put_variables(policy.array_at(&["spec", "variables"]));
        let part = match mutation.str_at(&["patchType"]) {
            Some("JSONPatch") => "jsonPatch",
            _ => "applyConfiguration",
        };
        let expression = mutation.str_at(&[part, "expression"]).unwrap_or_default();
        let failed = |error| format!("expression '{expression}' resulted in error: {error}");
        let made = scope.document(expression).map_err(failed)?;
        let before = webhook::served_object(review, state);
        let after = if part == "jsonPatch" { patched(before, &made)? } else { laid_over(&before, &made, review, state)? };
        webhook::take_back(review, state, after);
    }
    Ok(())
}

fn patched(mut object: Value, patch: &Value) -> Result<Value, String> {
    match json::apply(&mut object, patch) {
        // A test that does not hold means that there is nothing to do.
        Ok(()) | Err(PatchError::Untrue(_)) => Ok(object),
        Err(error) => Err(format!("JSON Patch: {error}")),
    }
}

fn laid_over(object: &Value, configuration: &Value, review: &Review<'_>, state: &State) -> Result<Value, String> {
    if configuration.as_object().is_none() {
        return Err("unsupported return type from ApplyConfiguration expression".to_owned());
    }
    let kinds = state.kinds();
    let kind = kinds.resource(review.group, review.resource);
    let schema = kind.and_then(|kind| kind.version(review.version)?.schema());
    let schema = schema.ok_or_else(|| format!("Resource kind {} not found", review.kind))?;
    let laid = apply::lay_over(object, configuration, schema);
    laid.map_err(|paths| {
        let paths = paths.join(", ");
        format!("error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {paths}")
    })
}

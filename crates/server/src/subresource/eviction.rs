//! `pods/eviction`: a deletion that disruption budgets may refuse.

use api::{
    document::{Value, meta},
    selector::LabelSelector,
    status::{Cause, Reason, Status},
};
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{
    body::Body,
    request::{Call, answer},
    security::Objects as _,
    state::{decode, key},
    verb::{delete, input},
};

/// Deletes the pod if the budgets that select it allow one disruption more.
pub async fn serve(call: Call, body: Bytes) -> Result<Response<Body>, Status> {
    let eviction = input::parse(&call, &body)?.document;
    let name = call.path.name.clone();
    let pod = {
        let snapshot = call.state.snapshot();
        decode(snapshot.get(&key(&call.kind, call.namespace(), &name)).ok_or_else(|| call.not_found())?)
    };
    let finished = matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed" | "Pending")) || meta::is_deleted(&pod);
    let dry_run = input::options(&call)?.dry_run || !eviction.array_at(&["deleteOptions", "dryRun"]).is_empty();
    if !finished {
        take_disruption(&call, &pod, dry_run).await?;
    }
    delete::evict(&call, &name, eviction.get(&["deleteOptions"]), dry_run).await?;
    Ok(answer(StatusCode::CREATED, &Status::success("", "pods", &name, meta::uid(&pod)).to_value()))
}

/// Takes one disruption from the pod's budget, or says why not (`pkg/registry/core/pod/storage/eviction.go` upstream).
async fn take_disruption(call: &Call, pod: &Value, dry_run: bool) -> Result<(), Status> {
    let budgets: Vec<Value> = call
        .state
        .objects("policy", "poddisruptionbudgets", call.namespace())
        .into_iter()
        .filter(|budget| {
            let selector = budget.get(&["spec", "selector"]);
            selector
                .and_then(|selector| LabelSelector::from_object(selector).ok())
                .is_some_and(|selector| selector.matches(meta::labels(pod)))
        })
        .collect();
    let budget = match budgets.as_slice() {
        [] => return Ok(()),
        [budget] => budget,
        _ => {
            return Err(Status::internal(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    };
    let name = meta::name(budget);
    let ready = pod
        .array_at(&["status", "conditions"])
        .iter()
        .any(|condition| condition.str_at(&["type"]) == Some("Ready") && condition.str_at(&["status"]) == Some("True"));
    let healthy = budget.i64_at(&["status", "currentHealthy"]).unwrap_or(0);
    let desired = budget.i64_at(&["status", "desiredHealthy"]).unwrap_or(0);
    if !ready
        && (healthy >= desired && desired > 0 || budget.str_at(&["spec", "unhealthyPodEvictionPolicy"]) == Some("AlwaysAllow"))
    {
        return Ok(());
    }
    let stale = budget.i64_at(&["status", "observedGeneration"]).unwrap_or(0) < meta::generation(budget);
    if stale {
        return Err(refused(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            &format!("The disruption budget {name} is still being processed by the server."),
        )
        .retry_after(10));
    }
    if budget.i64_at(&["status", "disruptionsAllowed"]).unwrap_or(0) < 1 {
        let why = format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(refused("Cannot evict pod as it would violate the pod's disruption budget.", &why));
    }
    if dry_run { Ok(()) } else { delete::disrupt(call, budget, pod).await }
}

fn refused(message: &str, cause: &str) -> Status {
    let mut status = Status::new(Reason::TooManyRequests, message);
    let cause = Cause { reason: "DisruptionBudget".into(), message: cause.to_owned(), ..Cause::default() };
    status.details.get_or_insert_default().causes.push(cause);
    status
}

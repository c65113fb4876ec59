//! `pods/binding`: the scheduler gives a pod its node, once.

use api::{
    document::{Value, meta},
    status::{FieldError, Status},
};
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{
    body::Body,
    request::{Call, answer},
    state::{key, prefix},
    verb::input,
    write::{self, Options},
};

/// Binds the pod of the path, or with the old resource `bindings` that of the body.
pub async fn serve(mut call: Call, body: Bytes) -> Result<Response<Body>, Status> {
    let binding = input::parse(&call, &body)?.document;
    let options = Options { update: true, ..input::options(&call)? };
    if call.path.resource == "bindings" {
        let pods = call.state.kinds().resource("", "pods").cloned().ok_or_else(Status::no_such_resource)?;
        call.path.name = meta::name(&binding).to_owned();
        call.path.resource = "pods".to_owned();
        call.path.subresource = "binding".to_owned();
        call.kind = pods;
    }
    let node = binding.str_at(&["target", "name"]).unwrap_or_default().to_owned();
    if node.is_empty() {
        let error = FieldError::required("target.name", "");
        return Err(Status::invalid("", "Binding", &call.path.name, &[error]));
    }
    debug_assert!(key(&call.kind, call.namespace(), "").starts_with(&prefix(&call.kind, None)), "a key lies below its prefix");
    let uid = meta::uid(&binding).to_owned();
    let wanted = |old: Option<&Value>| bound(&call, old, &binding, &node, &uid);
    write::write(&call, &call.path.name, &options, wanted).await?;
    Ok(answer(StatusCode::CREATED, &Status::success("", "pods", &call.path.name, &uid).to_value()))
}

fn bound(call: &Call, old: Option<&Value>, binding: &Value, node: &str, uid: &str) -> Result<Value, Status> {
    let name = &call.path.name;
    let old = old.ok_or_else(|| Status::not_found("", "pods", name))?;
    let conflict = |why: String| Status::conflict("", "pods/binding", name, &why);
    if !uid.is_empty() && uid != meta::uid(old) {
        return Err(conflict(format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", meta::uid(old))));
    }
    if meta::is_deleted(old) {
        return Err(conflict(format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let current = old.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if !current.is_empty() {
        return Err(conflict(format!("pod {name} is already assigned to node \"{current}\"")));
    }
    if !old.array_at(&["spec", "schedulingGates"]).is_empty() {
        return Err(conflict(format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    let mut pod = old.clone();
    pod.set_at(&["spec", "nodeName"], node);
    for (name, value) in meta::annotations(binding).into_iter().flat_map(api::document::Map::iter) {
        pod.set_at(&["metadata", "annotations", name], value.clone());
    }
    let mut conditions = pod.array_at(&["status", "conditions"]).to_vec();
    conditions.retain(|condition| condition.str_at(&["type"]) != Some("PodScheduled"));
    let mut scheduled = Value::object();
    scheduled.set_at(&["type"], "PodScheduled");
    scheduled.set_at(&["status"], "True");
    scheduled.set_at(&["lastProbeTime"], Value::Null);
    scheduled.set_at(&["lastTransitionTime"], meta::format_time(call.now));
    conditions.push(scheduled);
    pod.set_at(&["status", "conditions"], Value::Array(conditions));
    pod.remove_at(&["metadata", "resourceVersion"]);
    Ok(pod)
}

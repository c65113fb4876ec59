//! `scale`: the numbers of an object as an `autoscaling/v1` Scale.

use api::{
    document::{Value, meta},
    kind::{ScalePaths, SubresourceKind},
    patch::{json, merge},
    selector::LabelSelector,
    status::{FieldError, Status},
};
use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{
    body::Body,
    request::{Call, answer},
    state::{decode, key},
    verb::input,
    write::{self, Options},
};

/// Answers `get`, `update` and `patch` of a scale.
pub async fn serve(call: Call, body: Bytes) -> Result<Response<Body>, Status> {
    let paths = paths(&call).ok_or_else(Status::no_such_resource)?;
    if call.verb == "get" {
        let snapshot = call.state.snapshot();
        let entry = snapshot.get(&key(&call.kind, call.namespace(), &call.path.name)).ok_or_else(|| call.not_found())?;
        let object = crate::conversion::one(&call.state, &call.kind, decode(entry), &call.api_version()).await?;
        return Ok(answer(StatusCode::OK, &render(&call, &object, paths)));
    }
    let options = Options { update: true, ..input::options(&call)? };
    let media = input::media(&call.parts.headers).to_owned();
    let given = match media.as_str() {
        "application/apply-patch+yaml" => input::parse_yaml(&body)?,
        // A whole Scale may come in protobuf; a patch is JSON under a name of its own.
        _ if call.verb == "update" => input::parse(&call, &body)?.document,
        _ => input_json(&body)?,
    };
    let wanted = |old: Option<&Value>| {
        let old = old.ok_or_else(|| call.not_found())?;
        let mut scale = render(&call, old, paths);
        match media.as_str() {
            "application/json-patch+json" => {
                json::apply(&mut scale, &given).map_err(|error| Status::bad_request(error.to_string()))?
            }
            _ if call.verb == "patch" => merge::apply(&mut scale, &given),
            _ => scale = given.clone(),
        }
        let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or(0);
        if replicas < 0 {
            let error = FieldError::invalid("spec.replicas", replicas, "must be greater than or equal to 0");
            return Err(Status::invalid("autoscaling", "Scale", &call.path.name, &[error]));
        }
        let mut new = old.clone();
        let path: Vec<&str> = paths.spec_replicas.iter().map(String::as_str).collect();
        new.set_at(&path, replicas);
        match meta::resource_version(&scale) {
            "" => drop(new.remove_at(&["metadata", "resourceVersion"])),
            given => meta::set(&mut new, "resourceVersion", given),
        }
        Ok(new)
    };
    let written = write::write(&call, &call.path.name, &options, wanted).await?;
    Ok(answer(StatusCode::OK, &render(&call, &written.object, paths)))
}

fn input_json(body: &[u8]) -> Result<Value, Status> {
    Value::parse_json(body).map(|(value, _)| value).map_err(|error| Status::bad_request(error.to_string()))
}

fn paths(call: &Call) -> Option<&ScalePaths> {
    match &call.version().subresource("scale")?.kind {
        SubresourceKind::Scale(paths) => Some(paths),
        SubresourceKind::Status | SubresourceKind::Fields | SubresourceKind::Action => None,
    }
}

fn render(call: &Call, object: &Value, paths: &ScalePaths) -> Value {
    let number = |path: &[String]| object.i64_at(&path.iter().map(String::as_str).collect::<Vec<_>>()).unwrap_or(0);
    let mut scale = Value::object();
    scale.set_at(&["kind"], "Scale");
    scale.set_at(&["apiVersion"], "autoscaling/v1");
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.get(&["metadata", field]) {
            meta::set(&mut scale, field, value.clone());
        }
    }
    scale.set_at(&["spec"], Value::object());
    scale.set_at(&["spec", "replicas"], number(&paths.spec_replicas));
    scale.set_at(&["status", "replicas"], number(&paths.status_replicas));
    let selector =
        paths.label_selector.as_ref().and_then(|path| object.get(&path.iter().map(String::as_str).collect::<Vec<_>>()));
    let text = match selector {
        Some(Value::String(text)) => Some(text.clone()),
        Some(selector) if selector.get(&["matchLabels"]).is_some() || selector.get(&["matchExpressions"]).is_some() => {
            LabelSelector::from_object(selector).ok().map(|selector| selector.to_string())
        }
        Some(Value::Object(map)) if !call.kind.custom => Some(LabelSelector::from_map(map).to_string()),
        _ => None,
    };
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        scale.set_at(&["status", "selector"], text);
    }
    scale
}

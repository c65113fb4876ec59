//! The `AdmissionReview` that a webhook gets, and what it answers.

use api::document::{Value, meta};
use api::kind::{Kind, Version};
use api::schema;
use api::status::{Reason, Status};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::State;
use crate::admission::Review;

/// The objects of a write in the version of the request.
pub(super) struct Served {
    pub(super) object: Value,
    pub(super) old: Value,
}

fn kind_of<'k>(review: &Review<'_>, kinds: &'k api::kind::KindTable) -> Option<(&'k Kind, &'k Version)> {
    let kind = kinds.resource(review.group, review.resource)?;
    Some((kind, kind.version(review.version)?))
}

/// The objects as the webhook reads them.
pub(super) fn served(review: &Review<'_>, state: &State) -> Served {
    let kinds = state.kinds();
    let convert = |object: &Value| {
        let mut object = object.clone();
        let own = kind_of(review, &kinds).filter(|(kind, _)| *kind.kind == *review.kind);
        if let (Some((kind, version)), false) = (own, object.is_null()) {
            kind.to_served(version, &mut object);
        }
        object
    };
    Served { object: convert(review.object), old: review.old.map(convert).unwrap_or_default() }
}

/// Takes an object that a webhook changed back into the review.
pub(super) fn put_back(review: &mut Review<'_>, state: &State, mut object: Value) {
    let kinds = state.kinds();
    if let Some((kind, version)) = kind_of(review, &kinds) {
        if let Some(facts) = version.schema() {
            if !kind.custom {
                // A value of another type is refused by the rules that follow.
                let _ = schema::decode(&mut object, facts);
            }
            schema::prune(&mut object, facts);
            if kind.custom {
                schema::default(&mut object, facts);
            }
        }
        kind.to_stored(version, &mut object);
        kind.default(&mut object);
    }
    *review.object = object;
}

/// The question.
pub(super) fn request(review: &Review<'_>, served: &Served) -> Value {
    let kind = if review.object.is_null() { review.old } else { Some(&*review.object) };
    let (group, version) = match (review.group, review.resource, review.subresource) {
        ("", "pods", "eviction") => ("policy", "v1"),
        (_, _, "scale") => ("autoscaling", "v1"),
        _ => (review.group, review.version),
    };
    let kind_name = kind.map(meta::kind).filter(|name| !name.is_empty()).unwrap_or(review.kind);
    let kind = api::value!({"group": group, "version": version, "kind": kind_name});
    let resource = api::value!({"group": review.group, "version": review.version, "resource": review.resource});
    let mut request = Value::object();
    let mut put = |field: &str, value: Value| {
        if !value.is_empty() || matches!(field, "object" | "oldObject" | "dryRun") {
            request.set_at(&[field], value);
        }
    };
    put("uid", uuid::Uuid::new_v4().to_string().into());
    put("kind", kind.clone());
    put("resource", resource.clone());
    put("subResource", review.subresource.into());
    put("requestKind", kind);
    put("requestResource", resource);
    put("requestSubResource", review.subresource.into());
    put("name", review.name.into());
    put("namespace", review.namespace.into());
    put("operation", review.operation.as_str().into());
    let user = review.identity;
    let extra: api::document::Map = user.extra.iter().map(|(name, values)| (name.clone(), Value::from(values.clone()))).collect();
    let mut info = api::value!({"username": user.name});
    for (field, value) in
        [("uid", Value::from(user.uid.as_str())), ("groups", user.groups.clone().into()), ("extra", extra.into())]
    {
        if !value.is_empty() {
            info.set_at(&[field], value);
        }
    }
    put("userInfo", info);
    put("object", served.object.clone());
    put("oldObject", served.old.clone());
    put("dryRun", review.dry_run.into());
    let options = match review.operation {
        crate::admission::Operation::Create => "CreateOptions",
        crate::admission::Operation::Update => "UpdateOptions",
        crate::admission::Operation::Delete => "DeleteOptions",
        crate::admission::Operation::Connect => "",
    };
    if options.is_empty() {
        request.set_at(&["options"], Value::Null);
    } else {
        request.set_at(&["options"], api::value!({"kind": options, "apiVersion": "meta.k8s.io/v1"}));
    }
    let mut document = api::value!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"});
    document.set_at(&["request"], request);
    document
}

/// The response in an answer, if it is one to this question.
pub(super) fn response(answer: &Value, question: &Value) -> Result<Value, String> {
    let Some(response) = answer.get(&["response"]).filter(|response| response.as_object().is_some()) else {
        return Err("received invalid webhook response: expected response, got nothing".to_owned());
    };
    let (asked, answered) = (question.str_at(&["request", "uid"]), response.str_at(&["uid"]));
    if asked != answered {
        let (asked, answered) = (asked.unwrap_or_default(), answered.unwrap_or_default());
        return Err(format!("received invalid webhook response: expected response.uid={asked:?}, got {answered:?}"));
    }
    Ok(response.clone())
}

/// The refusal, if it is one.
pub(super) fn judge(webhook: &str, response: &Value) -> Result<(), Status> {
    if response.bool_at(&["allowed"]) == Some(true) {
        return Ok(());
    }
    let denied = format!("admission webhook {webhook:?} denied the request");
    let text = |field: &str| response.str_at(&["status", field]).filter(|text| !text.is_empty());
    let message = match (text("message"), text("reason")) {
        (Some(message), _) => format!("{denied}: {message}"),
        (None, Some(reason)) => format!("{denied}: {reason}"),
        (None, None) => format!("{denied} without explanation"),
    };
    let reason = text("reason").and_then(|word| Reason::ALL.iter().find(|reason| reason.as_str() == word)).copied();
    let mut status = Status::new(reason.unwrap_or(Reason::Unknown), message);
    let code = response.i64_at(&["status", "code"]).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    status.code = if code < 400 { 400 } else { code };
    Err(status)
}

/// The patch that the webhook wants.
pub(super) fn patch(webhook: &str, response: &Value) -> Result<Option<Value>, Status> {
    let Some(encoded) = response.str_at(&["patch"]).filter(|patch| !patch.is_empty()) else { return Ok(None) };
    let failed = |why: String| Status::internal(format!("failed calling webhook {webhook:?}: {why}"));
    if response.str_at(&["patchType"]) != Some("JSONPatch") {
        return Err(failed("received invalid webhook response: response.patchType must be JSONPatch".into()));
    }
    let bytes = STANDARD.decode(encoded).map_err(|error| failed(error.to_string()))?;
    let (patch, _) = Value::parse_json(&bytes).map_err(|error| failed(error.to_string()))?;
    Ok(Some(patch).filter(|patch| patch.as_array().is_some_and(|operations| !operations.is_empty())))
}

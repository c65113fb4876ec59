//! `patch`: JSON (RFC 6902), merge (RFC 7386), strategic merge, and server-side apply (KEP-555).

use api::{
    apply,
    document::{Value, meta},
    patch::{json, merge, strategic},
    status::{FieldError, Status},
};
use bytes::Bytes;
use http::Response;

use crate::{
    body::Body,
    request::Call,
    verb::input::{self, Input},
    write::{self, Options},
};

/// The media types that a patch may have.
const SUPPORTED: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Changes the named object by the patch of the body.
pub async fn serve(call: &Call, body: Bytes) -> Result<Response<Body>, Status> {
    let media = input::media(&call.parts.headers);
    match media {
        "application/apply-patch+yaml" => apply(call, &body).await,
        "application/strategic-merge-patch+json" if call.kind.custom => Err(Status::unsupported_media_type(&SUPPORTED[..2])),
        _ if SUPPORTED.contains(&media) => change(call, &body).await,
        _ => Err(Status::unsupported_media_type(SUPPORTED)),
    }
}

async fn change(call: &Call, body: &[u8]) -> Result<Response<Body>, Status> {
    let media = input::media(&call.parts.headers);
    let (patch, _) = Value::parse_json(body).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    let options = Options { update: true, ..input::options(call)? };
    let warnings = std::sync::Mutex::new(Vec::new());
    let wanted = |old: Option<&Value>| {
        let old = old.ok_or_else(|| call.not_found())?;
        let mut document = old.clone();
        call.kind.to_served(call.version(), &mut document);
        patched(call, media, &mut document, &patch)?;
        let mut input = Input::new(document);
        input::check_fields(call, &mut input)?;
        *warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = input.warnings;
        call.kind.to_stored(call.version(), &mut input.document);
        crate::subresource::merged(call, old, input.document)
    };
    let written = write::write(call, &call.path.name, &options, wanted).await?;
    let warnings = warnings.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(input::written(call, written, &warnings))
}

fn patched(call: &Call, media: &str, document: &mut Value, patch: &Value) -> Result<(), Status> {
    let kind = &call.kind;
    match media {
        "application/json-patch+json" => json::apply(document, patch).map_err(|error| {
            Status::invalid(
                &kind.group,
                &kind.kind,
                &call.path.name,
                &[FieldError::invalid("patch", Value::Null, error.to_string())],
            )
        }),
        "application/merge-patch+json" => {
            if patch.as_object().is_none() {
                return Err(Status::bad_request("error decoding patch: a merge patch is a JSON object"));
            }
            merge::apply(document, patch);
            Ok(())
        }
        _ => {
            let schema = call.version().schema().ok_or_else(|| Status::unsupported_media_type(&SUPPORTED[..2]))?;
            strategic::apply(document, patch, schema).map_err(|error| Status::bad_request(error.to_string()))
        }
    }
}

/// Server-side apply: the body is what its manager wants of the object, no more.
async fn apply(call: &Call, body: &[u8]) -> Result<Response<Body>, Status> {
    let mut input = input::configuration(call, body)?;
    let Some(manager) = call.query.get("fieldManager") else {
        let error = FieldError::required("fieldManager", "is required for apply patch");
        return Err(Status::invalid("meta.k8s.io", "PatchOptions", "", &[error]));
    };
    if input.document.get(&["metadata", "managedFields"]).is_some_and(|list| !list.is_empty()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let options = Options { create: call.subresource().is_none(), update: true, manager_recorded: true, ..input::options(call)? };
    meta::set(&mut input.document, "name", call.path.name.as_str());
    let (document, warnings) = (input.document, input.warnings);
    let force = call.query.flag("force");
    let wanted = |old: Option<&Value>| {
        let live = old.map(|old| {
            let mut live = old.clone();
            call.kind.to_served(call.version(), &mut live);
            live
        });
        let schema = call.version().schema().ok_or_else(|| Status::unsupported_media_type(&SUPPORTED[..2]))?;
        if let (None, Some(uid)) = (old, document.str_at(&["metadata", "uid"])) {
            let why = format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(Status::conflict(&call.kind.group, &call.kind.plural, &call.path.name, &why));
        }
        let api_version = call.api_version();
        let ignored = write::ignored(call, &document);
        let ignored: Vec<[&str; 1]> = ignored.iter().map(|name| [name.as_str()]).collect();
        let ignored: Vec<&[&str]> = ignored.iter().map(<[&str; 1]>::as_slice).collect();
        let recorder = write::manager(call, manager, &api_version);
        let mut applied = apply::apply(live.as_ref(), &document, schema, recorder, force, &ignored)?;
        meta::set(&mut applied, "name", call.path.name.as_str());
        call.kind.to_stored(call.version(), &mut applied);
        match old {
            Some(old) => crate::subresource::merged(call, old, applied),
            None => Ok(applied),
        }
    };
    let written = write::write(call, &call.path.name, &options, wanted).await?;
    Ok(input::written(call, written, &warnings))
}

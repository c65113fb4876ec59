//! `create`: a new object under its own or a generated name.

use api::{
    document::{Value, meta},
    status::{FieldError, Reason, Status},
};
use bytes::Bytes;
use http::Response;

use crate::{
    body::Body,
    limits::{GENERATED_NAME_BASE_MAX, NAME_TRIES},
    request::Call,
    verb::input,
    write::{self, Options},
};

/// The letters of generated suffixes: no vowels and nothing that looks alike (`k8s.io/apimachinery` `rand`).
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// The length of a generated suffix.
const SUFFIX_LENGTH: usize = 5;

/// Creates the object of the body.
pub async fn serve(call: &Call, body: Bytes) -> Result<Response<Body>, Status> {
    let mut input = input::object(call, &body)?;
    let options = Options { create: true, ..input::options(call)? };
    if !meta::resource_version(&input.document).is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    if !call.kind.stored {
        return crate::subresource::review::serve(call, input.document);
    }
    call.kind.to_stored(call.version(), &mut input.document);
    let given = meta::name(&input.document).to_owned();
    let base: String = meta::generate_name(&input.document).chars().take(GENERATED_NAME_BASE_MAX).collect();
    if given.is_empty() && base.is_empty() {
        let error = FieldError::required("metadata.name", "name or generateName is required");
        return Err(Status::invalid(&call.kind.group, &call.kind.kind, "", &[error]));
    }
    for _ in 0..NAME_TRIES {
        let name = if given.is_empty() { format!("{base}{}", suffix()?) } else { given.clone() };
        let mut document = input.document.clone();
        meta::set(&mut document, "name", name.as_str());
        check_name(call, &name, given.is_empty())?;
        match write::write(call, &name, &options, |_: Option<&Value>| Ok(document.clone())).await {
            Ok(written) => return Ok(input::written(call, written, &input.warnings)),
            Err(status) if given.is_empty() && status.reason == Reason::AlreadyExists => {}
            Err(status) => return Err(status),
        }
    }
    Err(Status::generated_name_conflict(&call.kind.group, &call.kind.plural, &base))
}

fn check_name(call: &Call, name: &str, generated: bool) -> Result<(), Status> {
    let field = if generated { "metadata.generateName" } else { "metadata.name" };
    let errors: Vec<FieldError> =
        (call.kind.name_rule)(name).into_iter().map(|problem| FieldError::invalid(field, name, problem)).collect();
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(&call.kind.group, &call.kind.kind, name, &errors)) }
}

fn suffix() -> Result<String, Status> {
    let mut bytes = [0_u8; SUFFIX_LENGTH];
    getrandom::fill(&mut bytes).map_err(Status::internal)?;
    Ok(bytes.iter().map(|byte| char::from(SUFFIX_LETTERS[usize::from(*byte) % SUFFIX_LETTERS.len()])).collect())
}

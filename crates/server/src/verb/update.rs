//! `update`: the whole object is replaced by the one of the body; what the endpoint may not write stays.

use api::{
    document::{Value, meta},
    status::Status,
};
use bytes::Bytes;
use http::Response;

use crate::{
    body::Body,
    request::Call,
    verb::input,
    write::{self, Options},
};

/// Replaces the named object.
pub async fn serve(call: &Call, body: Bytes) -> Result<Response<Body>, Status> {
    let mut input = input::object(call, &body)?;
    let create = call.kind.create_on_update && call.subresource().is_none();
    let options = Options { update: true, create, ..input::options(call)? };
    if meta::name(&input.document).is_empty() {
        meta::set(&mut input.document, "name", call.path.name.as_str());
    }
    call.kind.to_stored(call.version(), &mut input.document);
    let document = input.document;
    let wanted = |old: Option<&Value>| match old {
        Some(old) => crate::subresource::merged(call, old, document.clone()),
        None => Ok(document.clone()),
    };
    let written = write::write(call, &call.path.name, &options, wanted).await?;
    Ok(input::written(call, written, &input.warnings))
}

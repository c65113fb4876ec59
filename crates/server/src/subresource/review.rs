//! Reviews: kinds that are answered and forgotten.

use api::{document::Value, status::Status};
use http::{Response, StatusCode};

use crate::{
    authz::review,
    body::Body,
    render::Form,
    request::{Call, answer},
};

/// Answers a created review.
pub fn serve(call: &Call, document: Value) -> Result<Response<Body>, Status> {
    // A review has no metadata that a table could show.
    if Form::negotiate(&call.parts.headers)? != Form::Object {
        return Err(Status::not_acceptable(&["application/json"]));
    }
    let answered = review::reviewed(call, &document).ok_or_else(Status::no_such_resource)??;
    Ok(answer(StatusCode::CREATED, &answered))
}

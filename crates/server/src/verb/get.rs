//! `get`: one object, as it is.

use api::document::{Value, meta};
use api::status::Status;
use http::{Response, StatusCode};

use crate::{
    body::Body,
    render::{self, Form, Rows},
    request::{Call, answer},
    state::{Stored, decode, key},
};

/// Answers with the named object.
pub fn serve(call: &Call) -> Result<Response<Body>, Status> {
    let snapshot = call.state.snapshot();
    let entry = snapshot.get(&key(&call.kind, call.namespace(), &call.path.name)).ok_or_else(|| call.not_found())?;
    Ok(render_entry(call, entry, StatusCode::OK))
}

/// Answers with the named object, which may have to be converted first.
pub async fn serve_converted(call: &Call) -> Result<Response<Body>, Status> {
    if call.form == Form::Metadata {
        return serve(call);
    }
    let found = call.state.snapshot().get(&key(&call.kind, call.namespace(), &call.path.name)).map(|entry| decode(entry));
    let object = found.ok_or_else(|| call.not_found())?;
    let mut object = crate::conversion::one(&call.state, &call.kind, object, &call.api_version()).await?;
    if call.form == Form::Table {
        return Ok(table_of(call, object));
    }
    call.kind.to_served(call.version(), &mut object);
    Ok(answer(StatusCode::OK, &object))
}

/// The table of one object in the version of the call.
fn table_of(call: &Call, object: Value) -> Response<Body> {
    let mut table = render::table_head(call.version());
    table.set_at(&["metadata", "resourceVersion"], meta::resource_version(&object));
    let rows = Rows::parse(call.query.get("includeObject"));
    let row = render::row(&call.kind, call.version(), object, rows, call.now);
    table.set_at(&["rows"], Value::Array(vec![row]));
    answer(StatusCode::OK, &table)
}

/// An entry in the form that the call asked for.
pub fn render_entry(call: &Call, entry: &Stored, code: StatusCode) -> Response<Body> {
    match call.form {
        Form::Object => {
            let mut out = Vec::with_capacity(entry.value.len() + 64);
            render::object(&mut out, &call.kind, call.version(), entry, entry.modified);
            out.push(b'\n');
            render::json(code, out)
        }
        Form::Table => table_of(call, decode(entry)),
        Form::Metadata => {
            let mut object = decode(entry);
            call.kind.to_served(call.version(), &mut object);
            answer(code, &render::metadata_only(&object))
        }
    }
}

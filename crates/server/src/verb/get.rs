//! `get`: one object, as it is.

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
    if call.form != Form::Object {
        return serve(call);
    }
    let found = call.state.snapshot().get(&key(&call.kind, call.namespace(), &call.path.name)).map(|entry| decode(entry));
    let object = found.ok_or_else(|| call.not_found())?;
    let mut object = crate::conversion::one(&call.state, &call.kind, object, &call.api_version()).await?;
    call.kind.to_served(call.version(), &mut object);
    Ok(answer(StatusCode::OK, &object))
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
        Form::Table => {
            let mut table = render::table_head(call.version());
            let rows = Rows::parse(call.query.get("includeObject"));
            table.set_at(&["metadata", "resourceVersion"], entry.modified.to_string());
            let row = render::row(&call.kind, call.version(), decode(entry), rows, call.now);
            table.set_at(&["rows"], api::document::Value::Array(vec![row]));
            answer(code, &table)
        }
        Form::Metadata => {
            let mut object = decode(entry);
            call.kind.to_served(call.version(), &mut object);
            answer(code, &render::metadata_only(&object))
        }
    }
}

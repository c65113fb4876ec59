//! The form of answers: objects as stored, tables for people, metadata alone.

mod entry;
mod table;

use api::{document::Value, status::Status};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::body::{self, Body};

pub use entry::{is_plain, object, splice};
pub use table::{Rows, row, table_head};

const JSON: &str = "application/json";
const SUPPORTED: &[&str] = &[JSON];

/// The form that the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The objects themselves.
    Object,
    /// `meta.k8s.io/v1` `Table`.
    Table,
    /// `meta.k8s.io/v1` `PartialObjectMetadata`, or its list.
    Metadata,
}

impl Form {
    /// The first form of the `Accept` header that we have.
    ///
    /// # Errors
    /// `406` when there is none.
    pub fn negotiate(headers: &HeaderMap) -> Result<Self, Status> {
        let mut asked = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(','))
            .peekable();
        if asked.peek().is_none() {
            return Ok(Self::Object);
        }
        asked.find_map(media).ok_or_else(|| Status::not_acceptable(SUPPORTED))
    }
}

fn media(text: &str) -> Option<Form> {
    let mut parts = text.split(';').map(str::trim);
    if !matches!(parts.next()?, "*/*" | "application/*" | JSON) {
        return None;
    }
    let mut form = Form::Object;
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match (name, value) {
            ("as", "Table") => form = Form::Table,
            ("as", "PartialObjectMetadata" | "PartialObjectMetadataList") => form = Form::Metadata,
            ("as", _) => return None,
            ("g", group) if group != "meta.k8s.io" => return None,
            ("v", version) if version != "v1" => return None,
            _ => {}
        }
    }
    Some(form)
}

/// A JSON answer.
pub fn json(code: StatusCode, bytes: impl Into<bytes::Bytes>) -> Response<Body> {
    respond(code, JSON, body::whole(bytes))
}

/// An answer.
pub fn respond(code: StatusCode, media: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// Adds a warning for the writer (KEP-1693): code 299, no agent, quoted text.
pub fn warn(headers: &mut HeaderMap, text: &str) {
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\n', '\r'], " ");
    if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
        headers.append(header::WARNING, value);
    }
}

/// The metadata of an object as `PartialObjectMetadata`.
pub fn metadata_only(object: &Value) -> Value {
    let mut partial = Value::object();
    partial.set_at(&["kind"], "PartialObjectMetadata");
    partial.set_at(&["apiVersion"], "meta.k8s.io/v1");
    partial.set_at(&["metadata"], object.field("metadata").cloned().unwrap_or_else(Value::object));
    partial
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &'static str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Form::negotiate(&headers).ok()
    }

    #[test]
    fn the_first_form_that_we_have_is_taken() {
        for (accept, form) in [
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                Some(Form::Table),
            ),
            ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Object)),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(Form::Metadata)),
            ("*/*", Some(Form::Object)),
            ("application/vnd.kubernetes.protobuf", None),
            ("text/html", None),
        ] {
            assert_eq!(negotiated(accept), form, "{accept}");
        }
    }

    #[test]
    fn a_warning_is_quoted() {
        let mut headers = HeaderMap::new();
        warn(&mut headers, "unknown field \"spec.x\"");
        assert_eq!(headers[header::WARNING], "299 - \"unknown field \\\"spec.x\\\"\"");
    }
}

//! The reader: what `sigs.k8s.io/yaml` makes of a document, as JSON, with go-yaml's error texts. It takes the first
//! document alone, and never more depth or expansion of aliases than its limits.

mod compose;
mod decode;
mod go;
mod input;
mod scan;

use serde_json::{Map, Value as Json};

pub use go::Go;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum ReadError {
    /// It is no YAML, or its keys are no JSON.
    #[error("error converting YAML to JSON: {0}")]
    Convert(String),
    /// It is not of the wanted form.
    #[error("error unmarshaling JSON: while decoding JSON: {0}")]
    Unmarshal(String),
}

/// The first document as JSON; keys sorted, of doubled keys the last counts. An empty document is `null`.
pub fn read(text: &[u8]) -> Result<Json, ReadError> {
    read_yaml(text, false).and_then(|value| value.into_json().map_err(ReadError::Convert))
}

/// As [`read`], but a doubled key is an error.
pub fn read_strict(text: &[u8]) -> Result<Json, ReadError> {
    read_yaml(text, true).and_then(|value| value.into_json().map_err(ReadError::Convert))
}

/// The first document where a map is wanted: `null` counts as an empty one, `go_type` names what is wanted in the
/// error, such as `map[string]interface {}`.
pub fn read_object(text: &[u8], go_type: &str) -> Result<Map<String, Json>, ReadError> {
    object(read_yaml(text, false)?.into_json().map_err(ReadError::Convert)?, go_type)
}

/// As [`read_object`], of which only some fields are kept; the others are looked at for what is wrong with them.
pub fn read_fields(text: &[u8], names: &[&str], go_type: &str) -> Result<Map<String, Json>, ReadError> {
    let fields = read_yaml(text, false)?.into_fields(names).map_err(ReadError::Convert)?;
    object(fields, go_type)
}

fn object(json: Json, go_type: &str) -> Result<Map<String, Json>, ReadError> {
    let kind = match json {
        Json::Object(map) => return Ok(map),
        Json::Null => return Ok(Map::new()),
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
    };
    Err(ReadError::Unmarshal(format!("json: cannot unmarshal {kind} into Go value of type {go_type}")))
}

/// The first document before it becomes JSON: keys may be of any kind.
pub fn read_yaml(text: &[u8], strict: bool) -> Result<Go, ReadError> {
    let failed = |text: String| ReadError::Convert(format!("yaml: {text}"));
    let document = compose::compose(text).map_err(failed)?;
    let Some(document) = document else { return Ok(Go::Null) };
    decode::decode(&document, strict).map_err(failed)
}

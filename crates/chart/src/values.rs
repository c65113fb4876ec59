//! A chart's values: read, merged, set on the command line, coalesced down a tree of charts. It never renders, and
//! never reads files.
//!
//! Values are a JSON tree in which integers are Go's `int64` (only `--set` makes them) and floats its `float64` (every
//! number of a file).

mod coalesce;
mod set;

use serde_json::{Map, Value as Json};

pub use coalesce::{CoalesceError, Coalesced, coalesce, coalesce_tables, from_tree, merge, merge_tables, to_tree};
pub use set::{SetError, SetKind, set, set_file};

use crate::yaml::{self, ReadError};

/// A table of values.
pub type Values = Map<String, Json>;

/// The key whose table all charts of a tree share.
pub const GLOBAL: &str = "global";

/// Why values cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ValuesError {
    /// A document is no YAML, or no map.
    #[error("cannot unmarshal yaml document: {0}")]
    ReadDocument(ReadError),
    /// A line parts documents and says more.
    #[error("error reading yaml document: invalid Yaml document separator: {0}")]
    PartDocuments(String),
}

/// Reads a values file; several documents are merged, the last wins.
pub fn read(text: &[u8]) -> Result<Values, ValuesError> {
    let mut values = Values::new();
    for document in documents(text)? {
        let map = yaml::read_object(&document, "map[string]interface {}").map_err(ValuesError::ReadDocument)?;
        values = merge_maps(values, with_floats(map));
    }
    Ok(values)
}

/// Where a line of dashes alone (or with a comment) parts documents.
fn documents(text: &[u8]) -> Result<Vec<Vec<u8>>, ValuesError> {
    let mut documents = Vec::new();
    let mut current: Vec<u8> = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(rest) = line.strip_prefix(b"---") {
            let rest = rest.trim_ascii();
            if !rest.is_empty() && rest[0] != b'#' {
                return Err(ValuesError::PartDocuments(String::from_utf8_lossy(rest).into_owned()));
            }
            if !current.is_empty() {
                documents.push(std::mem::take(&mut current));
                continue;
            }
        }
        current.extend_from_slice(line);
        current.push(b'\n');
    }
    if !current.is_empty() {
        documents.push(current);
    }
    Ok(documents)
}

/// Every number of a file is a float for Go.
#[must_use]
pub fn with_floats(mut map: Values) -> Values {
    map.values_mut().for_each(make_floats);
    map
}

fn as_floats(mut value: Json) -> Json {
    make_floats(&mut value);
    value
}

fn make_floats(value: &mut Json) {
    match value {
        Json::Number(number) => *value = number.as_f64().map_or(Json::Null, Json::from),
        Json::Array(items) => items.iter_mut().for_each(make_floats),
        Json::Object(map) => map.values_mut().for_each(make_floats),
        Json::Null | Json::Bool(_) | Json::String(_) => {}
    }
}

/// Lays `over` upon `under`: maps merge, everything else is replaced. Nulls stay, to delete defaults later.
#[must_use]
pub fn merge_maps(under: Values, over: Values) -> Values {
    if under.is_empty() {
        return over;
    }
    let mut out = under;
    for (key, value) in over {
        let merged = match (out.get_mut(&key).map(Json::take), value) {
            (Some(Json::Object(under)), Json::Object(over)) => Json::Object(merge_maps(under, over)),
            (_, value) => value,
        };
        out.insert(key, merged);
    }
    out
}

/// The table at a path with points, if every step is a table.
#[must_use]
pub fn table<'v>(values: &'v Values, path: &str) -> Option<&'v Values> {
    path.split('.').try_fold(values, |table, name| table.get(name).and_then(Json::as_object))
}

/// The value at a path with points, unless it is a table or not there.
#[must_use]
pub fn leaf<'v>(values: &'v Values, path: &str) -> Option<&'v Json> {
    let (parent, key) = match path.rsplit_once('.') {
        Some((parent, key)) => (table(values, parent)?, key),
        None => (values, path),
    };
    parent.get(key).filter(|value| !value.is_object())
}

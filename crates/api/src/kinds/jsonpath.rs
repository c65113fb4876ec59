//! The JSON paths of a CustomResourceDefinition's columns.

use crate::document::Value;
use jiff::Timestamp;

/// A parsed path such as `.spec.replicas`.
#[derive(Clone, Debug)]
pub struct JsonPath {
    text: String,
}

impl JsonPath {
    /// The cell of an object, by the column's type.
    pub fn cell(&self, _object: &Value, _kind: &str, _now: Timestamp) -> Value {
        Value::Null
    }

    /// The path as written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

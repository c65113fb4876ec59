//! YAML exactly as Helm reads and writes it: `toYaml` and `toYamlPretty` to the byte, reading with go-yaml's rules of
//! 1.1 and its error texts. It never knows charts, and never keeps comments or styles.

mod number;
mod order;
mod read;
mod resolve;
pub(crate) mod scalar;
mod write;

pub use number::{float_general, float_json, float_key};
pub use read::{ReadError, read, read_fields, read_object, read_strict, read_yaml};
pub use write::{Item, WriteError, write, write_pretty};

use serde_json::Value as Json;

use crate::value::Value;

/// What `toYaml` gives, with the line feed at its end that Helm then cuts. Fails on text that YAML cannot carry.
pub fn to_yaml(value: &Json) -> Result<String, WriteError> {
    write(&Item::from(value))
}

/// What `toYamlPretty` gives of a template's value, whose floats stay floats there.
pub fn value_to_yaml_pretty(value: &Value) -> Result<String, WriteError> {
    write_pretty(&Item::from_value(value))
}

/// What `toYamlPretty` gives, with the line feed at its end that Helm then cuts.
pub fn to_yaml_pretty(value: &Json) -> Result<String, WriteError> {
    write_pretty(&Item::from(value))
}

//! The one document model: a tree that keeps order, tells integers from floats and forgets no field.
//!
//! Built-in and custom kinds are both this tree. Never knows what a document means.

mod json;
mod map;
pub mod meta;
#[cfg(test)]
mod tests;

pub use json::{MAX_DEPTH, ParseError, Problem};
pub use map::Map;

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::cell::RefCell;

/// Most bytes that a thread keeps for writing the next document.
const SCRATCH_MAX: usize = 64 << 10;

/// A JSON value. Objects keep the order of their fields; equality ignores it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction or exponent that fits 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// An object.
    Object(Map),
}

/// Why a document could not become a typed value.
#[derive(Debug, thiserror::Error)]
#[error("decode a document into its type")]
pub struct DecodeError(#[source] serde_json::Error);

impl DecodeError {
    /// What does not fit, in the decoder's words.
    pub fn reason(&self) -> String {
        self.0.to_string()
    }
}

impl Value {
    /// An empty object.
    pub fn object() -> Self {
        Self::Object(Map::new())
    }

    /// Whether this is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// The integer, also when it was written as a float without fraction.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Float(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Some(*number as i64),
            _ => None,
        }
    }

    /// The number, if this is one.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// The list, if this is one.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The list, if this is one.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Value>> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The object, if this is one.
    pub fn as_object(&self) -> Option<&Map> {
        match self {
            Self::Object(map) => Some(map),
            _ => None,
        }
    }

    /// The object, if this is one.
    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Object(map) => Some(map),
            _ => None,
        }
    }

    /// The name of the JSON type, as error texts use it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// One field of an object.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.as_object()?.get(name)
    }

    /// One field of an object.
    pub fn field_mut(&mut self, name: &str) -> Option<&mut Value> {
        self.as_object_mut()?.get_mut(name)
    }

    /// The value at a path of field names.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, name| value.field(name))
    }

    /// The value at a path of field names.
    pub fn get_mut(&mut self, path: &[&str]) -> Option<&mut Value> {
        path.iter().try_fold(self, |value, name| value.field_mut(name))
    }

    /// The text at a path.
    pub fn str_at(&self, path: &[&str]) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// The integer at a path.
    pub fn i64_at(&self, path: &[&str]) -> Option<i64> {
        self.get(path)?.as_i64()
    }

    /// The truth value at a path.
    pub fn bool_at(&self, path: &[&str]) -> Option<bool> {
        self.get(path)?.as_bool()
    }

    /// The list at a path; empty when there is none.
    pub fn array_at(&self, path: &[&str]) -> &[Value] {
        self.get(path).and_then(Self::as_array).unwrap_or(&[])
    }

    /// The object at a path.
    pub fn object_at(&self, path: &[&str]) -> Option<&Map> {
        self.get(path)?.as_object()
    }

    /// Puts a value at a path, making the objects on the way (and replacing what is no object).
    pub fn set_at(&mut self, path: &[&str], value: impl Into<Value>) {
        let mut place = self;
        for name in path {
            place = place.ensure_object().entry_or_null(name);
        }
        *place = value.into();
    }

    /// Takes the value at a path away, and leaves the objects on the way.
    pub fn remove_at(&mut self, path: &[&str]) -> Option<Value> {
        let (last, parents) = path.split_last()?;
        self.get_mut(parents)?.as_object_mut()?.remove(last)
    }

    /// Puts a value at a path unless there is one that is not null.
    pub fn default_at(&mut self, path: &[&str], value: impl Into<Value>) {
        if self.get(path).is_none_or(Self::is_null) {
            self.set_at(path, value);
        }
    }

    /// Makes this an object if it is none, and returns it.
    pub fn ensure_object(&mut self) -> &mut Map {
        if !matches!(self, Self::Object(_)) {
            *self = Self::object();
        }
        match self {
            Self::Object(map) => map,
            _ => unreachable!("was just made an object"),
        }
    }

    /// Whether this is what Go omits with `omitempty`: null, false, zero, or an empty text, list or object.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(flag) => !flag,
            Self::Int(number) => *number == 0,
            Self::Float(number) => *number == 0.0,
            Self::String(text) => text.is_empty(),
            Self::Array(items) => items.is_empty(),
            Self::Object(map) => map.is_empty(),
        }
    }

    /// Parses JSON. Duplicate fields are reported, and the last one counts, as with Go.
    ///
    /// # Errors
    /// When the bytes are no JSON, or nest deeper than [`MAX_DEPTH`].
    pub fn parse_json(bytes: &[u8]) -> Result<(Self, Vec<Problem>), ParseError> {
        json::parse(bytes)
    }

    /// Compact JSON.
    pub fn to_json(&self) -> Vec<u8> {
        thread_local! {
            /// Grown once and used again, so that what is kept is as long as it must be: most of a store's memory comes from here.
            static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            self.write_json(scratch);
            let out = scratch.as_slice().to_vec();
            scratch.clear();
            scratch.shrink_to(SCRATCH_MAX);
            out
        })
    }

    /// Appends compact JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        json::write(self, out);
    }

    /// A typed value out of this document.
    ///
    /// # Errors
    /// When a field has another type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        serde_json::from_slice(&self.to_json()).map_err(DecodeError)
    }

    /// A document out of a typed value.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Self {
        serde_json::to_value(value).map_or(Self::Null, Self::from)
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_json()))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}
impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}
impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}
impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Self {
        Self::String(text.into_owned())
    }
}
impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Object(map)
    }
}
impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(flag) => Self::Bool(flag),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap_or(0.0)), Self::Int)
            }
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(map) => {
                Self::Object(map.into_iter().map(|(name, value)| (name, Self::from(value))).collect())
            }
        }
    }
}
impl From<&Value> for serde_json::Value {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(number) => Self::Number((*number).into()),
            Value::Float(number) => serde_json::Number::from_f64(*number).map_or(Self::Null, Self::Number),
            Value::String(text) => Self::String(text.clone()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(map) => Self::Object(map.iter().map(|(name, value)| (name.to_owned(), Self::from(value))).collect()),
        }
    }
}

/// Writes a document in place: `value!({"a": 1})`.
#[macro_export]
macro_rules! value {
    ($($json:tt)+) => { $crate::document::Value::from($crate::document::serde_json::json!($($json)+)) };
}

#[doc(hidden)]
pub use serde_json;

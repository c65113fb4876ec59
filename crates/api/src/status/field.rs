//! What is wrong with one field, in the wording of upstream's `field.Error`.

use crate::document::Value;
use std::fmt;

/// The sorts of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// A thing that is referred to does not exist.
    NotFound,
    /// A field must be given.
    Required,
    /// A value must be unique and is not.
    Duplicate,
    /// A value breaks a rule.
    Invalid,
    /// A value is none of those allowed.
    NotSupported,
    /// A field must not be given here.
    Forbidden,
    /// A text or list is too long.
    TooLong,
    /// A list has too many items.
    TooMany,
    /// Our own fault.
    Internal,
    /// A value has another JSON type.
    TypeInvalid,
}

impl FieldErrorKind {
    /// The word for machines, in `details.causes`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
}

/// One mistake in one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    /// The sort.
    pub kind: FieldErrorKind,
    /// The field, such as `spec.containers[0].name`.
    pub field: String,
    /// What stands there, where the text shows it.
    pub bad: Value,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    fn new(kind: FieldErrorKind, field: impl Into<String>, bad: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: field.into(), bad: bad.into(), detail: detail.into() }
    }

    /// A value breaks a rule.
    pub fn invalid(field: impl Into<String>, bad: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Invalid, field, bad, detail)
    }

    /// A field must be given.
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, field, Value::Null, detail)
    }

    /// A value must be unique and is not.
    pub fn duplicate(field: impl Into<String>, bad: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, field, bad, "")
    }

    /// A field must not be given here.
    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, field, Value::Null, detail)
    }

    /// A thing that is referred to does not exist.
    pub fn not_found(field: impl Into<String>, bad: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::NotFound, field, bad, "")
    }

    /// A value is none of `supported`.
    pub fn not_supported(field: impl Into<String>, bad: impl Into<Value>, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|text| format!("\"{text}\"")).collect();
        let detail = if list.is_empty() { String::new() } else { format!("supported values: {}", list.join(", ")) };
        Self::new(FieldErrorKind::NotSupported, field, bad, detail)
    }

    /// A text is longer than `limit` bytes.
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        let unit = if limit == 1 { "byte" } else { "bytes" };
        Self::new(FieldErrorKind::TooLong, field, Value::Null, format!("may not be more than {limit} {unit}"))
    }

    /// A list has more than `limit` items.
    pub fn too_many(field: impl Into<String>, actual: usize, limit: usize) -> Self {
        let unit = if limit == 1 { "item" } else { "items" };
        Self::new(FieldErrorKind::TooMany, field, actual as i64, format!("must have at most {limit} {unit}"))
    }

    /// A value has another JSON type.
    pub fn type_invalid(field: impl Into<String>, bad: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::TypeInvalid, field, bad, detail)
    }

    /// Our own fault.
    pub fn internal(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Internal, field, Value::Null, detail)
    }

    /// The text without the field.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        let shown = match self.kind {
            FieldErrorKind::Required | FieldErrorKind::Forbidden | FieldErrorKind::TooLong | FieldErrorKind::Internal => None,
            _ => Some(show(&self.bad)),
        };
        if let Some(shown) = shown {
            text.push_str(": ");
            text.push_str(&shown);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

fn show(bad: &Value) -> String {
    match bad {
        Value::String(text) => go_quote(text),
        other => other.to_string(),
    }
}

/// A text in quotes as Go's `%q` prints it, for what users write.
pub(crate) fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other if other.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(other))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.field.is_empty() { "<nil>" } else { &self.field }, self.body())
    }
}

impl std::error::Error for FieldError {}

/// A path that grows while a validation walks down: `spec.containers[0].name`.
#[derive(Clone, Debug, Default)]
pub struct FieldPath(String);

impl FieldPath {
    /// A path of one field; empty for the document itself.
    pub fn new(field: &str) -> Self {
        Self(field.to_owned())
    }

    /// The path of a field below.
    #[must_use]
    pub fn child(&self, field: &str) -> Self {
        if self.0.is_empty() { Self(field.to_owned()) } else { Self(format!("{}.{field}", self.0)) }
    }

    /// The path of an item.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// The path of an entry of a map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&FieldPath> for String {
    fn from(path: &FieldPath) -> Self {
        path.0.clone()
    }
}

impl From<FieldPath> for String {
    fn from(path: FieldPath) -> Self {
        path.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

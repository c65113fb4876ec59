//! A document as go-yaml holds it, before it becomes JSON. It never holds what JSON could not but for keys and floats.

use std::borrow::Cow;
use std::fmt::Write as _;

use indexmap::IndexMap;
use serde_json::{Map, Number, Value as Json};

use crate::yaml::number::{float_general, float_key};

/// A value of go-yaml.
#[derive(Debug, Clone, PartialEq)]
pub enum Go {
    /// `nil`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint64`, beyond `int`.
    Uint(u64),
    /// `float64`.
    Float(f64),
    /// `string`.
    Text(String),
    /// `[]interface {}`.
    List(Vec<Go>),
    /// `map[interface {}]interface {}`, in the order in which keys were first seen.
    Map(IndexMap<Key, Go>),
}

/// A key of go-yaml.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// `nil`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint64`.
    Uint(u64),
    /// `float64`, as its bits.
    Float(u64),
    /// `string`.
    Text(String),
}

impl Key {
    /// The key that a value can be; lists and maps cannot.
    pub(super) fn from_value(value: Go) -> Result<Self, Go> {
        Ok(match value {
            Go::Null => Self::Null,
            Go::Bool(value) => Self::Bool(value),
            Go::Int(value) => Self::Int(value),
            Go::Uint(value) => Self::Uint(value),
            Go::Float(value) => Self::Float(value.to_bits()),
            Go::Text(text) => Self::Text(text),
            other => return Err(other),
        })
    }

    fn to_value(&self) -> Go {
        match self {
            Self::Null => Go::Null,
            Self::Bool(value) => Go::Bool(*value),
            Self::Int(value) => Go::Int(*value),
            Self::Uint(value) => Go::Uint(*value),
            Self::Float(bits) => Go::Float(f64::from_bits(*bits)),
            Self::Text(text) => Go::Text(text.clone()),
        }
    }

    /// As Go's `%#v` prints it.
    pub(super) fn syntax(&self) -> String {
        self.to_value().syntax()
    }
}

impl Go {
    /// The JSON that comes of it; keys become text where they can.
    pub fn into_json(self) -> Result<Json, String> {
        self.check_keys()?;
        self.convert()
    }

    /// As [`Self::into_json`], but a map gives these entries alone.
    pub(super) fn into_fields(self, names: &[&str]) -> Result<Json, String> {
        self.check_keys()?;
        if !self.is_finite() {
            return self.convert();
        }
        let Self::Map(mut entries) = self else { return self.convert() };
        let wanted = |key: &Key, value: &Self| key_text(key, value).is_ok_and(|text| names.contains(&&*text));
        entries.retain(|key, value| wanted(key, value));
        Self::Map(entries).convert()
    }

    /// Whether JSON can say every number.
    fn is_finite(&self) -> bool {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || match self {
            Self::Float(value) => value.is_finite(),
            Self::List(items) => items.iter().all(Self::is_finite),
            Self::Map(entries) => entries.values().all(Self::is_finite),
            _ => true,
        })
    }

    /// Keys are looked at before any number is.
    fn check_keys(&self) -> Result<(), String> {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || match self {
            Self::List(items) => items.iter().try_for_each(Self::check_keys),
            Self::Map(entries) => entries.iter().try_for_each(|(key, value)| {
                key_text(key, value)?;
                value.check_keys()
            }),
            _ => Ok(()),
        })
    }

    fn convert(self) -> Result<Json, String> {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || self.convert_here())
    }

    fn convert_here(self) -> Result<Json, String> {
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Int(value) => Json::from(value),
            Self::Uint(value) => Json::from(value),
            Self::Float(value) => match Number::from_f64(value) {
                Some(number) => Json::Number(number),
                None => return Err(format!("json: unsupported value: {}", float_general(value))),
            },
            Self::Text(text) => Json::String(text),
            Self::List(items) => Json::Array(items.into_iter().map(Self::convert).collect::<Result<_, _>>()?),
            Self::Map(entries) => {
                let mut pairs = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let text = match key {
                        Key::Text(text) => text,
                        key => key_text(&key, &value)?.into_owned(),
                    };
                    pairs.push((text, value.convert()?));
                }
                pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
                Json::Object(pairs.into_iter().collect::<Map<_, _>>())
            }
        })
    }

    /// As Go's `%#v` prints it.
    #[must_use]
    pub fn syntax(&self) -> String {
        match self {
            Self::Null => "interface {}(nil)".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => format!("{value:#x}"),
            Self::Float(value) => float_general(*value),
            Self::Text(text) => quoted(text),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::syntax).collect();
                format!("[]interface {{}}{{{}}}", items.join(", "))
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_by(|(a, _), (b, _)| a.rank().cmp(&b.rank()));
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}:{}", key.syntax(), value.syntax())).collect();
                format!("map[interface {{}}]interface {{}}{{{}}}", entries.join(", "))
            }
        }
    }
}

impl Key {
    /// Go's printing sorts keys of one kind by value, and kinds by address; text after the rest is what is seen.
    fn rank(&self) -> (u8, i128, &str) {
        match self {
            Self::Null => (0, 0, ""),
            Self::Int(value) => (1, i128::from(*value), ""),
            Self::Uint(value) => (2, i128::from(*value), ""),
            Self::Float(bits) => (3, i128::from(*bits), ""),
            Self::Bool(value) => (4, i128::from(*value), ""),
            Self::Text(text) => (5, 0, text),
        }
    }
}

fn key_text<'k>(key: &'k Key, value: &Go) -> Result<Cow<'k, str>, String> {
    let unsupported = |kind: &str, key: &str| {
        let value = if *value == Go::Null { "<nil>".to_owned() } else { value.syntax() };
        Err(format!("unsupported map key of type: {kind}, key: {key}, value: {value}"))
    };
    Ok(match key {
        Key::Text(text) => Cow::Borrowed(text),
        Key::Int(value) => value.to_string().into(),
        Key::Float(bits) => float_key(f64::from_bits(*bits)).into(),
        Key::Bool(value) => value.to_string().into(),
        Key::Null => return unsupported("%!s(<nil>)", "<nil>"),
        Key::Uint(value) => return unsupported("uint64", &format!("{value:#x}")),
    })
}

/// Go's `%q` for the characters that occur.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

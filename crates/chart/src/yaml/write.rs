//! The writer: go-yaml's layout to the byte, in the two generations that Helm uses. It never sorts by anything but
//! go-yaml's order, and never folds where go-yaml does not.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::number::{float_general, float_json};
use super::order::{Generation, sort};
use super::scalar::{Style, is_break, is_printable, style_of};
use crate::value::Value;

/// Where the second generation breaks lines that have a space.
const WIDTH_MAX: usize = 80;
/// go-yaml reads the JSON between as YAML, whose keys may not be longer.
const KEY_CHARACTERS_MAX: usize = 1024;
/// A key longer than this is written behind a `?`.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// Why something cannot be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    /// Helm's own detour over YAML would fail on this text.
    #[error("yaml: control characters are not allowed")]
    CarryText,
    /// A key is too long for the detour.
    #[error("yaml: did not find expected ',' or '}}'")]
    CarryKey,
    /// JSON has no such number.
    #[error("json: unsupported value: {0}")]
    CarryNumber(String),
}

/// A value to be written, borrowed from wherever it lives.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A float; how it is written depends on the writer.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// What stands as it is, such as a time.
    Plain(Cow<'a, str>),
    /// A list.
    List(Vec<Item<'a>>),
    /// A map in any order.
    Map(Vec<(Cow<'a, str>, Item<'a>)>),
    /// Keys in this very order, for what Go holds as a struct.
    Struct(Vec<(Cow<'a, str>, Item<'a>)>),
}

impl<'a> From<&'a Json> for Item<'a> {
    fn from(value: &'a Json) -> Self {
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (_, Some(value)) => Self::Uint(value),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(map) => {
                Self::Map(map.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), Self::from(value))).collect())
            }
        }
    }
}

impl Item<'_> {
    /// A template's value as Go holds it, without the detour over JSON.
    #[must_use]
    pub fn from_value(value: &Value) -> Item<'static> {
        match value {
            Value::Nil | Value::Complex(..) => Item::Null,
            Value::Bool(truth) => Item::Bool(*truth),
            Value::Int(number, _) => Item::Int(*number),
            Value::Uint(number, _) => Item::Uint(*number),
            Value::Float(number) => Item::Float(*number),
            Value::String(text) => Item::Text(Cow::Owned(text.lossy().into_owned())),
            Value::List(list) => list.with(|items| Item::List(items.iter().map(Item::from_value).collect())),
            Value::Map(map) => map.with(|entries| {
                let entries = entries.iter().map(|(key, value)| (Cow::Owned(key.lossy().into_owned()), Item::from_value(value)));
                Item::Map(entries.collect())
            }),
            Value::Object(object) => Item::from_value(&object.to_json()),
        }
    }
}

/// As `sigs.k8s.io/yaml` marshals: over JSON, by the second generation, lists not indented, long lines folded.
pub fn write(item: &Item<'_>) -> Result<String, WriteError> {
    let mut writer = Writer::new(Generation::Second);
    writer.document(item)?;
    Ok(writer.out)
}

/// As `toYamlPretty` marshals: straight from Go's values, by the third generation, lists indented, nothing folded.
pub fn write_pretty(item: &Item<'_>) -> Result<String, WriteError> {
    let mut writer = Writer::new(Generation::Third);
    writer.document(item)?;
    Ok(writer.out)
}

struct Writer {
    generation: Generation,
    out: String,
    column: usize,
    indent: Option<usize>,
    /// The last thing written can be followed directly by a token.
    whitespace: bool,
    /// Nothing but indentation stands on this line.
    indention: bool,
}

impl Writer {
    fn new(generation: Generation) -> Self {
        Self { generation, out: String::new(), column: 0, indent: None, whitespace: true, indention: true }
    }

    fn document(&mut self, item: &Item<'_>) -> Result<(), WriteError> {
        self.node(item, false)?;
        self.write_indent();
        Ok(())
    }

    fn node(&mut self, item: &Item<'_>, in_mapping: bool) -> Result<(), WriteError> {
        stacker::maybe_grow(crate::RED_ZONE, crate::SEGMENT, || self.node_here(item, in_mapping))
    }

    fn node_here(&mut self, item: &Item<'_>, in_mapping: bool) -> Result<(), WriteError> {
        match item {
            Item::Null => self.word("null"),
            Item::Bool(value) => self.word(if *value { "true" } else { "false" }),
            Item::Int(value) => self.word(&value.to_string()),
            Item::Uint(value) => self.word(&value.to_string()),
            Item::Float(value) => self.word(&self.float(*value)?),
            Item::Plain(text) => self.word(text),
            Item::Text(text) => {
                let text = self.carried(text)?;
                let (style, _) = style_of(&text, false, self.generation);
                self.scalar(&text, style, true);
            }
            Item::List(items) => self.list(items, in_mapping)?,
            Item::Map(entries) => {
                let mut sorted = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    self.check_key(key)?;
                    sorted.push((self.carried(key)?, value));
                }
                let sorted = sort(sorted, |(key, _)| key, self.generation);
                self.map(&sorted)?;
            }
            Item::Struct(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| (key.clone(), value)).collect();
                self.map(&entries)?;
            }
        }
        Ok(())
    }

    /// Text as it comes out of JSON read as YAML: some characters fail there, and NEL counts as a line break that folds.
    fn carried<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, WriteError> {
        if self.generation == Generation::Third {
            return Ok(Cow::Borrowed(text));
        }
        let refused = |c: char| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
        if text.is_ascii() && !text.contains('\u{7f}') {
            return Ok(Cow::Borrowed(text));
        }
        if text.contains(refused) {
            return Err(WriteError::CarryText);
        }
        Ok(if text.contains('\u{85}') { Cow::Owned(fold_next_lines(text)) } else { Cow::Borrowed(text) })
    }

    /// A key of JSON read as YAML has to stand on one line and be short.
    fn check_key(&self, key: &str) -> Result<(), WriteError> {
        let fits = || {
            let inside = key.len() < KEY_CHARACTERS_MAX / 6 || json_length(key) <= KEY_CHARACTERS_MAX;
            inside && !key.contains('\u{85}')
        };
        if self.generation == Generation::Second && !fits() { Err(WriteError::CarryKey) } else { Ok(()) }
    }

    fn float(&self, value: f64) -> Result<String, WriteError> {
        if self.generation == Generation::Third {
            return Ok(match float_general(value).as_str() {
                "+Inf" => ".inf".to_owned(),
                "-Inf" => "-.inf".to_owned(),
                "NaN" => ".nan".to_owned(),
                text => text.to_owned(),
            });
        }
        if !value.is_finite() {
            return Err(WriteError::CarryNumber(float_general(value)));
        }
        let text = float_json(value);
        let whole = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
        Ok(match text.as_str() {
            "-0" => "0".to_owned(),
            _ if whole => text,
            _ => float_general(value),
        })
    }

    fn list(&mut self, items: &[Item<'_>], in_mapping: bool) -> Result<(), WriteError> {
        if items.is_empty() {
            self.indicator("[", true, true, false);
            self.indicator("]", false, false, false);
            return Ok(());
        }
        let outer = self.indent;
        let indentless = self.generation == Generation::Second && in_mapping && !self.indention;
        self.indent = Some(match outer {
            None => 0,
            Some(outer) if indentless => outer,
            Some(outer) => outer + 2,
        });
        for item in items {
            self.write_indent();
            self.indicator("-", true, false, true);
            self.node(item, false)?;
        }
        self.indent = outer;
        Ok(())
    }

    fn map(&mut self, entries: &[(Cow<'_, str>, &Item<'_>)]) -> Result<(), WriteError> {
        if entries.is_empty() {
            self.indicator("{", true, true, false);
            self.indicator("}", false, false, false);
            return Ok(());
        }
        let outer = self.indent;
        self.indent = Some(outer.map_or(0, |outer| outer + 2));
        for (key, value) in entries {
            self.write_indent();
            let (_, many_lines) = style_of(key, true, self.generation);
            if many_lines || key.len() > SIMPLE_KEY_BYTES_MAX {
                self.indicator("?", true, false, true);
                let (style, _) = style_of(key, false, self.generation);
                self.scalar(key, style, true);
                self.write_indent();
                self.indicator(":", true, false, true);
            } else {
                let (style, _) = style_of(key, true, self.generation);
                self.scalar(key, style, false);
                self.indicator(":", false, false, false);
            }
            self.node(value, true)?;
        }
        self.indent = outer;
        Ok(())
    }

    fn word(&mut self, text: &str) {
        self.scalar(text, Style::Plain, true);
    }

    fn scalar(&mut self, text: &str, style: Style, may_fold: bool) {
        let outer = self.indent;
        self.indent = Some(outer.map_or(2, |outer| outer + 2));
        match style {
            Style::Plain => self.plain(text, may_fold),
            Style::SingleQuoted => self.single_quoted(text, may_fold),
            Style::DoubleQuoted => self.double_quoted(text, may_fold),
            Style::Literal => self.literal(text),
        }
        self.indent = outer;
    }
}

/// How many characters Go's JSON needs for a text, quotes included.
fn json_length(text: &str) -> usize {
    let inside: usize = text
        .chars()
        .map(|c| match c {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => 6,
            _ => 1,
        })
        .sum();
    inside + 2
}

/// Inside of quotes NEL is a line break: one becomes a space, further ones line feeds, blanks around them vanish.
fn fold_next_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{85}') {
        out.push_str(rest[..at].trim_end_matches(' '));
        let run_end = rest[at..].find(|c| c != '\u{85}' && c != ' ').map_or(rest.len(), |end| at + end);
        let breaks = rest[at..run_end].matches('\u{85}').count();
        if breaks == 1 {
            out.push(' ');
        } else {
            out.extend(std::iter::repeat_n('\n', breaks - 1));
        }
        rest = &rest[run_end..];
    }
    out.push_str(rest);
    out
}

mod layout;

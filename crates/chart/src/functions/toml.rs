//! TOML as Helm writes it. Reading stands in `toml/read.rs`.

use crate::golang::layout::{self, RFC3339_NANO};
use crate::golang::moment::{Moment, Zone};
use crate::golang::number::format_g;
use crate::value::{List, Str, Value};

use super::dates::moment_of;

mod read;

pub use read::{Zones, read};

/// Beyond it a value is taken for one that holds itself.
const DEPTH_MAX: usize = 1000;

/// Why a value has no TOML; the wording is that of Go's libraries.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    /// A nil in a list.
    #[error("toml: cannot encode array with nil element")]
    NilElement,
    /// A list of tables with no key above it.
    #[error("toml: top-level values must be Go maps or structs")]
    NoKey,
    /// Nothing at all.
    #[error("reflect: call of reflect.Value.Type on zero Value")]
    Nil,
    /// A type that TOML has not.
    #[error("unsupported type: {0}")]
    Type(&'static str),
    /// Deeper than is written.
    #[error("a document of more than {DEPTH_MAX} levels is refused")]
    Depth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Nil,
    Table,
    Tables,
    Plain,
}

/// Writes a document.
pub fn write(value: &Value) -> Result<Str, WriteError> {
    if value.is_nil() {
        return Err(WriteError::Nil);
    }
    let mut writer = Writer { out: Vec::new() };
    writer.encode(&[], value)?;
    Ok(writer.out.into())
}

/// What a struct is written as: one text, or a table of its fields.
fn fields_of(value: &Value) -> Option<Vec<(Str, Value)>> {
    match value {
        Value::Map(map) => Some(map.entries()),
        Value::Object(object) if object.print().is_none() && object.scalar().is_none() => {
            Some(object.fields().into_iter().map(|(name, value)| (Str::from(name), value)).collect())
        }
        _ => None,
    }
}

fn shape(value: &Value, depth: usize) -> Result<Shape, WriteError> {
    if depth > DEPTH_MAX {
        return Err(WriteError::Depth);
    }
    if value.is_any_nil() {
        return Ok(Shape::Nil);
    }
    match value {
        Value::Complex(..) => Err(WriteError::Type("complex128")),
        Value::List(list) => shape_of_list(list, depth),
        _ => Ok(if fields_of(value).is_some() { Shape::Table } else { Shape::Plain }),
    }
}

fn shape_of_list(list: &List, depth: usize) -> Result<Shape, WriteError> {
    let mut all_tables = !list.is_empty();
    for item in list.items() {
        match shape(&item, depth + 1)? {
            Shape::Nil => return Err(WriteError::NilElement),
            found => all_tables &= found == Shape::Table,
        }
    }
    Ok(if all_tables { Shape::Tables } else { Shape::Plain })
}

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn newline(&mut self) {
        if !self.out.is_empty() {
            self.out.push(b'\n');
        }
    }

    fn indent(&mut self, key: &[Str]) {
        self.push(&"  ".repeat(key.len().saturating_sub(1)));
    }

    fn encode(&mut self, key: &[Str], value: &Value) -> Result<(), WriteError> {
        match shape(value, key.len())? {
            Shape::Nil if matches!(value, Value::List(_)) => self.pair(key, value, false),
            Shape::Nil => Ok(()),
            Shape::Plain => self.pair(key, value, false),
            Shape::Table => {
                if key.len() == 1 {
                    self.newline();
                }
                if !key.is_empty() {
                    self.header(key, "[", "]");
                }
                self.table(key, value, false)
            }
            Shape::Tables => {
                if key.is_empty() {
                    return Err(WriteError::NoKey);
                }
                for item in value.as_list().items() {
                    self.newline();
                    self.header(key, "[[", "]]");
                    self.table(key, &item, false)?;
                }
                Ok(())
            }
        }
    }

    fn header(&mut self, key: &[Str], open: &str, close: &str) {
        self.indent(key);
        self.push(open);
        for (index, part) in key.iter().enumerate() {
            if index > 0 {
                self.out.push(b'.');
            }
            self.key(part);
        }
        self.push(close);
        self.newline();
    }

    fn key(&mut self, key: &Str) {
        let bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !key.is_empty() && key.iter().all(bare) {
            self.out.extend_from_slice(key);
        } else {
            self.quoted(key);
        }
    }

    /// What stands directly in a table comes before the tables in it.
    fn table(&mut self, key: &[Str], value: &Value, inline: bool) -> Result<(), WriteError> {
        let fields = fields_of(value).unwrap_or_default();
        let (mut plain, mut tables) = (Vec::new(), Vec::new());
        for (name, field) in fields {
            match shape(&field, key.len() + 1)? {
                Shape::Table | Shape::Tables => tables.push((name, field)),
                _ => plain.push((name, field)),
            }
        }
        if inline {
            self.out.push(b'{');
        }
        self.fields(key, &plain, inline, !tables.is_empty())?;
        self.fields(key, &tables, inline, false)?;
        if inline {
            self.out.push(b'}');
        }
        Ok(())
    }

    fn fields(&mut self, key: &[Str], fields: &[(Str, Value)], inline: bool, more: bool) -> Result<(), WriteError> {
        for (index, (name, field)) in fields.iter().enumerate() {
            if field.is_any_nil() {
                continue;
            }
            if inline {
                self.pair(std::slice::from_ref(name), field, true)?;
                if more || index + 1 < fields.len() {
                    self.push(", ");
                }
            } else {
                self.encode(&[key, std::slice::from_ref(name)].concat(), field)?;
            }
        }
        Ok(())
    }

    fn pair(&mut self, key: &[Str], value: &Value, inline: bool) -> Result<(), WriteError> {
        let Some(name) = key.last() else { return self.element(value, 0) };
        self.indent(key);
        self.key(name);
        self.push(" = ");
        self.element(value, key.len())?;
        if !inline {
            self.newline();
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Result<(), WriteError> {
        if depth > DEPTH_MAX {
            return Err(WriteError::Depth);
        }
        match value {
            Value::Bool(truth) => self.push(if *truth { "true" } else { "false" }),
            Value::Int(number, _) => self.push(&number.to_string()),
            Value::Uint(number, _) => self.push(&number.to_string()),
            Value::Float(number) => self.float(*number),
            Value::String(text) => self.quoted(text),
            Value::List(list) => {
                self.out.push(b'[');
                for (index, item) in list.items().iter().enumerate() {
                    if index > 0 {
                        self.push(", ");
                    }
                    self.element(item, depth + 1)?;
                }
                self.out.push(b']');
            }
            Value::Map(_) => self.table(&[], value, true)?,
            Value::Object(object) if object.type_name() == "time.Duration" => {
                self.quoted(&object.print().unwrap_or_default());
            }
            Value::Object(object) if object.scalar().is_some() => {
                self.element(&object.scalar().unwrap_or_default(), depth + 1)?;
            }
            Value::Object(object) => match (moment_of(value), object.print()) {
                (Some(moment), _) => self.time(&moment),
                (None, Some(text)) => self.quoted(&text),
                (None, None) => self.table(&[], value, true)?,
            },
            Value::Complex(..) | Value::Nil => return Err(WriteError::NilElement),
        }
        Ok(())
    }

    fn float(&mut self, number: f64) {
        let sign = if number.is_sign_negative() { "-" } else { "" };
        if number.is_nan() {
            self.push(&format!("{sign}nan"));
        } else if number.is_infinite() {
            self.push(&format!("{sign}inf"));
        } else {
            let text = format_g(number);
            let whole = !text.contains(['e', '.']);
            self.push(&text);
            self.push(if whole { ".0" } else { "" });
        }
    }

    fn quoted(&mut self, text: &[u8]) {
        quote_into(&mut self.out, text);
    }

    fn time(&mut self, moment: &Moment) {
        // A date without a zone was read as local, and is written as it was.
        let name = if let Zone::Fixed(name, _) = &moment.zone { name.as_str() } else { "" };
        let form = match name {
            "datetime-local" => "2006-01-02T15:04:05.999999999",
            "date-local" => "2006-01-02",
            "time-local" => "15:04:05.999999999",
            _ => {
                self.out.extend_from_slice(&layout::write(moment, RFC3339_NANO.as_bytes()));
                return;
            }
        };
        self.out.extend_from_slice(&layout::write(&moment.seen_from(Zone::Utc), form.as_bytes()));
    }
}

/// A text in double quotes.
fn quote_into(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

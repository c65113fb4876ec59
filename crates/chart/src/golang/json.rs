//! JSON as Go's encoding/json writes it. Reading stands in `json/read.rs`.

use super::base;
use super::number;
use crate::value::Value;

mod read;

pub use read::read;

/// Nesting beyond which a value is taken for one that holds itself.
const DEPTH_MAX: usize = 1000;

/// Why a value has no JSON; the wording is Go's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    /// NaN or an infinity.
    #[error("json: unsupported value: {0}")]
    Number(String),
    /// A value that holds itself.
    #[error("json: unsupported value: encountered a cycle via {0}")]
    Cycle(String),
    /// A type that JSON has not.
    #[error("json: unsupported type: {0}")]
    Type(String),
}

/// How to write.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether `<`, `>` and `&` are written as escapes.
    pub escape_html: bool,
    /// Whether lines are broken and moved right by two spaces.
    pub pretty: bool,
}

/// Writes a value.
pub fn write(value: &Value, style: Style) -> Result<String, WriteError> {
    let mut writer = Writer { out: String::new(), style };
    writer.value(value, 0)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    style: Style,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), WriteError> {
        if depth > DEPTH_MAX {
            return Err(WriteError::Cycle(value.type_name()));
        }
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(truth) => self.out.push_str(if *truth { "true" } else { "false" }),
            Value::Int(number, _) => self.out.push_str(&number.to_string()),
            Value::Uint(number, _) => self.out.push_str(&number.to_string()),
            Value::Float(number) if !number.is_finite() => return Err(WriteError::Number(number::format_g(*number))),
            Value::Float(number) => self.out.push_str(&number::format_json(*number)),
            Value::Complex(..) => return Err(WriteError::Type("complex128".to_owned())),
            Value::String(text) => self.text(text),
            Value::List(list) if list.is_nil() => self.out.push_str("null"),
            Value::List(list) => {
                if let Some(bytes) = list.as_bytes() {
                    self.text(base::encode64(&bytes).as_bytes());
                    return Ok(());
                }
                let items = list.items();
                self.enclosed('[', ']', items.len(), depth, |writer, index| writer.value(&items[index], depth + 1))?;
            }
            Value::Map(map) if map.is_nil() => self.out.push_str("null"),
            Value::Map(map) => {
                let entries = map.entries();
                self.enclosed('{', '}', entries.len(), depth, |writer, index| {
                    writer.text(&entries[index].0);
                    writer.out.push_str(if writer.style.pretty { ": " } else { ":" });
                    writer.value(&entries[index].1, depth + 1)
                })?;
            }
            Value::Object(object) if object.is_nil() => self.out.push_str("null"),
            Value::Object(object) => self.value(&object.to_json(), depth + 1)?,
        }
        Ok(())
    }

    fn enclosed(
        &mut self,
        open: char,
        close: char,
        count: usize,
        depth: usize,
        mut item: impl FnMut(&mut Self, usize) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        self.out.push(open);
        for index in 0..count {
            if index > 0 {
                self.out.push(',');
            }
            self.line(depth + 1);
            item(self, index)?;
        }
        if count > 0 {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if self.style.pretty {
            self.out.push('\n');
            self.out.push_str(&"  ".repeat(depth));
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.out.push('"');
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                self.character(character);
            }
            for _ in chunk.invalid() {
                self.out.push_str("\\ufffd");
            }
        }
        self.out.push('"');
    }

    fn character(&mut self, character: char) {
        match character {
            '"' => self.out.push_str("\\\""),
            '\\' => self.out.push_str("\\\\"),
            '\n' => self.out.push_str("\\n"),
            '\r' => self.out.push_str("\\r"),
            '\t' => self.out.push_str("\\t"),
            '\u{8}' => self.out.push_str("\\b"),
            '\u{c}' => self.out.push_str("\\f"),
            '<' | '>' | '&' if !self.style.escape_html => self.out.push(character),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                self.out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            _ => self.out.push(character),
        }
    }
}

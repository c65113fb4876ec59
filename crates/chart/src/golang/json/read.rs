//! Reading JSON, with the errors of Go's encoding/json. Without recursion, so that nesting costs no stack.

use std::collections::BTreeMap;

use crate::print::quote::quoted as quote;
use crate::value::{ANY_MAP, List, Map, Str, Value};

/// Nesting that is still read. Go reads ten times as deep.
const DEPTH_MAX: usize = 1000;

/// Why a text is no JSON; the wording is Go's.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// It stops too early.
    #[error("unexpected end of JSON input")]
    End,
    /// A character stands where it must not.
    #[error("invalid character {character} {context}")]
    Character {
        /// The character, quoted.
        character: String,
        /// Where it stands.
        context: String,
    },
}

/// What was read, and the first number that no float holds, as an error of the whole.
#[derive(Debug)]
pub struct Document {
    /// The value; numbers that no float holds are nil in it.
    pub value: Value,
    /// Go's text for the first such number.
    pub too_large: Option<String>,
}

/// Reads a document into what Go's `interface {}` would hold.
pub fn read(text: &[u8]) -> Result<Document, ReadError> {
    let mut reader = Reader { text, at: 0, too_large: None };
    let value = reader.document()?;
    Ok(Document { value, too_large: reader.too_large })
}

enum Open {
    Array(Vec<Value>),
    Object(BTreeMap<Str, Value>, Str),
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    too_large: Option<String>,
}

impl Reader<'_> {
    fn document(&mut self) -> Result<Value, ReadError> {
        let mut stack: Vec<Open> = Vec::new();
        loop {
            let Some(mut value) = self.begin(&mut stack)? else { continue };
            // What is complete goes into what is open, and may complete that too.
            loop {
                match stack.pop() {
                    None => {
                        return match self.peek_after_space() {
                            None => Ok(value),
                            Some(_) => Err(self.unexpected("after top-level value")),
                        };
                    }
                    Some(Open::Array(mut items)) => {
                        items.push(value);
                        match self.next_after_space()? {
                            b',' => {
                                stack.push(Open::Array(items));
                                break;
                            }
                            b']' => value = Value::List(List::any(items)),
                            _ => return Err(self.unexpected_before("after array element")),
                        }
                    }
                    Some(Open::Object(mut entries, key)) => {
                        entries.insert(key, value);
                        match self.next_after_space()? {
                            b',' => {
                                let key = self.key()?;
                                stack.push(Open::Object(entries, key));
                                break;
                            }
                            b'}' => value = Value::Map(Map::of(ANY_MAP, entries)),
                            _ => return Err(self.unexpected_before("after object key:value pair")),
                        }
                    }
                }
            }
        }
    }

    /// Reads a scalar or an empty list or map; of another list or map only the start, and gives nothing.
    fn begin(&mut self, stack: &mut Vec<Open>) -> Result<Option<Value>, ReadError> {
        let first = self.next_after_space()?;
        if matches!(first, b'[' | b'{') && stack.len() >= DEPTH_MAX {
            return Err(self.unexpected_before("exceeded max depth"));
        }
        match first {
            b'[' => {
                if self.peek_after_space() == Some(b']') {
                    self.at += 1;
                    return Ok(Some(Value::list(Vec::new())));
                }
                stack.push(Open::Array(Vec::new()));
                Ok(None)
            }
            b'{' => {
                if self.peek_after_space() == Some(b'}') {
                    self.at += 1;
                    return Ok(Some(Map::any().into()));
                }
                let key = self.key()?;
                stack.push(Open::Object(BTreeMap::new(), key));
                Ok(None)
            }
            b'"' => Ok(Some(self.string()?.into())),
            b'-' | b'0'..=b'9' => Ok(Some(self.number(first)?)),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Nil),
            _ => Err(self.unexpected_before("looking for beginning of value")),
        }
    }

    fn peek_after_space(&mut self) -> Option<u8> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn next_after_space(&mut self) -> Result<u8, ReadError> {
        self.peek_after_space();
        self.next()
    }

    fn next(&mut self) -> Result<u8, ReadError> {
        let byte = *self.text.get(self.at).ok_or(ReadError::End)?;
        self.at += 1;
        Ok(byte)
    }

    /// The error for the byte at hand.
    fn unexpected(&self, context: &str) -> ReadError {
        // At the end Go reads one space more, and complains of that.
        let byte = self.text.get(self.at).unwrap_or(&b' ');
        let character = match byte {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            _ => {
                let quoted = quote(char::from(*byte).to_string().as_bytes());
                format!("'{}'", &quoted[1..quoted.len() - 1])
            }
        };
        ReadError::Character { character, context: context.to_owned() }
    }

    /// The error for the byte before.
    fn unexpected_before(&mut self, context: &str) -> ReadError {
        self.at -= 1;
        self.unexpected(context)
    }

    fn key(&mut self) -> Result<Str, ReadError> {
        if self.next_after_space()? != b'"' {
            return Err(self.unexpected_before("looking for beginning of object key string"));
        }
        let key = self.string()?;
        if self.next_after_space()? != b':' {
            return Err(self.unexpected_before("after object key"));
        }
        Ok(key)
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Option<Value>, ReadError> {
        for expected in word.bytes().skip(1) {
            if self.text.get(self.at) != Some(&expected) {
                return Err(self.unexpected(&format!("in literal {word} (expecting '{}')", char::from(expected))));
            }
            self.at += 1;
        }
        Ok(Some(value))
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - from
    }

    fn some_digits(&mut self, context: &str) -> Result<(), ReadError> {
        if self.digits() > 0 { Ok(()) } else { Err(self.unexpected(context)) }
    }

    fn number(&mut self, first: u8) -> Result<Value, ReadError> {
        let from = self.at - 1;
        let mut leading = first;
        if first == b'-' {
            leading = self.text.get(self.at).copied().unwrap_or(b' ');
            self.at += usize::from(leading.is_ascii_digit());
        }
        match leading {
            b'0' => {}
            b'1'..=b'9' => drop(self.digits()),
            _ => return Err(self.unexpected("in numeric literal")),
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits("after decimal point in numeric literal")?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits("in exponent of numeric literal")?;
        }
        let shown = String::from_utf8_lossy(&self.text[from..self.at]);
        match shown.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Float(number)),
            _ => {
                let text = format!("json: cannot unmarshal number {shown} into Go value of type float64");
                self.too_large.get_or_insert(text);
                Ok(Value::Nil)
            }
        }
    }

    fn string(&mut self) -> Result<Str, ReadError> {
        let mut out = Vec::new();
        loop {
            let byte = self.next()?;
            match byte {
                b'"' => break,
                b'\\' => self.escape(&mut out)?,
                0..0x20 => return Err(self.unexpected_before("in string literal")),
                _ => out.push(byte),
            }
        }
        Ok(crate::value::lossy(&out).into_owned().into())
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let Some(&code) = self.text.get(self.at) else { return Err(self.unexpected("in string escape code")) };
        self.at += 1;
        let plain = match code {
            plain @ (b'"' | b'\\' | b'/') => plain,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode()?;
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.unexpected_before("in string escape code")),
        };
        out.push(plain);
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, ReadError> {
        let high = self.hex()?;
        if !(0xd800..0xe000).contains(&high) {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let held = self.at;
        if high < 0xdc00 && self.text[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let joined = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.at = held;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, ReadError> {
        let mut value = 0;
        for _ in 0..4 {
            match self.text.get(self.at).and_then(|byte| char::from(*byte).to_digit(16)) {
                Some(digit) => value = value << 4 | digit,
                None => return Err(self.unexpected("in \\u hexadecimal character escape")),
            }
            self.at += 1;
        }
        Ok(value)
    }
}

//! The grammar of `--set` and its kin. It never merges files.

use serde_json::Value as Json;

use super::{Values, with_floats};

/// No list may be longer than this.
const INDEX_MAX: i64 = 65_536;
/// No key may have more points than this.
const LEVELS_MAX: usize = 30;

/// Which flag is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetKind {
    /// `--set`: words become booleans, null and integers.
    Typed,
    /// `--set-string`: all is text.
    Text,
    /// `--set-json`: a value is JSON, or the whole is one object.
    Json,
    /// `--set-literal`: nothing is special in a value.
    Literal,
}

/// Why a setting cannot be read; the text is Helm's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SetError {
    /// `--set`.
    #[error("failed parsing --set data: {0}")]
    ReadTyped(String),
    /// `--set-string`.
    #[error("failed parsing --set-string data: {0}")]
    ReadText(String),
    /// `--set-json` with keys.
    #[error("failed parsing --set-json data {0}")]
    ReadJson(String),
    /// `--set-json` with an object.
    #[error("failed parsing --set-json data JSON: {0}")]
    ReadJsonObject(String),
    /// `--set-file`.
    #[error("failed parsing --set-file data: {0}")]
    ReadFile(String),
    /// `--set-literal`.
    #[error("failed parsing --set-literal data: {0}")]
    ReadLiteral(String),
}

/// Applies one argument of a flag to `values`.
pub fn set(values: &mut Values, kind: SetKind, text: &str) -> Result<(), SetError> {
    if kind == SetKind::Json && text.trim().starts_with('{') {
        let map: Values = serde_json::from_str(text.trim()).map_err(|_| SetError::ReadJsonObject(text.to_owned()))?;
        *values = super::merge_maps(std::mem::take(values), with_floats(map));
        return Ok(());
    }
    let mut read = |text: &str| Ok(if kind == SetKind::Typed { typed(text) } else { Json::from(text) });
    Parser::new(text, kind, &mut read).parse(values).map_err(|error| match kind {
        SetKind::Typed => SetError::ReadTyped(error),
        SetKind::Text => SetError::ReadText(error),
        SetKind::Json => SetError::ReadJson(text.to_owned()),
        SetKind::Literal => SetError::ReadLiteral(error),
    })
}

/// Applies one argument of `--set-file`; `read` gives the text of a file, or what is wrong with it.
pub fn set_file(values: &mut Values, text: &str, read: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<(), SetError> {
    let mut read = |path: &str| read(path).map(Json::from);
    Parser::new(text, SetKind::Text, &mut read).parse(values).map_err(SetError::ReadFile)
}

/// What a word of `--set` means.
fn typed(text: &str) -> Json {
    if text.eq_ignore_ascii_case("true") {
        return Json::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Json::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Json::Null;
    }
    if text == "0" {
        return Json::from(0);
    }
    let whole = text.parse::<i64>().ok().filter(|_| !text.starts_with('0'));
    whole.map_or_else(|| Json::from(text), Json::from)
}

enum Stop {
    /// The text ended, which may be well.
    End,
    /// The text is wrong.
    Wrong(String),
}

type Parse<T> = Result<T, Stop>;

fn wrong<T>(text: impl Into<String>) -> Parse<T> {
    Err(Stop::Wrong(text.into()))
}

/// Go's name of what was found where something else was wanted.
fn unconvertible<T>(found: &Json, wanted: &str) -> Parse<T> {
    let found = match found {
        Json::Null => "nil",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float64",
        Json::Number(_) => "int64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    };
    wrong(format!("unable to parse key: interface conversion: interface {{}} is {found}, not {wanted}"))
}

struct Parser<'p> {
    text: Vec<char>,
    at: usize,
    kind: SetKind,
    read: &'p mut dyn FnMut(&str) -> Result<Json, String>,
}

impl<'p> Parser<'p> {
    fn new(text: &str, kind: SetKind, read: &'p mut dyn FnMut(&str) -> Result<Json, String>) -> Self {
        Self { text: text.chars().collect(), at: 0, kind, read }
    }

    fn parse(mut self, values: &mut Values) -> Result<(), String> {
        loop {
            match self.key(values, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::Wrong(text)) => return Err(text),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.text.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    /// The text up to one of the stops, which is taken; at the end there is none.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut out = String::new();
        while let Some(c) = self.next() {
            if stops.contains(&c) {
                return (out, Some(c));
            }
            if c == '\\' && self.kind != SetKind::Literal {
                match self.next() {
                    Some(c) => out.push(c),
                    None => return (out, None),
                }
            } else {
                out.push(c);
            }
        }
        (out, None)
    }

    fn value(&mut self, text: &str) -> Parse<Json> {
        (self.read)(text).map_err(Stop::Wrong)
    }

    fn key(&mut self, values: &mut Values, level: usize) -> Parse<()> {
        let stops: &[char] = if self.kind == SetKind::Literal { &['=', '[', '.'] } else { &['=', '[', ',', '.'] };
        let (key, stop) = self.until(stops);
        match stop {
            None if key.is_empty() => Err(Stop::End),
            None => wrong(format!("key {key:?} has no value")),
            Some('[') => self.indexed(values, &key, level),
            Some('=') => {
                let (value, end) = self.assigned()?;
                put(values, &key, value);
                if end { Err(Stop::End) } else { Ok(()) }
            }
            Some(',') => wrong(format!("key {key:?} has no value (cannot end with ,)")),
            Some(_) => self.nested(values, &key, level + 1),
        }
    }

    fn nested(&mut self, values: &mut Values, key: &str, level: usize) -> Parse<()> {
        if level > LEVELS_MAX {
            return wrong(format!("value name nested level is greater than maximum supported nested level of {LEVELS_MAX}"));
        }
        let mut inner = match values.get_mut(key).map(Json::take) {
            None => Values::new(),
            Some(Json::Object(map)) => map,
            Some(other) => return unconvertible(&other, "map[string]interface {}"),
        };
        let parsed = self.key(&mut inner, level);
        if parsed.is_ok() && inner.is_empty() {
            return wrong(format!("key map {key:?} has no value"));
        }
        if inner.is_empty() {
            if values.contains_key(key) {
                put(values, key, Json::Object(inner));
            }
        } else {
            put(values, key, Json::Object(inner));
        }
        parsed
    }

    fn indexed(&mut self, values: &mut Values, key: &str, level: usize) -> Parse<()> {
        let index = self.index()?;
        let mut list = match values.get_mut(key).map(Json::take) {
            None => Vec::new(),
            Some(Json::Array(items)) => items,
            Some(other) => return unconvertible(&other, "[]interface {}"),
        };
        let parsed = self.item(&mut list, index, level);
        put(values, key, Json::Array(list));
        parsed
    }

    fn index(&mut self) -> Parse<i64> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            return Err(Stop::End);
        }
        text.parse::<i64>().map_err(|error| {
            let why = match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Stop::Wrong(format!("error parsing index: strconv.Atoi: parsing {text:?}: {why}"))
        })
    }

    /// What follows an index: a value, a further index or a key.
    fn item(&mut self, list: &mut Vec<Json>, index: i64, level: usize) -> Parse<()> {
        if index < 0 {
            return wrong(format!("negative {index} index not allowed"));
        }
        let (rest, stop) = self.until(&['[', '.', '=']);
        if !rest.is_empty() {
            let runes: Vec<String> = rest.chars().map(|c| format!("{c:?}")).collect();
            return wrong(format!("unexpected data at end of array index: [{}]", runes.join(" ")));
        }
        let old = usize::try_from(index).ok().and_then(|at| list.get_mut(at)).map(Json::take);
        match stop {
            None => Err(Stop::End),
            Some('=') => {
                let (value, _) = self.assigned()?;
                put_at(list, index, value)
            }
            Some('[') => {
                let next = self.index()?;
                let mut inner = match old {
                    None | Some(Json::Null) => Vec::new(),
                    Some(Json::Array(items)) => items,
                    Some(other) => return unconvertible(&other, "[]interface {}"),
                };
                self.item(&mut inner, next, level)?;
                put_at(list, index, Json::Array(inner))
            }
            Some(_) => {
                let mut inner = match old {
                    Some(Json::Object(map)) => map,
                    _ => Values::new(),
                };
                self.key(&mut inner, level)?;
                put_at(list, index, Json::Object(inner))
            }
        }
    }

    /// What stands after the `=`, and whether the text ended where a value should have begun.
    fn assigned(&mut self) -> Parse<(Json, bool)> {
        match self.kind {
            SetKind::Literal => {
                let rest: String = self.text[self.at..].iter().collect();
                self.at = self.text.len();
                Ok((Json::String(rest), false))
            }
            SetKind::Json => self.json().map(|value| (value, false)),
            SetKind::Typed | SetKind::Text => match self.text.get(self.at) {
                None => Ok((Json::from(""), true)),
                Some('{') => self.list().map(|list| (list, false)),
                Some(_) => {
                    let (text, _) = self.until(&[',']);
                    self.value(&text).map(|value| (value, false))
                }
            },
        }
    }

    fn list(&mut self) -> Parse<Json> {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            if stop.is_none() {
                return wrong("list must terminate with '}'");
            }
            items.push(self.value(&text)?);
            if stop == Some('}') {
                if self.text.get(self.at) == Some(&',') {
                    self.at += 1;
                }
                return Ok(Json::Array(items));
            }
        }
    }

    fn json(&mut self) -> Parse<Json> {
        if self.skip_to_value() {
            return Ok(Json::Null);
        }
        let rest: String = self.text[self.at..].iter().collect();
        // Go ends a number or word wherever it ends, serde_json only where something known follows.
        if let Some(length) = bare_length(&rest) {
            let value = serde_json::from_str(&rest[..length]).map_err(|error| Stop::Wrong(error.to_string()))?;
            self.at += length;
            self.skip_to_value();
            return Ok(super::as_floats(value));
        }
        let mut stream = serde_json::Deserializer::from_str(&rest).into_iter::<Json>();
        let value = match stream.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return wrong(error.to_string()),
            None => return wrong("EOF"),
        };
        self.at += rest.get(..stream.byte_offset()).map_or(0, |taken| taken.chars().count());
        self.skip_to_value();
        Ok(super::as_floats(value))
    }

    /// Past blanks; true past a comma or at the end.
    fn skip_to_value(&mut self) -> bool {
        loop {
            match self.next() {
                None | Some(',') => return true,
                Some(c) if c.is_whitespace() => {}
                Some(_) => {
                    self.at -= 1;
                    return false;
                }
            }
        }
    }
}

/// How much of a text is the number or word that it starts with.
fn bare_length(text: &str) -> Option<usize> {
    if let Some(word) = ["true", "false", "null"].into_iter().find(|word| text.starts_with(word)) {
        return Some(word.len());
    }
    let bytes = text.as_bytes();
    let digits = |from: usize| from + bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    if !bytes.get(at).is_some_and(u8::is_ascii_digit) {
        return (at == 1).then_some(at);
    }
    at = if bytes[at] == b'0' { at + 1 } else { digits(at) };
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at = digits(at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-'))));
    }
    Some(at)
}

fn put(values: &mut Values, key: &str, value: Json) {
    if !key.is_empty() {
        values.insert(key.to_owned(), value);
    }
}

fn put_at(list: &mut Vec<Json>, index: i64, value: Json) -> Parse<()> {
    if index > INDEX_MAX {
        return wrong(format!("index of {index} is greater than maximum supported index of {INDEX_MAX}"));
    }
    let at = usize::try_from(index).unwrap_or_default();
    if list.len() <= at {
        list.resize(at + 1, Json::Null);
    }
    list[at] = value;
    Ok(())
}

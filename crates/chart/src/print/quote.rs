//! Go's quoted strings, written and read: `strconv.Quote`, `strconv.Unquote` and their kin.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// A string in double quotes as `%q` writes it.
pub fn quote(bytes: &[u8]) -> Vec<u8> {
    quote_with(bytes, b'"', false)
}

/// The same in text form, for error messages.
pub fn quoted(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&quote(bytes)).into_owned()
}

/// A string between quotes of choice, with nothing beyond ASCII where that is asked for (`%+q`).
pub fn quote_with(bytes: &[u8], mark: u8, ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    out.push(mark);
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != mark && *byte != b'\\') {
        out.extend_from_slice(bytes);
        out.push(mark);
        return out;
    }
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|it| escape(&mut out, it, mark, ascii));
        chunk.invalid().iter().for_each(|byte| out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()));
    }
    out.push(mark);
    out
}

fn escape(out: &mut Vec<u8>, it: char, mark: u8, ascii: bool) {
    let code = u32::from(it);
    if it == char::from(mark) || it == '\\' {
        out.push(b'\\');
        return push(out, it);
    }
    if if ascii { (0x20..0x7f).contains(&code) } else { is_print(it) } {
        return push(out, it);
    }
    let short = match code {
        7 => 'a',
        8 => 'b',
        9 => 't',
        10 => 'n',
        11 => 'v',
        12 => 'f',
        13 => 'r',
        _ => {
            let text = match code {
                0..0x20 | 0x7f => format!("\\x{code:02x}"),
                0x20..0x1_0000 => format!("\\u{code:04x}"),
                _ => format!("\\U{code:08x}"),
            };
            return out.extend_from_slice(text.as_bytes());
        }
    };
    out.push(b'\\');
    push(out, short);
}

fn push(out: &mut Vec<u8>, it: char) {
    out.extend_from_slice(it.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Whether Go prints a character as it is: letters, marks, numbers, punctuation, symbols and the plain space.
pub fn is_print(it: char) -> bool {
    if it.is_ascii() {
        return (' '..='~').contains(&it);
    }
    matches!(
        it.general_category_group(),
        GeneralCategoryGroup::Letter
            | GeneralCategoryGroup::Mark
            | GeneralCategoryGroup::Number
            | GeneralCategoryGroup::Punctuation
            | GeneralCategoryGroup::Symbol
    )
}

/// Whether a string may stand in back quotes (`%#q`).
pub fn can_backquote(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| text.chars().all(|it| it != '\u{feff}' && it != '`' && it != '\u{7f}' && (it >= ' ' || it == '\t')))
}

/// Reads a Go string literal in double or back quotes; `None` is Go's `invalid syntax`.
pub fn unquote(literal: &[u8]) -> Option<Vec<u8>> {
    let (first, last) = (*literal.first()?, *literal.last()?);
    if literal.len() < 2 || first != last {
        return None;
    }
    let inner = &literal[1..literal.len() - 1];
    match first {
        b'`' => (!inner.contains(&b'`')).then(|| inner.iter().copied().filter(|byte| *byte != b'\r').collect()),
        b'"' => {
            let mut out = Vec::with_capacity(inner.len());
            let mut rest = inner;
            while !rest.is_empty() {
                let (unit, tail) = unquote_unit(rest, b'"')?;
                match unit {
                    Unit::Byte(byte) => out.push(byte),
                    Unit::Char(code) => push(&mut out, char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
                    Unit::Raw(byte) => out.push(byte),
                }
                rest = tail;
            }
            Some(out)
        }
        _ => None,
    }
}

/// One unit of a literal.
pub enum Unit {
    /// A byte by `\x` or octal
    Byte(u8),
    /// A character
    Char(u32),
    /// A byte that is no UTF-8, as it stands
    Raw(u8),
}

impl Unit {
    /// The code as a character constant has it.
    pub fn code(&self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from(*byte),
            Self::Char(code) => *code,
            Self::Raw(_) => u32::from(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Takes one unit off the front of a literal's inside; `None` is Go's `invalid syntax`.
pub fn unquote_unit(text: &[u8], mark: u8) -> Option<(Unit, &[u8])> {
    let first = *text.first()?;
    if first == mark || first == b'\n' {
        return None;
    }
    if first >= 0x80 {
        let (code, width) = crate::parse::rune(text);
        return Some(if width == 1 { (Unit::Raw(first), &text[1..]) } else { (Unit::Char(code), &text[width..]) });
    }
    if first != b'\\' {
        return Some((Unit::Char(u32::from(first)), &text[1..]));
    }
    let kind = *text.get(1)?;
    let rest = &text[2..];
    let plain = |code: u8| Some((Unit::Char(u32::from(code)), rest));
    match kind {
        b'a' => plain(7),
        b'b' => plain(8),
        b'f' => plain(12),
        b'n' => plain(10),
        b'r' => plain(13),
        b't' => plain(9),
        b'v' => plain(11),
        b'\\' => plain(b'\\'),
        b'\'' | b'"' if kind == mark => plain(kind),
        b'x' => hex(rest, 2).map(|(code, tail)| (Unit::Byte(u8::try_from(code).unwrap_or(0)), tail)),
        b'u' => hex(rest, 4).filter(|(code, _)| char::from_u32(*code).is_some()).map(|(code, tail)| (Unit::Char(code), tail)),
        b'U' => hex(rest, 8).filter(|(code, _)| char::from_u32(*code).is_some()).map(|(code, tail)| (Unit::Char(code), tail)),
        b'0'..=b'7' => {
            let digits = text.get(1..4)?;
            let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?;
            Some((Unit::Byte(u8::try_from(code).ok()?), &text[4..]))
        }
        _ => None,
    }
}

fn hex(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let head = text.get(..digits)?;
    if !head.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some((u32::from_str_radix(std::str::from_utf8(head).ok()?, 16).ok()?, &text[digits..]))
}

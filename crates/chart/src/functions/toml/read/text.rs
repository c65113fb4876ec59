//! Texts of TOML: in one line or many, with escapes or raw.

use crate::print::quote::quoted;
use crate::value::{Str, lossy};

use super::scan::{Fault, Scanner};

impl Scanner<'_> {
    /// A text behind its first quote, which may be the first of three.
    pub fn any_text(&mut self, quote: char) -> Result<Str, Fault> {
        if self.accept(quote)? {
            if self.accept(quote)? {
                return self.multi_line(quote);
            }
            self.backup();
        }
        self.quoted(quote)
    }

    /// A text of one line, behind its quote.
    pub fn quoted(&mut self, quote: char) -> Result<Str, Fault> {
        let from = self.at;
        let mut escaped = false;
        loop {
            match self.next()? {
                None if quote == '"' => return Err(self.fault("unexpected EOF; expected '\"'")),
                None => return Err(self.fault("unexpected EOF; expected \"'\"")),
                Some('\n' | '\r') => return Err(self.fault_line_before("strings cannot contain newlines")),
                Some('\\') if quote == '"' => {
                    escaped = true;
                    self.escape(from)?;
                }
                Some(character) if character == quote => break,
                Some(_) => {}
            }
        }
        let raw = &self.text[from..self.at - 1];
        if escaped { self.unescaped(raw) } else { Ok(Str::from(raw)) }
    }

    fn multi_line(&mut self, quote: char) -> Result<Str, Fault> {
        let from = self.at;
        let five = quote.to_string().repeat(5);
        loop {
            match self.next()? {
                None if quote == '"' => return Err(self.fault("unexpected EOF; expected '\"\"\"'")),
                None => return Err(self.fault("unexpected EOF; expected \"'''\"")),
                Some('\\') if quote == '"' => {
                    if !matches!(self.next()?, Some('\n' | '\r')) {
                        self.backup();
                        self.escape(from)?;
                    }
                }
                Some(character) if character == quote && self.accept(quote)? => {
                    if !self.accept(quote)? {
                        self.backup();
                        continue;
                    }
                    if self.peek()? != Some(quote) {
                        break;
                    }
                    // Up to two quotes may stand right before the three that end it.
                    let read = &self.text[from..self.at];
                    let escaped = quote == '"' && read.ends_with(b"\\\"\"\"\"\"");
                    if read.ends_with(five.as_bytes()) && !escaped {
                        return Err(self.fault(if quote == '"' { "unexpected '\"\"\"\"\"\"'" } else { "unexpected \"''''''\"" }));
                    }
                    self.backup();
                    self.backup();
                }
                Some(_) => {}
            }
        }
        let raw = &self.text[from..self.at - 3];
        let raw = raw.strip_prefix(b"\n").or_else(|| raw.strip_prefix(b"\r\n")).unwrap_or(raw);
        if quote == '"' { self.unescaped(&without_escaped_line_ends(raw)) } else { Ok(Str::from(raw)) }
    }

    /// Checks what follows a backslash. `from` is where the text starts.
    fn escape(&mut self, from: usize) -> Result<(), Fault> {
        let (digits, name, letter) = match self.next()? {
            Some('e' | 'b' | 't' | 'n' | 'f' | 'r' | '"' | ' ' | '\t' | '\\') => return Ok(()),
            Some('x') => (2, "two", 'x'),
            Some('u') => (4, "four", 'u'),
            Some('U') => (8, "eight", 'U'),
            other => return Err(self.fault_before_end(format!("invalid escape in string '\\{}'", other.unwrap_or('\0')))),
        };
        for _ in 0..digits {
            if !self.next()?.is_some_and(|character| character.is_ascii_hexdigit()) {
                let shown = quoted(&self.text[from..self.at]);
                return Err(self.fault(format!("expected {name} hexadecimal digits after '\\{letter}', but got {shown} instead")));
            }
        }
        Ok(())
    }

    fn unescaped(&self, raw: &[u8]) -> Result<Str, Fault> {
        let text = lossy(raw);
        let mut out = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            if character != '\\' {
                out.push(character);
                continue;
            }
            let digits = match rest.next() {
                Some('b') => Err('\u{8}'),
                Some('t') => Err('\t'),
                Some('n') => Err('\n'),
                Some('f') => Err('\u{c}'),
                Some('r') => Err('\r'),
                Some('e') => Err('\u{1b}'),
                Some('x') => Ok(2),
                Some('u') => Ok(4),
                Some('U') => Ok(8),
                Some(blank @ (' ' | '\t')) => return Err(self.fault(format!("invalid escape: '\\{blank}'"))),
                Some(other) => Err(other),
                None => break,
            };
            match digits {
                Err(plain) => out.push(plain),
                Ok(count) => {
                    let digits: String = rest.by_ref().take(count).collect();
                    let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                    let invalid = || self.fault(format!("Escaped character '\\u{digits}' is not valid UTF-8."));
                    out.push(code.ok_or_else(invalid)?);
                }
            }
        }
        Ok(out.into())
    }
}

/// A backslash at a line's end goes, with all blanks and line ends behind it.
fn without_escaped_line_ends(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        if raw[at] != b'\\' {
            out.push(raw[at]);
            at += 1;
            continue;
        }
        if raw.get(at + 1) == Some(&b'\\') {
            out.extend_from_slice(b"\\\\");
            at += 2;
            continue;
        }
        let blanks = raw[at + 1..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
        if raw[at + 1..at + 1 + blanks].contains(&b'\n') {
            at += 1 + blanks;
        } else {
            out.push(b'\\');
            at += 1;
        }
    }
    out
}

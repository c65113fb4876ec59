//! The characters of a TOML document, with the line at hand.

use crate::golang::runes;
use crate::value::Str;

/// Where and why reading stopped.
#[derive(Debug)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

/// Reads characters; may step back one at a time.
pub struct Scanner<'a> {
    /// The document.
    pub text: &'a [u8],
    /// The place at hand.
    pub at: usize,
    /// Its line.
    pub line: usize,
    at_end: bool,
    widths: Vec<usize>,
}

/// A character as Go quotes one; the end counts as NUL.
pub fn quoted_rune(character: Option<char>) -> String {
    let character = character.unwrap_or('\0');
    if character == '\'' {
        return r"'\''".to_owned();
    }
    if character == '"' {
        return "'\"'".to_owned();
    }
    let quoted = crate::print::quote::quoted(character.encode_utf8(&mut [0; 4]).as_bytes());
    format!("'{}'", &quoted[1..quoted.len() - 1])
}

/// A character between quotes, or words for the end.
pub fn rune_or_end(character: Option<char>) -> String {
    character.map_or_else(|| "end of file".to_owned(), |character| format!("'{character}'"))
}

impl<'a> Scanner<'a> {
    /// Starts behind a byte order mark.
    pub fn new(text: &'a [u8]) -> Self {
        let text =
            [&b"\xff\xfe"[..], b"\xfe\xff", b"\xef\xbb\xbf"].iter().find_map(|mark| text.strip_prefix(*mark)).unwrap_or(text);
        Scanner { text, at: 0, line: 1, at_end: false, widths: Vec::new() }
    }

    /// The next character; none at the end.
    pub fn next(&mut self) -> Result<Option<char>, Fault> {
        let Some((character, width)) = runes::first(&self.text[self.at..]) else {
            self.at_end = true;
            return Ok(None);
        };
        if character == '\n' {
            self.line += 1;
        }
        if (character, width) == (runes::INVALID, 1) {
            return Err(self.fault(format!("invalid UTF-8 byte: 0x{:02x}", self.text[self.at])));
        }
        let lone_return = character == '\r' && self.text.get(self.at + 1) != Some(&b'\n');
        let control = matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}');
        if control || lone_return {
            let problem = format!("TOML files cannot contain control characters: '0x{:02x}'", u32::from(character));
            return Err(Fault { line: self.line, problem });
        }
        if self.widths.len() >= 8 {
            self.widths.remove(0);
        }
        self.widths.push(width);
        self.at += width;
        Ok(Some(character))
    }

    /// Steps back one character.
    pub fn backup(&mut self) {
        if std::mem::take(&mut self.at_end) {
            return;
        }
        self.at -= self.widths.pop().unwrap_or(0);
        if self.text.get(self.at) == Some(&b'\n') {
            self.line -= 1;
        }
    }

    /// The next character, which stays.
    pub fn peek(&mut self) -> Result<Option<char>, Fault> {
        let next = self.next()?;
        self.backup();
        Ok(next)
    }

    /// Passes over the next character where it is the one.
    pub fn accept(&mut self, wanted: char) -> Result<bool, Fault> {
        if self.next()? == Some(wanted) {
            return Ok(true);
        }
        self.backup();
        Ok(false)
    }

    /// Passes over spaces and tabs.
    pub fn blanks(&mut self) -> Result<(), Fault> {
        while matches!(self.next()?, Some(' ' | '\t')) {}
        self.backup();
        Ok(())
    }

    /// Passes over a comment, up to its line's end.
    pub fn comment(&mut self) -> Result<(), Fault> {
        while !matches!(self.next()?, Some('\n' | '\r') | None) {}
        self.backup();
        Ok(())
    }

    /// The rest of a bare key; may be empty.
    pub fn bare_key(&mut self) -> Result<Str, Fault> {
        let from = self.at;
        while self.next()?.is_some_and(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-')) {}
        self.backup();
        Ok(Str::from(&self.text[from..self.at]))
    }

    /// An error here; behind a line's end at the very end it counts for the line before.
    pub fn fault(&self, problem: impl Into<String>) -> Fault {
        let behind = self.at_end && self.at > 0 && self.text[self.at - 1] == b'\n';
        Fault { line: self.line - usize::from(behind), problem: problem.into() }
    }

    /// An error that counts for the line before, where this is the very end.
    pub fn fault_before_end(&self, problem: impl Into<String>) -> Fault {
        Fault { line: self.line - usize::from(self.at_end), problem: problem.into() }
    }

    /// An error that counts for the line before.
    pub fn fault_line_before(&self, problem: impl Into<String>) -> Fault {
        Fault { line: self.line - 1, problem: problem.into() }
    }
}

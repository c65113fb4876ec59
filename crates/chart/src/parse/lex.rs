//! Go's template lexer: text and actions, cut into tokens on demand.
//!
//! Comments and trimmed space never leave it. Lines are counted as Go counts them, since its error texts show them.

use std::borrow::Cow;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::rune;
use crate::print::quote;

/// What a token is. Keywords print in angle brackets in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

/// A token with its text and place.
#[derive(Clone, Debug)]
pub(super) struct Item<'t> {
    pub(super) token: Token,
    pub(super) pos: usize,
    pub(super) text: Cow<'t, [u8]>,
    pub(super) line: usize,
}

impl Item<'_> {
    /// As error texts show it.
    pub(super) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        match self.token {
            Token::Eof => "EOF".to_owned(),
            Token::Error => text.into_owned(),
            token if token.is_keyword() => format!("<{text}>"),
            _ if self.text.len() > 10 => {
                let mut end = 0;
                for _ in 0..10 {
                    end += if end < self.text.len() { rune(&self.text[end..]).1 } else { 0 };
                }
                format!("{}...", quote::quoted(&self.text[..end]))
            }
            _ => quote::quoted(&self.text),
        }
    }
}

impl Token {
    fn is_keyword(self) -> bool {
        use Token::*;
        matches!(self, Block | Break | Continue | Dot | Define | Else | End | If | Nil | Range | Template | With)
    }

    fn of_word(word: &[u8]) -> Self {
        match word {
            b"block" => Self::Block,
            b"break" => Self::Break,
            b"continue" => Self::Continue,
            b"define" => Self::Define,
            b"else" => Self::Else,
            b"end" => Self::End,
            b"if" => Self::If,
            b"range" => Self::Range,
            b"nil" => Self::Nil,
            b"template" => Self::Template,
            b"with" => Self::With,
            b"true" | b"false" => Self::Bool,
            _ => Self::Identifier,
        }
    }
}

/// The lexer.
pub(super) struct Lexer<'t> {
    input: &'t [u8],
    pos: usize,
    start: usize,
    line: usize,
    start_line: usize,
    parens: usize,
    inside_action: bool,
}

const LEFT: &[u8] = b"{{";
const RIGHT: &[u8] = b"}}";

impl<'t> Lexer<'t> {
    pub(super) fn new(input: &'t [u8]) -> Self {
        Self { input, pos: 0, start: 0, line: 1, start_line: 1, parens: 0, inside_action: false }
    }

    /// The next token.
    pub(super) fn item(&mut self) -> Item<'t> {
        if self.inside_action { self.action() } else { self.text() }
    }

    fn rest(&self) -> &'t [u8] {
        &self.input[self.pos..]
    }

    fn next(&mut self) -> Option<u32> {
        if self.pos >= self.input.len() {
            return None;
        }
        let (code, width) = rune(self.rest());
        self.pos += width;
        if code == u32::from(b'\n') {
            self.line += 1;
        }
        Some(code)
    }

    fn peek(&self) -> Option<u32> {
        if self.pos < self.input.len() { Some(rune(self.rest()).0) } else { None }
    }

    fn take(&mut self, token: Token) -> Item<'t> {
        let item = Item { token, pos: self.start, text: Cow::Borrowed(&self.input[self.start..self.pos]), line: self.start_line };
        self.start = self.pos;
        self.start_line = self.line;
        item
    }

    /// Skips what was passed over without [`Self::next`].
    fn skip(&mut self) {
        self.line += lines(&self.input[self.start..self.pos]);
        self.start = self.pos;
        self.start_line = self.line;
    }

    fn fail(&mut self, text: impl Into<String>) -> Item<'t> {
        let item =
            Item { token: Token::Error, pos: self.start, text: Cow::Owned(text.into().into_bytes()), line: self.start_line };
        self.input = &[];
        self.start = 0;
        self.pos = 0;
        item
    }

    fn text(&mut self) -> Item<'t> {
        loop {
            let Some(found) = left_delim(self.rest()) else {
                self.pos = self.input.len();
                if self.pos > self.start {
                    self.line += lines(&self.input[self.start..]);
                    return self.take(Token::Text);
                }
                return self.take(Token::Eof);
            };
            if found > 0 {
                self.pos += found;
                let trimmed = if trims_left(&self.input[self.pos + LEFT.len()..]) {
                    trailing_space(&self.input[self.start..self.pos])
                } else {
                    0
                };
                self.pos -= trimmed;
                self.line += lines(&self.input[self.start..self.pos]);
                let item = self.take(Token::Text);
                self.pos += trimmed;
                self.skip();
                if !item.text.is_empty() {
                    return item;
                }
            }
            if let Some(item) = self.left_delim() {
                return item;
            }
        }
    }

    /// The opening delimiter, or nothing where a comment stood.
    fn left_delim(&mut self) -> Option<Item<'t>> {
        self.pos += LEFT.len();
        let marker = if trims_left(self.rest()) { 2 } else { 0 };
        if self.input[self.pos + marker..].starts_with(b"/*") {
            self.pos += marker;
            self.skip();
            return self.comment();
        }
        let item = self.take(Token::LeftDelim);
        self.inside_action = true;
        self.pos += marker;
        self.skip();
        self.parens = 0;
        Some(item)
    }

    fn comment(&mut self) -> Option<Item<'t>> {
        self.pos += 2;
        let Some(end) = memchr::memmem::find(self.rest(), b"*/") else { return Some(self.fail("unclosed comment")) };
        self.pos += end + 2;
        let Some(trim) = self.at_right_delim() else { return Some(self.fail("comment ends before closing delimiter")) };
        self.pos += RIGHT.len();
        if trim {
            self.pos += 2;
            self.pos += leading_space(self.rest());
        }
        self.skip();
        None
    }

    /// Whether a closing delimiter stands here, and whether it trims.
    fn at_right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if trims_right(rest) && rest[2..].starts_with(RIGHT) { Some(true) } else { rest.starts_with(RIGHT).then_some(false) }
    }

    fn right_delim(&mut self) -> Item<'t> {
        let trim = self.at_right_delim() == Some(true);
        if trim {
            self.pos += 2;
            self.skip();
        }
        self.pos += RIGHT.len();
        let item = self.take(Token::RightDelim);
        if trim {
            self.pos += leading_space(self.rest());
            self.skip();
        }
        self.inside_action = false;
        item
    }

    fn action(&mut self) -> Item<'t> {
        if self.at_right_delim().is_some() {
            return if self.parens == 0 { self.right_delim() } else { self.fail("unclosed left paren") };
        }
        let before = (self.pos, self.line);
        let Some(code) = self.next() else { return self.fail("unclosed action") };
        match u8::try_from(code).unwrap_or(0) {
            b' ' | b'\t' | b'\r' | b'\n' => {
                (self.pos, self.line) = before;
                self.space()
            }
            b'=' => self.take(Token::Assign),
            b':' if self.next() == Some(u32::from(b'=')) => self.take(Token::Declare),
            b':' => self.fail("expected :="),
            b'|' => self.take(Token::Pipe),
            b'"' => self.quoted(b'"', Token::String, "unterminated quoted string"),
            b'`' => self.raw(),
            b'$' => self.word_after(Token::Variable, Token::Variable),
            b'\'' => self.quoted(b'\'', Token::CharConstant, "unterminated character constant"),
            b'.' if self.rest().first().is_some_and(|next| !next.is_ascii_digit()) => self.word_after(Token::Field, Token::Dot),
            b'.' | b'+' | b'-' | b'0'..=b'9' => {
                self.pos = before.0;
                self.number()
            }
            b'(' => {
                self.parens += 1;
                self.take(Token::LeftParen)
            }
            b')' if self.parens == 0 => self.fail("unexpected right paren"),
            b')' => {
                self.parens -= 1;
                self.take(Token::RightParen)
            }
            _ if alphanumeric(code) => {
                self.pos = before.0;
                self.identifier()
            }
            b' '..=b'~' if code < 0x80 => self.take(Token::Char),
            _ => self.fail(format!("unrecognized character in action: {}", shown(code))),
        }
    }

    fn space(&mut self) -> Item<'t> {
        let mut count = 0;
        while self.peek().is_some_and(is_space) {
            self.next();
            count += 1;
        }
        // The last space may belong to a closing delimiter that trims.
        let last = &self.input[self.pos - 1..];
        if trims_right(last) && last[2..].starts_with(RIGHT) {
            self.pos -= 1;
            if last[0] == b'\n' {
                self.line -= 1;
            }
            if count == 1 {
                return self.right_delim();
            }
        }
        self.take(Token::Space)
    }

    fn identifier(&mut self) -> Item<'t> {
        self.word();
        if !self.at_terminator() {
            return self.bad_character();
        }
        let token = Token::of_word(&self.input[self.start..self.pos]);
        self.take(token)
    }

    /// A field or variable, whose first character is taken.
    fn word_after(&mut self, token: Token, alone: Token) -> Item<'t> {
        if self.at_terminator() {
            return self.take(alone);
        }
        self.word();
        if !self.at_terminator() {
            return self.bad_character();
        }
        self.take(token)
    }

    /// Passes over letters and digits.
    fn word(&mut self) {
        loop {
            self.pos += self.rest().iter().take_while(|byte| **byte == b'_' || byte.is_ascii_alphanumeric()).count();
            if !self.peek().is_some_and(alphanumeric) {
                return;
            }
            self.next();
        }
    }

    fn bad_character(&mut self) -> Item<'t> {
        let text = format!("bad character {}", self.peek().map_or_else(|| "U+FFFFFFFFFFFFFFFF".to_owned(), shown));
        self.fail(text)
    }

    fn at_terminator(&self) -> bool {
        let Some(code) = self.peek() else { return true };
        is_space(code)
            || u8::try_from(code).is_ok_and(|byte| matches!(byte, b'.' | b',' | b'|' | b':' | b')' | b'('))
            || self.rest().starts_with(RIGHT)
    }

    fn quoted(&mut self, mark: u8, token: Token, unterminated: &str) -> Item<'t> {
        loop {
            match self.next() {
                Some(code) if code == u32::from(mark) => return self.take(token),
                Some(0x5c) => {
                    if self.next().is_none_or(|code| code == u32::from(b'\n')) {
                        return self.fail(unterminated);
                    }
                }
                None => return self.fail(unterminated),
                Some(code) if code == u32::from(b'\n') => return self.fail(unterminated),
                Some(_) => {}
            }
        }
    }

    fn raw(&mut self) -> Item<'t> {
        loop {
            match self.next() {
                None => return self.fail("unterminated raw quoted string"),
                Some(code) if code == u32::from(b'`') => return self.take(Token::RawString),
                Some(_) => {}
            }
        }
    }

    fn number(&mut self) -> Item<'t> {
        if !self.scan_number() {
            return self.bad_number();
        }
        if matches!(self.rest().first(), Some(b'+' | b'-')) {
            if !self.scan_number() || self.input[self.pos - 1] != b'i' {
                return self.bad_number();
            }
            return self.take(Token::Complex);
        }
        self.take(Token::Number)
    }

    fn bad_number(&mut self) -> Item<'t> {
        let text = format!("bad number syntax: {}", quote::quoted(&self.input[self.start..self.pos]));
        self.fail(text)
    }

    fn accept(&mut self, set: &[u8]) -> bool {
        let taken = self.rest().first().is_some_and(|byte| set.contains(byte));
        self.pos += usize::from(taken);
        taken
    }

    fn accept_run(&mut self, set: &[u8]) {
        while self.accept(set) {}
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        let (mut decimal, mut hex) = (true, false);
        if self.accept(b"0") {
            let start = self.pos;
            if self.accept(b"xX") {
                digits = b"0123456789abcdefABCDEF_";
                hex = true;
            } else if self.accept(b"oO") {
                digits = b"01234567_";
            } else if self.accept(b"bB") {
                digits = b"01_";
            }
            decimal = self.pos == start;
        }
        self.accept_run(digits);
        if self.accept(b".") {
            self.accept_run(digits);
        }
        if (decimal && self.accept(b"eE")) || (hex && self.accept(b"pP")) {
            self.accept(b"+-");
            self.accept_run(b"0123456789_");
        }
        self.accept(b"i");
        if self.peek().is_some_and(alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

/// Where an action or comment begins.
fn left_delim(text: &[u8]) -> Option<usize> {
    memchr::memchr_iter(LEFT[0], text).find(|at| text[*at..].starts_with(LEFT))
}

fn lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}

fn is_space(code: u32) -> bool {
    matches!(code, 0x20 | 0x09 | 0x0d | 0x0a)
}

fn space_byte(byte: u8) -> bool {
    is_space(u32::from(byte))
}

fn trims_left(text: &[u8]) -> bool {
    matches!(text, [b'-', next, ..] if space_byte(*next))
}

fn trims_right(text: &[u8]) -> bool {
    matches!(text, [first, b'-', ..] if space_byte(*first))
}

fn leading_space(text: &[u8]) -> usize {
    text.iter().take_while(|byte| space_byte(**byte)).count()
}

fn trailing_space(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| space_byte(**byte)).count()
}

fn alphanumeric(code: u32) -> bool {
    let Some(it) = char::from_u32(code) else { return false };
    if it.is_ascii() {
        return it == '_' || it.is_ascii_alphanumeric();
    }
    it.general_category_group() == GeneralCategoryGroup::Letter || it.general_category() == GeneralCategory::DecimalNumber
}

/// As `%#U` writes a character.
fn shown(code: u32) -> String {
    match char::from_u32(code) {
        Some(it) if quote::is_print(it) => format!("U+{code:04X} '{it}'"),
        _ => format!("U+{code:04X}"),
    }
}

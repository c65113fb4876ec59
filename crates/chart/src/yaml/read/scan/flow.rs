//! Quoted and plain scalars. It never decides what a plain scalar means.

use super::super::input::END;
use super::{Mark, Scan, Scanner, Token, TokenKind, is_blank, is_break, is_white_or_end};

/// White space between two pieces of a scalar, until it is known how it folds.
#[derive(Default)]
pub(super) struct Gap {
    blanks: String,
    first_break: String,
    further_breaks: String,
}

impl Gap {
    fn clear(&mut self) {
        self.blanks.clear();
        self.first_break.clear();
        self.further_breaks.clear();
    }

    /// What stands for it: blanks as they are; one line feed as a space, more of them less one.
    fn fold(&mut self, broken: bool, into: &mut String) {
        if !broken {
            into.push_str(&self.blanks);
            self.blanks.clear();
            return;
        }
        if !self.first_break.starts_with('\n') {
            into.push_str(&self.first_break);
            into.push_str(&self.further_breaks);
        } else if self.further_breaks.is_empty() {
            into.push(' ');
        } else {
            into.push_str(&self.further_breaks);
        }
        self.first_break.clear();
        self.further_breaks.clear();
    }
}

impl Scanner {
    pub(super) fn scan_quoted(&mut self) -> Scan<Token> {
        let start = self.mark;
        let quote = self.at(0);
        self.skip();
        let mut value = String::new();
        let mut gap = Gap::default();
        loop {
            if self.at_document_indicator() {
                return Err(self.problem("found unexpected document indicator", start));
            }
            if self.at(0) == END {
                return Err(self.problem("found unexpected end of stream", start));
            }
            let mut broken = self.scan_quoted_piece(quote, start, &mut value)?;
            if self.at(0) == quote {
                break;
            }
            self.scan_gap(&mut gap, &mut broken);
            gap.fold(broken, &mut value);
        }
        self.skip();
        Ok(Token { kind: TokenKind::Scalar { value, plain: false }, start, end: self.mark })
    }

    /// Reads up to white space or the closing quote; true after an escaped line break.
    fn scan_quoted_piece(&mut self, quote: char, start: Mark, value: &mut String) -> Scan<bool> {
        while !is_white_or_end(self.at(0)) {
            let c = self.at(0);
            if c == quote && quote == '\'' && self.at(1) == '\'' {
                value.push('\'');
                self.skip();
                self.skip();
            } else if c == quote {
                break;
            } else if quote == '"' && c == '\\' && is_break(self.at(1)) {
                self.skip();
                self.skip_line();
                return Ok(true);
            } else if quote == '"' && c == '\\' {
                self.scan_escape(start, value)?;
            } else {
                let escapes = quote == '"';
                self.read_while(value, |it| {
                    let c = it.at(0);
                    c != quote && !(escapes && c == '\\') && !is_white_or_end(c)
                });
            }
        }
        Ok(false)
    }

    fn scan_gap(&mut self, gap: &mut Gap, broken: &mut bool) {
        while is_blank(self.at(0)) || is_break(self.at(0)) {
            if is_blank(self.at(0)) {
                if *broken {
                    self.skip();
                } else {
                    self.read(&mut gap.blanks);
                }
            } else if *broken {
                self.read_line(&mut gap.further_breaks);
            } else {
                gap.blanks.clear();
                self.read_line(&mut gap.first_break);
                *broken = true;
            }
        }
    }

    fn scan_escape(&mut self, start: Mark, value: &mut String) -> Scan<()> {
        let digits = match self.at(1) {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let simple = match self.at(1) {
            '0' => '\0',
            'a' => '\u{7}',
            'b' => '\u{8}',
            't' | '\t' => '\t',
            'n' => '\n',
            'v' => '\u{b}',
            'f' => '\u{c}',
            'r' => '\r',
            'e' => '\u{1b}',
            c @ (' ' | '"' | '\'' | '\\') => c,
            'N' => '\u{85}',
            '_' => '\u{a0}',
            'L' => '\u{2028}',
            'P' => '\u{2029}',
            _ if digits > 0 => END,
            _ => return Err(self.problem("found unknown escape character", start)),
        };
        self.skip();
        self.skip();
        if digits == 0 {
            value.push(simple);
            return Ok(());
        }
        let mut code: u32 = 0;
        for at in 0..digits {
            let Some(digit) = self.at(at).to_digit(16) else {
                return Err(self.problem("did not find expected hexdecimal number", start));
            };
            code = code.wrapping_shl(4).wrapping_add(digit);
        }
        let Some(c) = char::from_u32(code) else {
            return Err(self.problem("found invalid Unicode character escape code", start));
        };
        value.push(c);
        (0..digits).for_each(|_| self.skip());
        Ok(())
    }

    pub(super) fn scan_plain(&mut self) -> Scan<Token> {
        let start = self.mark;
        let mut end = self.mark;
        let mut value = String::new();
        let mut gap = std::mem::take(&mut self.gap);
        let mut broken = false;
        let indent = self.indent + 1;
        loop {
            if self.at_document_indicator() || self.at(0) == '#' {
                break;
            }
            if self.goes_on_plain() {
                if broken || !gap.blanks.is_empty() {
                    gap.fold(broken, &mut value);
                    broken = false;
                }
                self.read_while(&mut value, Self::goes_on_plain);
                end = self.mark;
            }
            if !(is_blank(self.at(0)) || is_break(self.at(0))) {
                break;
            }
            self.scan_plain_gap(&mut gap, &mut broken, indent, start)?;
            if self.flow_level == 0 && self.column() < indent {
                break;
            }
        }
        if broken {
            self.simple_key_allowed = true;
        }
        gap.clear();
        self.gap = gap;
        Ok(Token { kind: TokenKind::Scalar { value, plain: true }, start, end })
    }

    fn goes_on_plain(&self) -> bool {
        match self.at(0) {
            ':' => !is_white_or_end(self.at(1)),
            ',' | '?' | '[' | ']' | '{' | '}' => self.flow_level == 0,
            c => !is_white_or_end(c),
        }
    }

    fn scan_plain_gap(&mut self, gap: &mut Gap, broken: &mut bool, indent: i64, start: Mark) -> Scan<()> {
        while is_blank(self.at(0)) || is_break(self.at(0)) {
            if *broken && self.column() < indent && self.at(0) == '\t' {
                return Err(self.problem("found a tab character that violates indentation", start));
            }
            let here = self.at(0);
            if is_blank(here) && *broken {
                self.skip();
            } else if is_blank(here) {
                self.read(&mut gap.blanks);
            } else if *broken {
                self.read_line(&mut gap.further_breaks);
            } else {
                gap.blanks.clear();
                self.read_line(&mut gap.first_break);
                *broken = true;
            }
        }
        Ok(())
    }
}

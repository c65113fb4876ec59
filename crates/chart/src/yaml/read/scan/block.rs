//! Literal and folded block scalars. It never looks at what stands around them but the indentation.

use super::super::input::END;
use super::{Mark, Scan, Scanner, Token, TokenKind, is_blank, is_break, is_break_or_end};

/// What becomes of the line breaks at the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Strip,
    Clip,
    Keep,
}

impl Scanner {
    pub(super) fn scan_block(&mut self) -> Scan<Token> {
        let start = self.mark;
        let literal = self.at(0) == '|';
        self.skip();
        let (chomp, increment) = self.scan_block_header(start)?;
        let mut indent = match increment {
            0 => 0,
            _ if self.indent >= 0 => self.indent + increment,
            _ => increment,
        };
        let mut value = String::new();
        let mut first_break = String::new();
        let mut further_breaks = String::new();
        self.scan_block_breaks(&mut indent, &mut further_breaks, start)?;
        let mut after_blank = false;
        while self.column() == indent && self.at(0) != END {
            let blank = is_blank(self.at(0));
            if !literal && !after_blank && !blank && first_break.starts_with('\n') {
                if further_breaks.is_empty() {
                    value.push(' ');
                }
            } else {
                value.push_str(&first_break);
            }
            first_break.clear();
            value.push_str(&further_breaks);
            further_breaks.clear();
            after_blank = blank;
            self.read_while(&mut value, |it| !is_break_or_end(it.at(0)));
            if is_break(self.at(0)) {
                self.read_line(&mut first_break);
            }
            self.scan_block_breaks(&mut indent, &mut further_breaks, start)?;
        }
        if chomp != Chomp::Strip {
            value.push_str(&first_break);
        }
        if chomp == Chomp::Keep {
            value.push_str(&further_breaks);
        }
        Ok(Token { kind: TokenKind::Scalar { value, plain: false }, start, end: self.mark })
    }

    fn scan_block_header(&mut self, start: Mark) -> Scan<(Chomp, i64)> {
        let mut chomp = self.scan_chomp();
        let mut increment = 0;
        if let Some(digit) = self.at(0).to_digit(10) {
            if digit == 0 {
                return Err(self.problem("found an indentation indicator equal to 0", start));
            }
            increment = i64::from(digit);
            self.skip();
            if chomp.is_none() {
                chomp = self.scan_chomp();
            }
        }
        self.skip_blanks();
        self.skip_comment();
        if !is_break_or_end(self.at(0)) {
            return Err(self.problem("did not find expected comment or line break", start));
        }
        if is_break(self.at(0)) {
            self.skip_line();
        }
        Ok((chomp.unwrap_or(Chomp::Clip), increment))
    }

    fn scan_chomp(&mut self) -> Option<Chomp> {
        let chomp = match self.at(0) {
            '+' => Chomp::Keep,
            '-' => Chomp::Strip,
            _ => return None,
        };
        self.skip();
        Some(chomp)
    }

    /// Eats indentation and empty lines; an indentation of zero is not known yet and found here.
    fn scan_block_breaks(&mut self, indent: &mut i64, breaks: &mut String, start: Mark) -> Scan<()> {
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.column() < *indent) && self.at(0) == ' ' {
                self.skip();
            }
            deepest = deepest.max(self.column());
            if (*indent == 0 || self.column() < *indent) && self.at(0) == '\t' {
                let text = "found a tab character where an indentation space is expected";
                return Err(self.problem(text, start));
            }
            if !is_break(self.at(0)) {
                break;
            }
            self.read_line(breaks);
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}

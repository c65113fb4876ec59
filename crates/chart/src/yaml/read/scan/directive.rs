//! Directives. It never applies them.

use super::{Mark, Scan, Scanner, TokenKind, is_blank, is_break, is_break_or_end, is_white_or_end, is_word};

/// Versions have no more digits.
const NUMBER_DIGITS_MAX: usize = 2;

impl Scanner {
    pub(super) fn scan_directive(&mut self) -> Scan<TokenKind> {
        let start = self.mark;
        self.skip();
        let mut name = String::new();
        while is_word(self.at(0)) {
            self.read(&mut name);
        }
        if name.is_empty() {
            return Err(self.problem("could not find expected directive name", start));
        }
        if !is_white_or_end(self.at(0)) {
            return Err(self.problem("found unexpected non-alphabetical character", start));
        }
        let kind = match name.as_str() {
            "YAML" => self.scan_version(start)?,
            "TAG" => self.scan_tag_directive(start)?,
            _ => return Err(self.problem("found unknown directive name", start)),
        };
        self.skip_blanks();
        self.skip_comment();
        if !is_break_or_end(self.at(0)) {
            return Err(self.problem("did not find expected comment or line break", start));
        }
        if is_break(self.at(0)) {
            self.skip_line();
        }
        Ok(kind)
    }

    fn scan_version(&mut self, start: Mark) -> Scan<TokenKind> {
        self.skip_blanks();
        let major = self.scan_version_number(start)?;
        if self.at(0) != '.' {
            return Err(self.problem("did not find expected digit or '.' character", start));
        }
        self.skip();
        let minor = self.scan_version_number(start)?;
        Ok(TokenKind::Version(major, minor))
    }

    fn scan_version_number(&mut self, start: Mark) -> Scan<u8> {
        let mut digits = String::new();
        while self.at(0).is_ascii_digit() {
            if digits.len() == NUMBER_DIGITS_MAX {
                return Err(self.problem("found extremely long version number", start));
            }
            self.read(&mut digits);
        }
        digits.parse().map_err(|_| self.problem("did not find expected version number", start))
    }

    fn scan_tag_directive(&mut self, start: Mark) -> Scan<TokenKind> {
        self.skip_blanks();
        let handle = self.scan_tag_handle(true, start)?;
        if !is_blank(self.at(0)) {
            return Err(self.problem("did not find expected whitespace", start));
        }
        self.skip_blanks();
        let prefix = self.scan_tag_uri("", start)?;
        if !is_white_or_end(self.at(0)) {
            return Err(self.problem("did not find expected whitespace or line break", start));
        }
        Ok(TokenKind::TagDirective { handle, prefix })
    }
}

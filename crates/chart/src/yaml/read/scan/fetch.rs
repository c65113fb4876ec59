//! Which token comes next, and where keys without `?` may stand. It never reads the inside of scalars.

use super::super::input::END;
use super::{DEPTH_MAX, Mark, SIMPLE_KEY_MAX, Scan, Scanner, SimpleKey, Token, TokenKind, is_blank, is_break, is_white_or_end};

impl Scanner {
    pub(super) fn fetch_next(&mut self) -> Scan<()> {
        self.skip_to_token();
        self.unroll_indent(self.column());
        if self.at(0) == END {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 && self.at(0) == '%' {
            return self.fetch_directive();
        }
        if self.at_document_indicator() {
            return self.fetch_document_indicator();
        }
        let in_flow = self.flow_level > 0;
        let before_white = is_white_or_end(self.at(1));
        match self.at(0) {
            '[' => self.fetch_flow_start(TokenKind::FlowSequenceStart),
            '{' => self.fetch_flow_start(TokenKind::FlowMappingStart),
            ']' => self.fetch_flow_end(TokenKind::FlowSequenceEnd),
            '}' => self.fetch_flow_end(TokenKind::FlowMappingEnd),
            ',' => self.fetch_flow_entry(),
            '-' if before_white => self.fetch_block_entry(),
            '?' if in_flow || before_white => self.fetch_key(),
            ':' if in_flow || before_white => self.fetch_value(),
            '*' | '&' => self.fetch_scalar_like(Self::scan_anchor),
            '!' => self.fetch_scalar_like(Self::scan_tag),
            '|' | '>' if !in_flow => self.fetch_block_scalar(),
            '\'' | '"' => self.fetch_scalar_like(Self::scan_quoted),
            c if self.starts_plain(c) => self.fetch_scalar_like(Self::scan_plain),
            _ => Err(self.problem("found character that cannot start any token", self.mark)),
        }
    }

    fn starts_plain(&self, c: char) -> bool {
        match c {
            '-' => !is_blank(self.at(1)),
            '?' | ':' => self.flow_level == 0 && !is_white_or_end(self.at(1)),
            ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => false,
            c => !is_white_or_end(c),
        }
    }

    fn skip_to_token(&mut self) {
        loop {
            // Tabs may not indent.
            while self.at(0) == ' ' || ((self.flow_level > 0 || !self.simple_key_allowed) && self.at(0) == '\t') {
                self.skip();
            }
            self.skip_comment();
            if !is_break(self.at(0)) {
                return;
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    fn push(&mut self, kind: TokenKind, start: Mark) {
        self.tokens.push_back(Token { kind, start, end: self.mark });
    }

    fn push_indicator(&mut self, kind: TokenKind) {
        let start = self.mark;
        self.skip();
        self.push(kind, start);
    }

    pub(super) fn simple_key_is_valid(&mut self, at: usize) -> Scan<bool> {
        let Some(key) = self.simple_keys.get(at).copied().filter(|key| key.possible) else { return Ok(false) };
        if key.mark.line < self.mark.line || key.mark.index + SIMPLE_KEY_MAX < self.mark.index {
            if key.required {
                return Err(self.problem("could not find expected ':'", key.mark));
            }
            self.simple_keys[at].possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    fn save_simple_key(&mut self) -> Scan<()> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let required = self.flow_level == 0 && self.indent == self.column();
        let token = self.taken + self.tokens.len();
        self.remove_simple_key()?;
        let last = self.simple_keys.len() - 1;
        self.simple_keys[last] = SimpleKey { possible: true, required, token, mark: self.mark };
        self.simple_keys_by_token.insert(token, last);
        Ok(())
    }

    fn remove_simple_key(&mut self) -> Scan<()> {
        let last = self.simple_keys.len() - 1;
        let key = self.simple_keys[last];
        if key.possible {
            if key.required {
                return Err(self.problem("could not find expected ':'", key.mark));
            }
            self.simple_keys[last].possible = false;
            self.simple_keys_by_token.remove(&key.token);
        }
        Ok(())
    }

    /// `number` is the token before which the new one goes.
    fn roll_indent(&mut self, column: i64, number: Option<usize>, kind: TokenKind, mark: Mark) -> Scan<()> {
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > DEPTH_MAX {
            return Err(self.problem(&format!("exceeded max depth of {DEPTH_MAX}"), mark));
        }
        let at = number.map_or(self.tokens.len(), |number| number.saturating_sub(self.taken).min(self.tokens.len()));
        self.tokens.insert(at, Token { kind, start: mark, end: mark });
        Ok(())
    }

    fn unroll_indent(&mut self, column: i64) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(TokenKind::BlockEnd, self.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_stream_end(&mut self) -> Scan<()> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(TokenKind::StreamEnd, self.mark);
        self.ended = true;
        Ok(())
    }

    fn fetch_directive(&mut self) -> Scan<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_directive()?;
        self.push(kind, start);
        Ok(())
    }

    fn fetch_document_indicator(&mut self) -> Scan<()> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = if self.at(0) == '-' { TokenKind::DocumentStart } else { TokenKind::DocumentEnd };
        for _ in 0..3 {
            self.skip();
        }
        self.push(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: TokenKind) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey { token: self.taken + self.tokens.len(), mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > DEPTH_MAX {
            return Err(self.problem(&format!("exceeded max depth of {DEPTH_MAX}"), self.mark));
        }
        self.simple_key_allowed = true;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: TokenKind) -> Scan<()> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.simple_keys.pop() {
                // Its number is that of the bracket for an empty collection, which then is no key: go-yaml's quirk.
                self.simple_keys_by_token.remove(&key.token);
            }
        }
        self.simple_key_allowed = false;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.problem("block sequence entries are not allowed in this context", self.mark));
            }
            self.roll_indent(self.column(), None, TokenKind::BlockSequenceStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(TokenKind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Scan<()> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.problem("mapping keys are not allowed in this context", self.mark));
            }
            self.roll_indent(self.column(), None, TokenKind::BlockMappingStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(TokenKind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Scan<()> {
        let last = self.simple_keys.len() - 1;
        if self.simple_key_is_valid(last)? {
            let key = self.simple_keys[last];
            let at = key.token.saturating_sub(self.taken).min(self.tokens.len());
            self.tokens.insert(at, Token { kind: TokenKind::Key, start: key.mark, end: key.mark });
            let column = i64::try_from(key.mark.column).unwrap_or(i64::MAX);
            self.roll_indent(column, Some(key.token), TokenKind::BlockMappingStart, key.mark)?;
            self.simple_keys[last].possible = false;
            self.simple_keys_by_token.remove(&key.token);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(self.problem("mapping values are not allowed in this context", self.mark));
                }
                self.roll_indent(self.column(), None, TokenKind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(TokenKind::Value);
        Ok(())
    }

    /// What may be a key, and what no key may follow.
    fn fetch_scalar_like(&mut self, scan: fn(&mut Self) -> Scan<Token>) -> Scan<()> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let token = scan(self)?;
        self.tokens.push_back(token);
        Ok(())
    }

    fn fetch_block_scalar(&mut self) -> Scan<()> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let token = self.scan_block()?;
        self.tokens.push_back(token);
        Ok(())
    }
}

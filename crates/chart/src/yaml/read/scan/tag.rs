//! Anchors, aliases and tags. It never resolves them.

use super::{Mark, Scan, Scanner, Token, TokenKind, is_white_or_end, is_word};

impl Scanner {
    pub(super) fn scan_anchor(&mut self) -> Scan<Token> {
        let start = self.mark;
        let is_alias = self.at(0) == '*';
        self.skip();
        let mut name = String::new();
        while is_word(self.at(0)) {
            self.read(&mut name);
        }
        let ends = is_white_or_end(self.at(0)) || matches!(self.at(0), '?' | ':' | ',' | ']' | '}' | '%' | '@' | '`');
        if name.is_empty() || !ends {
            return Err(self.problem("did not find expected alphabetic or numeric character", start));
        }
        let kind = if is_alias { TokenKind::Alias(name) } else { TokenKind::Anchor(name) };
        Ok(Token { kind, start, end: self.mark })
    }

    pub(super) fn scan_tag(&mut self) -> Scan<Token> {
        let start = self.mark;
        let mut handle = String::new();
        let mut suffix;
        if self.at(1) == '<' {
            self.skip();
            self.skip();
            suffix = self.scan_tag_uri("", start)?;
            if self.at(0) != '>' {
                return Err(self.problem("did not find the expected '>'", start));
            }
            self.skip();
        } else {
            handle = self.scan_tag_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                suffix = self.scan_tag_uri("", start)?;
            } else {
                suffix = self.scan_tag_uri(&handle, start)?;
                "!".clone_into(&mut handle);
                if suffix.is_empty() {
                    std::mem::swap(&mut handle, &mut suffix);
                }
            }
        }
        if !is_white_or_end(self.at(0)) {
            return Err(self.problem("did not find expected whitespace or line break", start));
        }
        Ok(Token { kind: TokenKind::Tag { handle, suffix }, start, end: self.mark })
    }

    pub(super) fn scan_tag_handle(&mut self, directive: bool, start: Mark) -> Scan<String> {
        if self.at(0) != '!' {
            return Err(self.problem("did not find expected '!'", start));
        }
        let mut handle = String::new();
        self.read(&mut handle);
        while is_word(self.at(0)) {
            self.read(&mut handle);
        }
        if self.at(0) == '!' {
            self.read(&mut handle);
        } else if directive && handle != "!" {
            return Err(self.problem("did not find expected '!'", start));
        }
        Ok(handle)
    }

    /// `head` is what was taken for a handle and is part of the tag after its `!`.
    pub(super) fn scan_tag_uri(&mut self, head: &str, start: Mark) -> Scan<String> {
        let mut uri = head.chars().skip(1).collect::<String>().into_bytes();
        let mut found = !head.is_empty();
        loop {
            match self.at(0) {
                '%' => self.scan_uri_escape(start, &mut uri)?,
                c if is_word(c) || ";/?:@&=+$,.!~*'()[]".contains(c) => {
                    uri.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    self.skip();
                }
                _ => break,
            }
            found = true;
        }
        if !found {
            return Err(self.problem("did not find expected tag URI", start));
        }
        Ok(String::from_utf8_lossy(&uri).into_owned())
    }

    fn scan_uri_escape(&mut self, start: Mark, uri: &mut Vec<u8>) -> Scan<()> {
        let mut left = 0;
        loop {
            let octet = match (self.at(0), self.at(1).to_digit(16), self.at(2).to_digit(16)) {
                ('%', Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                _ => return Err(self.problem("did not find URI escaped octet", start)),
            };
            if left == 0 {
                left = match octet {
                    0x00..=0x7f => 1,
                    0xc0..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf7 => 4,
                    _ => return Err(self.problem("found an incorrect leading UTF-8 octet", start)),
                };
            } else if octet & 0xc0 != 0x80 {
                return Err(self.problem("found an incorrect trailing UTF-8 octet", start));
            }
            uri.push(octet);
            (0..3).for_each(|_| self.skip());
            left -= 1;
            if left == 0 {
                return Ok(());
            }
        }
    }
}

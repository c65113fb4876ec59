//! The characters of a document: decoding, what may not stand in it, and where reading would stop. It never knows YAML.

use std::borrow::Cow;

/// go-yaml decodes this many bytes at a time, so a fault is met as soon as its block is looked at.
const BLOCK_BYTES: usize = 512;

/// The end of the input, which no document can contain.
pub(super) const END: char = '\0';

pub(super) struct Input {
    pub(super) chars: Vec<char>,
    /// What is wrong behind the last character.
    pub(super) fault: Option<&'static str>,
}

impl Input {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let text: Cow<'_, [u8]> = match bytes {
            [0xff, 0xfe, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_le_bytes).into_bytes()),
            [0xfe, 0xff, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_be_bytes).into_bytes()),
            [0xef, 0xbb, 0xbf, rest @ ..] => Cow::Borrowed(rest),
            bytes => Cow::Borrowed(bytes),
        };
        let (valid, mut fault) = match std::str::from_utf8(&text) {
            Ok(valid) => (valid, None),
            Err(error) => {
                let at = error.valid_up_to();
                let valid = std::str::from_utf8(&text[..at]).unwrap_or_default();
                (valid, Some((at, undecodable(&text[at..], error.error_len().is_none()))))
            }
        };
        if let Some((at, _)) = valid.char_indices().find(|(_, c)| !is_allowed(*c)) {
            fault = Some((at, "control characters are not allowed"));
        }
        let Some((at, message)) = fault else { return Self { chars: valid.chars().collect(), fault: None } };
        let block = at - at % BLOCK_BYTES;
        let chars = valid.char_indices().take_while(|(at, _)| *at < block).map(|(_, c)| c).collect();
        Self { chars, fault: Some(message) }
    }
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn undecodable(bytes: &[u8], cut_off: bool) -> &'static str {
    match bytes {
        _ if cut_off => "incomplete UTF-8 octet sequence",
        [0xc0 | 0xc1, ..] => "invalid length of a UTF-8 sequence",
        [0x80..=0xbf | 0xf8.., ..] | [] => "invalid leading UTF-8 octet",
        [0xed, 0xa0..=0xbf, ..] | [0xf5..=0xf7, ..] => "invalid Unicode character",
        _ => "invalid trailing UTF-8 octet",
    }
}

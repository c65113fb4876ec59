//! Escapes of one character.

use super::translate::next_rune;
use super::{Problem, SyntaxError};

/// Reads an escape: the code point, which may be a surrogate, and what follows.
pub fn parse_escape(rest: &[u8]) -> Result<(u32, &[u8]), SyntaxError> {
    let from = rest;
    let after = &rest[1..];
    if after.is_empty() {
        return Err(SyntaxError::new(Problem::TrailingBackslash, b""));
    }
    let (character, after) = next_rune(after)?;
    let failed = |left: &[u8]| SyntaxError::new(Problem::Escape, &from[..from.len() - left.len()]);
    match character {
        '1'..='7' if !matches!(after.first(), Some(b'0'..=b'7')) => Err(failed(after)),
        '0'..='7' => {
            let more = after.iter().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            let first = u32::from(character) - u32::from('0');
            Ok((after[..more].iter().fold(first, |sum, byte| sum * 8 + u32::from(byte - b'0')), &after[more..]))
        }
        'x' => parse_hex(after, failed),
        'a' => Ok((7, after)),
        'f' => Ok((12, after)),
        'n' => Ok((10, after)),
        'r' => Ok((13, after)),
        't' => Ok((9, after)),
        'v' => Ok((11, after)),
        _ if character.is_ascii() && !character.is_ascii_alphanumeric() => Ok((u32::from(character), after)),
        _ => Err(failed(after)),
    }
}

fn parse_hex(rest: &[u8], failed: impl Fn(&[u8]) -> SyntaxError) -> Result<(u32, &[u8]), SyntaxError> {
    if rest.is_empty() {
        return Err(failed(rest));
    }
    let (first, mut rest) = next_rune(rest)?;
    if first != '{' {
        let high = first.to_digit(16);
        let (second, rest) = next_rune(rest)?;
        return match (high, second.to_digit(16)) {
            (Some(high), Some(low)) => Ok((high * 16 + low, rest)),
            _ => Err(failed(rest)),
        };
    }
    let (mut code, mut digits) = (0u32, 0);
    loop {
        if rest.is_empty() {
            return Err(failed(rest));
        }
        let (character, after) = next_rune(rest)?;
        rest = after;
        match character.to_digit(16) {
            Some(digit) => {
                code = code * 16 + digit;
                digits += 1;
                if code > 0x10_ffff {
                    return Err(failed(rest));
                }
            }
            None if character == '}' && digits > 0 => return Ok((code, rest)),
            None => return Err(failed(rest)),
        }
    }
}

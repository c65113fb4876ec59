//! Classes of characters: `[a-z]`, `\d`, `\p{Greek}`, `[:alpha:]`.

use super::escape::parse_escape;
use super::translate::{Flags, check_utf8, next_rune};
use super::unicode_names::class_of;
use super::{Problem, SyntaxError};

const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit",
];

/// What matches nothing.
const NOTHING: &str = r"[^\s\S]";

/// Writes a code point so that it means itself; a surrogate matches nothing.
pub fn escape_into(out: &mut String, code: u32) {
    match char::from_u32(code) {
        None => out.push_str(NOTHING),
        Some(character) if character.is_ascii_alphanumeric() => out.push(character),
        Some(_) => out.push_str(&format!("\\x{{{code:X}}}")),
    }
}

/// `\d` and its kin, which know ASCII alone.
pub fn perl_class(letter: u8) -> Option<&'static str> {
    Some(match letter {
        b'd' => "[0-9]",
        b'D' => "[^0-9]",
        b's' => r"[\t\n\f\r ]",
        b'S' => r"[^\t\n\f\r ]",
        b'w' => "[0-9A-Za-z_]",
        b'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// `\p{Greek}`, `\pL` and their negations, where the text starts with one.
pub fn unicode_class(rest: &[u8]) -> Result<Option<(String, &[u8])>, SyntaxError> {
    if rest.len() < 2 || rest[0] != b'\\' || !matches!(rest[1], b'p' | b'P') {
        return Ok(None);
    }
    let mut negated = rest[1] == b'P';
    let (character, after) = next_rune(&rest[2..])?;
    let (sequence, mut name, after) = if character == '{' {
        let Some(end) = rest.iter().position(|byte| *byte == b'}') else {
            check_utf8(rest)?;
            return Err(SyntaxError::new(Problem::CharacterRange, rest));
        };
        check_utf8(&rest[3..end])?;
        (&rest[..=end], &rest[3..end], &rest[end + 1..])
    } else {
        let length = rest.len() - after.len();
        (&rest[..length], &rest[2..length], after)
    };
    if let Some(positive) = name.strip_prefix(b"^") {
        negated = !negated;
        name = positive;
    }
    let class = class_of(&String::from_utf8_lossy(name)).ok_or_else(|| SyntaxError::new(Problem::CharacterRange, sequence))?;
    Ok(Some((if negated { format!("[^{class}]") } else { class }, after)))
}

/// `[:alpha:]`, where the text starts with one that is closed.
fn posix_class(rest: &[u8]) -> Result<Option<(String, &[u8])>, SyntaxError> {
    if rest.len() <= 2 || !rest.starts_with(b"[:") {
        return Ok(None);
    }
    let Some(end) = rest[2..].windows(2).position(|pair| pair == b":]") else { return Ok(None) };
    let (shown, after) = rest.split_at(end + 4);
    let name = String::from_utf8_lossy(&rest[2..end + 2]);
    if !POSIX.contains(&name.strip_prefix('^').unwrap_or(&name)) {
        return Err(SyntaxError::new(Problem::CharacterRange, shown));
    }
    Ok(Some((format!("[:{name}:]"), after)))
}

fn class_character<'a>(rest: &'a [u8], whole: &[u8]) -> Result<(u32, &'a [u8]), SyntaxError> {
    match rest.first() {
        None => Err(SyntaxError::new(Problem::MissingBracket, whole)),
        Some(b'\\') => parse_escape(rest),
        Some(_) => next_rune(rest).map(|(character, after)| (u32::from(character), after)),
    }
}

/// Reads `[…]`: the class, and what follows.
pub fn parse_class(whole: &[u8], flags: Flags) -> Result<(String, &[u8]), SyntaxError> {
    let mut rest = &whole[1..];
    let mut out = String::from("[");
    if let Some(after) = rest.strip_prefix(b"^") {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    while first || rest.first() != Some(&b']') {
        first = false;
        if let Some((class, after)) = posix_class(rest)? {
            out.push_str(&class);
            rest = after;
            continue;
        }
        if let Some((class, after)) = unicode_class(rest)? {
            out.push_str(&class);
            rest = after;
            continue;
        }
        if let [b'\\', letter, after @ ..] = rest
            && let Some(class) = perl_class(*letter)
        {
            out.push_str(class);
            rest = after;
            continue;
        }
        let from = rest;
        let (low, after) = class_character(rest, whole)?;
        rest = after;
        let mut high = low;
        if rest.len() >= 2 && rest[0] == b'-' && rest[1] != b']' {
            (high, rest) = class_character(&rest[1..], whole)?;
            if high < low {
                return Err(SyntaxError::new(Problem::CharacterRange, &from[..from.len() - rest.len()]));
            }
        }
        push_range(&mut out, low, high);
    }
    out.push(']');
    Ok((if flags.fold { format!("(?i:{out})") } else { out }, &rest[1..]))
}

/// A range without the surrogates in it.
fn push_range(out: &mut String, low: u32, high: u32) {
    let low = if (0xd800..0xe000).contains(&low) { 0xe000 } else { low };
    let high = if (0xd800..0xe000).contains(&high) { 0xd7ff } else { high };
    if low > high {
        out.push_str(NOTHING);
        return;
    }
    out.push_str(&format!("\\x{{{low:X}}}-\\x{{{high:X}}}"));
}

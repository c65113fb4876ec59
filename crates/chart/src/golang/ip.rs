//! Internet addresses as Go's net/netip reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::print::quote::quoted as quote;

/// Why a text is no address; the wording is Go's.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("ParseAddr({text}): {problem}{at}")]
pub struct IpError {
    text: String,
    problem: &'static str,
    at: String,
}

fn error(text: &[u8], problem: &'static str, at: Option<&[u8]>) -> IpError {
    let at = at.filter(|at| !at.is_empty()).map_or(String::new(), |at| format!(" (at {})", quote(at)));
    IpError { text: quote(text), problem, at }
}

/// Reads an address; a zone is checked and dropped.
pub fn parse(text: &[u8]) -> Result<IpAddr, IpError> {
    match text.iter().find(|byte| matches!(byte, b'.' | b':' | b'%')) {
        Some(b'.') => v4(text, text).map(|octets| Ipv4Addr::from(octets).into()),
        Some(b':') => v6(text).map(|octets| Ipv6Addr::from(octets).into()),
        Some(_) => Err(error(text, "missing IPv6 address", None)),
        None => Err(error(text, "unable to parse IP", None)),
    }
}

fn v4(whole: &[u8], text: &[u8]) -> Result<[u8; 4], IpError> {
    let (mut octets, mut place, mut value, mut digits) = ([0; 4], 0, 0u32, 0);
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                if digits == 1 && value == 0 {
                    return Err(error(whole, "IPv4 field has octet with leading zero", None));
                }
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return Err(error(whole, "IPv4 field has value >255", None));
                }
            }
            b'.' => {
                if index == 0 || index == text.len() - 1 || text[index - 1] == b'.' {
                    return Err(error(whole, "IPv4 field must have at least one digit", Some(&text[index..])));
                }
                if place == 3 {
                    return Err(error(whole, "IPv4 address too long", None));
                }
                octets[place] = value as u8;
                (place, value, digits) = (place + 1, 0, 0);
            }
            _ => return Err(error(whole, "unexpected character", Some(&text[index..]))),
        }
    }
    if place < 3 {
        return Err(error(whole, "IPv4 address too short", None));
    }
    octets[3] = value as u8;
    Ok(octets)
}

fn v6(whole: &[u8]) -> Result<[u8; 16], IpError> {
    let failed = |problem, at: &[u8]| Err(error(whole, problem, Some(at)));
    let mut rest = whole;
    if let Some(at) = whole.iter().position(|byte| *byte == b'%') {
        if at + 1 == whole.len() {
            return failed("zone must be a non-empty string", b"");
        }
        rest = &whole[..at];
    }
    let (mut octets, mut filled, mut ellipsis) = ([0u8; 16], 0, None);
    if let Some(after) = rest.strip_prefix(b"::") {
        ellipsis = Some(0);
        rest = after;
        if rest.is_empty() {
            return Ok(octets);
        }
    }
    while filled < 16 {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 4 {
            return failed("each group must have 4 or less digits", rest);
        }
        if digits == 0 {
            return failed("each colon-separated field must have at least one digit", rest);
        }
        if rest.get(digits) == Some(&b'.') {
            if ellipsis.is_none() && filled != 12 {
                return failed("embedded IPv4 address must replace the final 2 fields of the address", rest);
            }
            if filled + 4 > 16 {
                return failed("too many hex fields to fit an embedded IPv4 at the end of the address", rest);
            }
            octets[filled..filled + 4].copy_from_slice(&v4(whole, rest)?);
            (rest, filled) = (b"", filled + 4);
            break;
        }
        let hex = rest[..digits].iter().fold(0u16, |sum, byte| sum << 4 | char::from(*byte).to_digit(16).unwrap_or(0) as u16);
        octets[filled..filled + 2].copy_from_slice(&hex.to_be_bytes());
        filled += 2;
        rest = &rest[digits..];
        if rest.is_empty() {
            break;
        }
        if rest[0] != b':' {
            return failed("unexpected character, want colon", rest);
        }
        if rest.len() == 1 {
            return failed("colon must be followed by more characters", rest);
        }
        rest = &rest[1..];
        if rest[0] == b':' {
            if ellipsis.is_some() {
                return failed("multiple :: in address", rest);
            }
            ellipsis = Some(filled);
            rest = &rest[1..];
            if rest.is_empty() {
                break;
            }
        }
    }
    if !rest.is_empty() {
        return failed("trailing garbage after address", rest);
    }
    spread(octets, filled, ellipsis).map_err(|problem| error(whole, problem, None))
}

/// Moves what follows the ellipsis to the end.
fn spread(mut octets: [u8; 16], filled: usize, ellipsis: Option<usize>) -> Result<[u8; 16], &'static str> {
    match ellipsis {
        None if filled < 16 => Err("address string too short"),
        Some(_) if filled == 16 => Err("the :: must expand to at least one field of zeros"),
        Some(at) => {
            octets.copy_within(at..filled, 16 - (filled - at));
            octets[at..16 - (filled - at)].fill(0);
            Ok(octets)
        }
        None => Ok(octets),
    }
}

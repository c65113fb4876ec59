//! Durations as Go reads, rounds and writes them.

use super::quote::quote_ascii;

/// Nanoseconds of a second.
pub const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Why a text is no duration; the wording is Go's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DurationError {
    /// Not of the grammar, or too large.
    #[error("time: invalid duration {0}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0}")]
    MissingUnit(String),
    /// A unit that is none.
    #[error("time: unknown unit {unit} in duration {text}")]
    UnknownUnit {
        /// The quoted unit.
        unit: String,
        /// The quoted whole.
        text: String,
    },
}

const LIMIT: u64 = 1 << 63;

/// Reads `-1h2m3.5s` as nanoseconds.
pub fn parse(text: &[u8]) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(quote_ascii(text));
    let (negative, mut rest) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut value = leading_int(&rest[..digits]).ok_or_else(invalid)?;
        rest = &rest[digits..];
        let (mut fraction, mut scale, mut fraction_digits) = (0, 1.0, 0);
        if rest.first() == Some(&b'.') {
            rest = &rest[1..];
            fraction_digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (fraction, scale) = leading_fraction(&rest[..fraction_digits]);
            rest = &rest[fraction_digits..];
        }
        if digits == 0 && fraction_digits == 0 {
            return Err(invalid());
        }
        let length = rest.iter().take_while(|byte| **byte != b'.' && !byte.is_ascii_digit()).count();
        if length == 0 {
            return Err(DurationError::MissingUnit(quote_ascii(text)));
        }
        let unit = unit_of(&rest[..length])
            .ok_or_else(|| DurationError::UnknownUnit { unit: quote_ascii(&rest[..length]), text: quote_ascii(text) })?;
        rest = &rest[length..];
        if value > LIMIT / unit {
            return Err(invalid());
        }
        value *= unit;
        if fraction > 0 {
            value = value.wrapping_add((fraction as f64 * (unit as f64 / scale)) as u64);
        }
        total = total.checked_add(value).filter(|sum| value <= LIMIT && *sum <= LIMIT).ok_or_else(invalid)?;
    }
    if negative {
        return Ok((total as i64).wrapping_neg());
    }
    i64::try_from(total).map_err(|_| invalid())
}

fn unit_of(text: &[u8]) -> Option<u64> {
    Some(match text {
        b"ns" => 1,
        b"us" => 1_000,
        b"ms" => 1_000_000,
        b"s" => SECOND as u64,
        b"m" => MINUTE as u64,
        b"h" => HOUR as u64,
        _ if text == "µs".as_bytes() || text == "μs".as_bytes() => 1_000,
        _ => return None,
    })
}

fn leading_int(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, byte| {
        let next = sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
        (sum <= LIMIT / 10 && next <= LIMIT).then_some(next)
    })
}

fn leading_fraction(digits: &[u8]) -> (u64, f64) {
    let (mut sum, mut scale) = (0u64, 1.0);
    for byte in digits {
        if sum > (LIMIT - 1) / 10 {
            break;
        }
        let next = sum * 10 + u64::from(byte - b'0');
        if next > LIMIT {
            break;
        }
        sum = next;
        scale *= 10.0;
    }
    (sum, scale)
}

/// Writes a duration: `1h2m3.5s`, `1.5ms`, `0s`.
pub fn format(nanoseconds: i64) -> String {
    let amount = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    if amount == 0 {
        return "0s".to_owned();
    }
    if amount < SECOND as u64 {
        let (unit, digits) = match amount {
            0..1_000 => ("ns", 0),
            1_000..1_000_000 => ("µs", 3),
            _ => ("ms", 6),
        };
        return format!("{sign}{}{unit}", with_fraction(amount, digits));
    }
    let seconds = amount / SECOND as u64;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let rest = with_fraction(amount % MINUTE as u64, 9);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{rest}s"),
        (0, _) => format!("{sign}{minutes}m{rest}s"),
        _ => format!("{sign}{hours}h{minutes}m{rest}s"),
    }
}

/// `amount` with the point before its last `digits` digits, zeros at the end left out.
fn with_fraction(amount: u64, digits: usize) -> String {
    let scale = 10u64.pow(digits as u32);
    let (whole, part) = (amount / scale, amount % scale);
    if part == 0 {
        return whole.to_string();
    }
    let part = format!("{part:0digits$}");
    format!("{whole}.{}", part.trim_end_matches('0'))
}

/// Toward zero to a multiple of `unit`.
pub fn truncate(nanoseconds: i64, unit: i64) -> i64 {
    if unit <= 0 { nanoseconds } else { nanoseconds - nanoseconds % unit }
}

/// To the nearest multiple of `unit`, halves away from zero, saturated.
pub fn round(nanoseconds: i64, unit: i64) -> i64 {
    if unit <= 0 {
        return nanoseconds;
    }
    let rest = nanoseconds % unit;
    let down = nanoseconds - rest;
    if rest.unsigned_abs() < unit.unsigned_abs() - rest.unsigned_abs() {
        return down;
    }
    if nanoseconds < 0 { down.saturating_sub(unit) } else { down.saturating_add(unit) }
}

/// In a unit, as Go divides: whole units and the rest apart.
pub fn in_unit(nanoseconds: i64, unit: i64) -> f64 {
    (nanoseconds / unit) as f64 + (nanoseconds % unit) as f64 / unit as f64
}

/// As seconds, with a fraction.
pub fn seconds(nanoseconds: i64) -> f64 {
    in_unit(nanoseconds, SECOND)
}

/// As minutes, with a fraction.
pub fn minutes(nanoseconds: i64) -> f64 {
    in_unit(nanoseconds, MINUTE)
}

/// As hours, with a fraction.
pub fn hours(nanoseconds: i64) -> f64 {
    in_unit(nanoseconds, HOUR)
}

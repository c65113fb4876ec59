//! What a plain scalar means, by go-yaml's rules: YAML 1.1's words and numbers, dates that stay text. It never reads
//! structure.

/// A scalar resolved.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// Looks like a date: text for a reader, to be quoted by a writer.
    Timestamp,
    Text,
}

impl Resolved {
    /// The short tag of what was found.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Uint(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Timestamp => "!!timestamp",
            Self::Text => "!!str",
        }
    }
}

pub(super) fn resolve(text: &str) -> Resolved {
    let Some(first) = text.bytes().next() else { return Resolved::Null };
    if let Some(word) = word(text) {
        return word;
    }
    match first {
        b'.' => dotted_float(text).map_or(Resolved::Text, Resolved::Float),
        b'+' | b'-' | b'0'..=b'9' => number(text),
        _ => Resolved::Text,
    }
}

fn word(text: &str) -> Option<Resolved> {
    if text.len() > 5 {
        return None;
    }
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Resolved::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Resolved::Bool(false),
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        // Not `<<`: it means something only where a key is looked at.
        _ => return None,
    })
}

fn number(text: &str) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    if let Some(found) = go_integer(&plain) {
        return found;
    }
    if is_decimal_float(&plain)
        && let Ok(value) = plain.parse::<f64>()
        && value.is_finite()
    {
        return Resolved::Float(value);
    }
    // Go's own parser refuses a sign behind the prefix, go-yaml's second try takes it.
    if let Some(rest) = plain.strip_prefix("0b") {
        if let Ok(value) = i64::from_str_radix(rest, 2) {
            return Resolved::Int(value);
        }
    } else if let Some(rest) = plain.strip_prefix("-0b")
        && let Ok(value) = i64::from_str_radix(&format!("-{rest}"), 2)
    {
        return Resolved::Int(value);
    }
    Resolved::Text
}

/// Go's `ParseInt(text, 0, 64)`, then `ParseUint(text, 0, 64)`, for text without underscores.
fn go_integer(text: &str) -> Option<Resolved> {
    let (negative, signed, rest) = match text.as_bytes().first()? {
        b'-' => (true, true, &text[1..]),
        b'+' => (false, true, &text[1..]),
        _ => (false, false, text),
    };
    let (radix, digits) = match rest.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &rest[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &rest[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &rest[2..]),
        [b'0', _, ..] => (8, &rest[1..]),
        _ => (10, rest),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let size = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(size).map(Resolved::Int);
    }
    match i64::try_from(size) {
        Ok(value) => Some(Resolved::Int(value)),
        Err(_) if signed => None,
        Err(_) => Some(Resolved::Uint(size)),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_decimal_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && all_digits(fraction),
        Some((whole, fraction)) => all_digits(whole) && all_digits(fraction),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    mantissa_fits
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        })
}

/// Go's `ParseFloat` of something that starts with a point; underscores only between digits.
fn dotted_float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'_' {
            let between = at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            if !between {
                return None;
            }
        }
    }
    let plain = text.replace('_', "");
    if !is_decimal_float(&plain) {
        return None;
    }
    plain.parse().ok().filter(|value: &f64| value.is_finite())
}

/// YAML 1.1's notation of numbers to the base of 60, which nobody reads but which is quoted on the way out.
pub(super) fn is_base_60(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = match rest.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (rest, ""),
    };
    if !fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return false;
    }
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let first_fits = first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest: Vec<&str> = parts.collect();
    first_fits
        && !rest.is_empty()
        && rest.iter().all(|part| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}

/// The four layouts that go-yaml takes for dates, with the leniency of Go's `time.Parse`.
pub(super) fn is_timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits != 4 || bytes.get(4) != Some(&b'-') {
        return false;
    }
    date(text).is_some_and(|rest| rest.is_empty() || time_of_day(rest))
}

fn short_number(text: &str, most: u32) -> Option<(u32, &str)> {
    let length = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    let value = text.get(..length)?.parse().ok().filter(|value| *value <= most)?;
    Some((value, &text[length..]))
}

fn date(text: &str) -> Option<&str> {
    let year: u32 = text[..4].parse().ok()?;
    let (month, rest) = short_number(&text[5..], 12)?;
    let (day, rest) = short_number(rest.strip_prefix('-')?, 31)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (month >= 1 && day >= 1 && day <= days).then_some(rest)
}

fn time_of_day(text: &str) -> bool {
    let (zoned, rest) = match text.as_bytes().first() {
        Some(b'T' | b't') => (true, &text[1..]),
        Some(b' ') => (false, text.trim_start_matches(' ')),
        _ => return false,
    };
    let Some(rest) = clock(rest) else { return false };
    if zoned { zone(rest) } else { rest.is_empty() }
}

fn clock(text: &str) -> Option<&str> {
    let (_, rest) = short_number(text, 23)?;
    let (_, rest) = short_number(rest.strip_prefix(':')?, 59)?;
    let (_, rest) = short_number(rest.strip_prefix(':')?, 59)?;
    let Some(fraction) = rest.strip_prefix(['.', ',']) else { return Some(rest) };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    Some(if digits == 0 { rest } else { &fraction[digits..] })
}

fn zone(text: &str) -> bool {
    if text == "Z" {
        return true;
    }
    let Some(rest) = text.strip_prefix(['+', '-']) else { return false };
    let bytes = rest.as_bytes();
    if bytes.len() != 5 || bytes[2] != b':' {
        return false;
    }
    let two = |from: usize| rest.get(from..from + 2).and_then(|text| text.parse::<u32>().ok());
    bytes[..2].iter().chain(&bytes[3..]).all(u8::is_ascii_digit)
        && two(0).is_some_and(|hours| hours <= 24)
        && two(3).is_some_and(|minutes| minutes <= 60)
}

//! Numbers as Go's strconv reads and writes them.

/// Reads an integer. Base 0 takes prefixes and underscores, as in Go source.
pub fn parse_int(text: &[u8], base: u32) -> Result<i64, NumberError> {
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let amount = parse_uint(digits, base);
    let limit = if negative { 1u64 << 63 } else { (1u64 << 63) - 1 };
    match amount {
        Err(NumberError::Syntax) => Err(NumberError::Syntax),
        Ok(amount) if amount <= limit => Ok(if negative { (amount as i64).wrapping_neg() } else { amount as i64 }),
        _ => Err(NumberError::Range(if negative { i64::MIN } else { i64::MAX })),
    }
}

/// Why a text is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not of the grammar.
    #[error("invalid syntax")]
    Syntax,
    /// Too large; holds the nearest that fits.
    #[error("value out of range")]
    Range(i64),
}

fn parse_uint(text: &[u8], base: u32) -> Result<u64, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Syntax);
    }
    let (radix, digits) = if base != 0 {
        (base, text)
    } else {
        match text {
            [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
            [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (8, rest),
            [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
            [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
            _ => (10, text),
        }
    };
    let mut value = 0u64;
    let mut over = false;
    let mut underscores = false;
    for byte in digits {
        if *byte == b'_' && base == 0 {
            underscores = true;
            continue;
        }
        let digit = char::from(*byte).to_digit(36).filter(|digit| *digit < radix).ok_or(NumberError::Syntax)?;
        // Go stops at an overflow; a wrong digit after it goes unseen.
        match value.checked_mul(u64::from(radix)).and_then(|product| product.checked_add(u64::from(digit))) {
            Some(next) => value = next,
            None => {
                over = true;
                break;
            }
        }
    }
    if over {
        return Err(NumberError::Range(i64::MAX));
    }
    if underscores && !underscores_stand_well(text) {
        return Err(NumberError::Syntax);
    }
    Ok(value)
}

/// Underscores stand between digits or after a prefix alone.
fn underscores_stand_well(text: &[u8]) -> bool {
    let text = match text {
        [b'-' | b'+', rest @ ..] => rest,
        _ => text,
    };
    let (mut before, hex, digits) = match text {
        [b'0', prefix, rest @ ..] if matches!(prefix.to_ascii_lowercase(), b'b' | b'o' | b'x') => {
            (b'0', prefix.eq_ignore_ascii_case(&b'x'), rest)
        }
        _ => (b'^', false, text),
    };
    for byte in digits {
        let kind = match byte {
            b'0'..=b'9' => b'0',
            b'a'..=b'f' | b'A'..=b'F' if hex => b'0',
            b'_' => b'_',
            _ => b'!',
        };
        if kind == b'_' && before != b'0' || kind == b'!' && before == b'_' {
            return false;
        }
        before = kind;
    }
    before != b'_'
}

/// Reads a float: decimal, hexadecimal, `inf`, `nan`, with underscores only where base prefixes allow them.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let plain = std::str::from_utf8(text).ok()?;
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let sign = if plain.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        // Go takes no sign before it.
        "nan" => return (unsigned.len() == plain.len()).then_some(f64::NAN),
        _ => {}
    }
    if unsigned.len() > 2 && unsigned.as_bytes()[..2].eq_ignore_ascii_case(b"0x") {
        return hex_float(unsigned).map(|value| sign * value).filter(|value| value.is_finite());
    }
    if unsigned.contains('_') && !underscores_stand_well(unsigned.as_bytes()) {
        return None;
    }
    if unsigned.starts_with(['+', '-']) {
        return None;
    }
    let unsigned = unsigned.replace('_', "");
    if !unsigned.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let value: f64 = unsigned.parse().ok()?;
    value.is_finite().then_some(sign * value)
}

/// `0x1.8p3`: the exponent must be there.
fn hex_float(text: &str) -> Option<f64> {
    if text.contains('_') && !underscores_stand_well(text.as_bytes()) {
        return None;
    }
    let text = text[2..].replace('_', "").to_ascii_lowercase();
    let (mantissa, exponent) = text.split_once('p')?;
    let digits_of_exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits_of_exponent.is_empty() || !digits_of_exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') { -10_000 } else { 10_000 });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0u64;
    let mut shift = 0i64;
    let mut sticky = false;
    for (index, character) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(character.to_digit(16)?);
        let in_fraction = index >= whole.len();
        if value >> 58 == 0 {
            value = value << 4 | digit;
            shift -= if in_fraction { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            shift += if in_fraction { 0 } else { 4 };
        }
    }
    value = value << 1 | u64::from(sticky);
    Some(scale(value, exponent.saturating_add(shift).saturating_sub(1)))
}

/// `value · 2^exponent`, in steps that round once.
fn scale(value: u64, exponent: i64) -> f64 {
    if value == 0 {
        return 0.0;
    }
    let bits = 64 - i64::from(value.leading_zeros());
    let top = bits + exponent;
    // How many bits of the value a float of this size keeps.
    let kept = if top < -1021 { 53 - (-1021 - top) } else { 53 };
    if kept < 0 {
        return 0.0;
    }
    let drop = (bits - kept).max(0) as u32;
    let rounded = if drop == 0 {
        value
    } else {
        let half = 1u64 << (drop - 1);
        let (low, mut high) = (value & ((half << 1) - 1), value.checked_shr(drop).unwrap_or(0));
        if low > half || low == half && high & 1 == 1 {
            high += 1;
        }
        high
    };
    let exponent = exponent.saturating_add(i64::from(drop)).clamp(-2000, 2000) as i32;
    // Two factors keep the product exact where one power would not be representable.
    let first = exponent / 2;
    rounded as f64 * 2f64.powi(first) * 2f64.powi(exponent - first)
}

/// Shortest digits that read back the same, and the place of the point from the left of them.
fn shortest(number: f64) -> (String, i32) {
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.replace('.', "");
    (digits, exponent.parse::<i32>().unwrap_or(0) + 1)
}

/// As `%v` prints: plain, or with an exponent below 1e-4 and from 1e6.
pub fn format_g(number: f64) -> String {
    with_exponent(number, -4, 6, 2)
}

/// As Go's JSON prints: plain, or with an exponent below 1e-6 and from 1e21.
pub fn format_json(number: f64) -> String {
    with_exponent(number, -6, 21, 1)
}

fn with_exponent(number: f64, below: i32, from: i32, exponent_digits: usize) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let sign = if number.is_sign_negative() { "-" } else { "" };
    if number == 0.0 {
        return format!("{sign}0");
    }
    let (digits, point) = shortest(number);
    let exponent = point - 1;
    if exponent < below || exponent >= from {
        let (first, rest) = digits.split_at(1);
        let fraction = if rest.is_empty() { String::new() } else { format!(".{rest}") };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{fraction}e{exponent_sign}{:0exponent_digits$}", exponent.abs());
    }
    if point <= 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    }
    let point = point as usize;
    if digits.len() <= point {
        return format!("{sign}{digits}{}", "0".repeat(point - digits.len()));
    }
    format!("{sign}{}.{}", &digits[..point], &digits[point..])
}

/// To an integer as Go on amd64 converts: what does not fit becomes the smallest.
pub fn truncate(number: f64) -> i64 {
    let whole = number.trunc();
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&whole) { whole as i64 } else { i64::MIN }
}

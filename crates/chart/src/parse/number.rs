//! Number and character constants: every Go type that one can be.

use super::node::{Ideal, Number};
use crate::print::quote;
use crate::value::Value;

/// Reads a character constant with its quotes.
pub(super) fn character(text: &[u8]) -> Result<Number, String> {
    let (unit, tail) = quote::unquote_unit(&text[1..], b'\'').ok_or("invalid syntax")?;
    if tail != b"'" {
        return Err(format!("malformed character constant: {}", String::from_utf8_lossy(text)));
    }
    let code = unit.code();
    Ok(Number {
        int: Some(i64::from(code)),
        uint: Some(u64::from(code)),
        float: Some(f64::from(code)),
        complex: None,
        ideal: Ideal::Is(Value::int(i64::from(code))),
    })
}

/// Reads a pair such as `1+2i`.
pub(super) fn complex(text: &[u8]) -> Result<Number, String> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    let body = text.strip_suffix('i').unwrap_or(text);
    let signs =
        body.char_indices().skip(1).filter(|(at, it)| matches!(it, '+' | '-') && !body[..*at].ends_with(['e', 'E', 'p', 'P']));
    let split = signs.last().map_or(0, |(at, _)| at);
    match (float(&body[..split]), float(&body[split..])) {
        (Some(real), Some(imaginary)) => Ok(of_complex(real, imaginary)),
        _ => Err("syntax error scanning complex number".to_owned()),
    }
}

/// Reads any other number.
pub(super) fn plain(text: &[u8]) -> Result<Number, String> {
    let text = std::str::from_utf8(text).unwrap_or_default();
    if let Some(imaginary) = text.strip_suffix('i').and_then(float) {
        return Ok(of_complex(0.0, imaginary));
    }
    let int = integer(text);
    let mut uint = unsigned(text);
    if int == Some(0) {
        uint = Some(0);
    }
    let mut number = Number { int, uint, float: None, complex: None, ideal: Ideal::Nothing };
    #[expect(clippy::cast_precision_loss, reason = "as Go promotes")]
    if let Some(it) = int {
        number.float = Some(it as f64);
    } else if let Some(it) = uint {
        number.float = Some(it as f64);
    } else if let Some(it) = float(text) {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote::quoted(text.as_bytes())));
        }
        number.float = Some(it);
        (number.int, number.uint) = whole(it);
    }
    if number.float.is_none() {
        return Err(format!("illegal number syntax: {}", quote::quoted(text.as_bytes())));
    }
    number.ideal = ideal(&number, text);
    Ok(number)
}

/// What a constant is where no type is asked for.
fn ideal(number: &Number, text: &str) -> Ideal {
    let hex = text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P']);
    match (number.float, number.int) {
        (Some(it), _) if !hex && text.contains(['.', 'e', 'E', 'p', 'P']) => Ideal::Is(Value::Float(it)),
        (_, Some(it)) => Ideal::Is(Value::int(it)),
        _ if number.uint.is_some() => Ideal::Overflow,
        _ => Ideal::Nothing,
    }
}

fn of_complex(real: f64, imaginary: f64) -> Number {
    let float = (imaginary == 0.0).then_some(real);
    let (int, uint) = float.map_or((None, None), whole);
    Number { int, uint, float, complex: Some((real, imaginary)), ideal: Ideal::Is(Value::Complex(real, imaginary)) }
}

/// The integers that a float is exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are checked first")]
fn whole(number: f64) -> (Option<i64>, Option<u64>) {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if number.fract() != 0.0 {
        return (None, None);
    }
    let int = (-TWO_63..TWO_63).contains(&number).then_some(number as i64);
    let uint = (0.0..TWO_63 * 2.0).contains(&number).then_some(number as u64);
    (int, uint)
}

/// `strconv.ParseUint` with base 0.
fn unsigned(text: &str) -> Option<u64> {
    if !underscores_fit(text) {
        return None;
    }
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (&text[2..], 16),
        [b'0', b'b' | b'B', _, ..] => (&text[2..], 2),
        [b'0', b'o' | b'O', _, ..] => (&text[2..], 8),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    let digits: String = digits.chars().filter(|it| *it != '_').collect();
    if !digits.starts_with(|it: char| it.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(&digits, base).ok()
}

/// `strconv.ParseInt` with base 0.
fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number = unsigned(digits)?;
    if negative { 0_i64.checked_sub_unsigned(number) } else { i64::try_from(number).ok() }
}

/// `strconv.ParseFloat`, for what the lexer lets through.
fn float(text: &str) -> Option<f64> {
    if !underscores_fit(text) {
        return None;
    }
    let text: String = text.chars().filter(|it| *it != '_').collect();
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text.as_str()),
    };
    if digits.starts_with("0x") || digits.starts_with("0X") {
        return hex_float(&digits[2..]).map(|number| sign * number);
    }
    if !digits.bytes().any(|byte| byte.is_ascii_digit())
        || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return None;
    }
    digits.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| sign * number)
}

/// The digits of a hexadecimal float, which must have an exponent.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() {
        return None;
    }
    let exponent: i32 = exponent.parse().ok()?;
    let mut number = 0.0_f64;
    for digit in digits.chars() {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let scaled = number * 2.0_f64.powi(exponent.saturating_sub(4 * i32::try_from(fraction.len()).ok()?));
    scaled.is_finite().then_some(scaled)
}

/// Underscores stand between digits, or between a base prefix and a digit.
fn underscores_fit(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let bytes = body.as_bytes();
    let prefixed = matches!(bytes, [b'0', b'b' | b'B' | b'o' | b'O' | b'x' | b'X', ..]);
    let hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let mut before = if prefixed { '0' } else { '^' };
    for it in body.chars().skip(if prefixed { 2 } else { 0 }) {
        let class = match it {
            '0'..='9' => '0',
            'a'..='f' | 'A'..='F' if hex => '0',
            '_' if before != '0' => return false,
            '_' => '_',
            _ if before == '_' => return false,
            _ => '!',
        };
        before = class;
    }
    before != '_'
}

//! Amounts such as `100m`, `1.5Gi` or `1e3`: exact, and printed in canonical form.
//!
//! A quantity is a whole number of nanos, which is the precision that upstream keeps. Never a float.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

/// The family of suffixes that a quantity was written with, and is printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `Ki`, `Mi`, …
    Binary,
    /// `m`, `k`, `M`, …
    Decimal,
    /// `e3`, …
    Exponent,
}

const NANOS: i128 = 1_000_000_000;

/// An exact amount.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not have the form.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

const DECIMAL: &[(&str, i32)] =
    &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl Quantity {
    /// Zero.
    pub const ZERO: Self = Self { nanos: 0, format: Format::Decimal };

    /// A whole amount, printed with decimal suffixes.
    pub fn whole(amount: i64) -> Self {
        Self { nanos: i128::from(amount) * NANOS, format: Format::Decimal }
    }

    /// An amount of bytes, printed with binary suffixes.
    pub fn bytes(amount: i64) -> Self {
        Self { nanos: i128::from(amount) * NANOS, format: Format::Binary }
    }

    /// Thousandths, such as of a core.
    pub fn milli(amount: i64) -> Self {
        Self { nanos: i128::from(amount) * (NANOS / 1000), format: Format::Decimal }
    }

    /// The amount rounded up to a whole one.
    pub fn value(self) -> i64 {
        saturate(round_up(self.nanos, NANOS))
    }

    /// The amount in thousandths, rounded up.
    pub fn milli_value(self) -> i64 {
        saturate(round_up(self.nanos, NANOS / 1000))
    }

    /// The amount in whole nanos.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// The family of suffixes.
    pub fn format(self) -> Format {
        self.format
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }
}

fn saturate(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

/// Division away from zero, as upstream rounds.
fn round_up(value: i128, unit: i128) -> i128 {
    let whole = value / unit;
    match value % unit {
        0 => whole,
        rest if rest > 0 => whole + 1,
        _ => whole - 1,
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) => (false, text),
            None => return Err(QuantityError::Form),
        };
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError::Form);
        }
        let (format, binary, decimal) = parse_suffix(suffix)?;
        let digits: String = [whole, fraction].concat();
        let power = decimal - fraction.len() as i32 + 9;
        let nanos = scale(digits.trim_start_matches('0'), binary, power);
        Ok(Self { nanos: if negative { -nanos } else { nanos }, format })
    }
}

fn parse_suffix(suffix: &str) -> Result<(Format, u32, i32), QuantityError> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Decimal, 0, *power));
    }
    if let Some((_, bits)) = BINARY.iter().find(|(name, _)| *name == suffix) {
        return Ok((Format::Binary, *bits, 0));
    }
    match suffix.strip_prefix(['e', 'E']) {
        Some(power) if !power.is_empty() => {
            let power = power.parse::<i32>().map_err(|_| QuantityError::Suffix)?;
            Ok((Format::Exponent, 0, power.clamp(-1000, 1000)))
        }
        _ => {
            let known = suffix.chars().all(|letter| "eEinumkKMGTP0123456789+-".contains(letter));
            Err(if known { QuantityError::Suffix } else { QuantityError::Form })
        }
    }
}

/// `digits × 2^bits × 10^power`, rounded up, capped where upstream caps.
fn scale(digits: &str, bits: u32, power: i32) -> i128 {
    const CAP: i128 = i64::MAX as i128 * NANOS;
    if digits.is_empty() {
        return 0;
    }
    if digits.len() as i32 + power > 30 {
        return CAP;
    }
    let (kept, power) = if digits.len() > 30 { (&digits[..30], power + (digits.len() as i32 - 30)) } else { (digits, power) };
    let mut value: i128 = kept.parse().unwrap_or(CAP);
    let mut shift = bits;
    let mut power = power;
    while power > 0 {
        let Some(next) = value.checked_mul(10) else { return CAP };
        value = next;
        power -= 1;
    }
    // Multiply by two before dividing by ten, as long as there is room, so that nothing is lost.
    while shift > 0 {
        match value.checked_mul(2) {
            Some(next) => {
                value = next;
                shift -= 1;
            }
            None if power < 0 => {
                value = round_up(value, 10);
                power += 1;
            }
            None => return CAP,
        }
    }
    if power < -38 {
        return 1;
    }
    if power < 0 {
        value = round_up(value, 10i128.pow(power.unsigned_abs()));
    }
    value.min(CAP)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        if self.format == Format::Binary && self.nanos.abs() >= 1024 * NANOS && self.nanos % NANOS == 0 {
            let mut amount = self.nanos / NANOS;
            let mut suffix = "";
            for (name, _) in BINARY {
                if amount % 1024 != 0 {
                    break;
                }
                amount /= 1024;
                suffix = name;
            }
            return write!(f, "{amount}{suffix}");
        }
        let mut amount = self.nanos;
        let mut power = -9;
        while amount % 1000 == 0 && power < 18 {
            amount /= 1000;
            power += 3;
        }
        if self.format == Format::Exponent {
            return if power == 0 { write!(f, "{amount}") } else { write!(f, "{amount}e{power}") };
        }
        let suffix = DECIMAL.iter().find(|(_, known)| *known == power).map_or("", |(name, _)| name);
        write!(f, "{amount}{suffix}")
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}
impl Eq for Quantity {}
impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}
impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_add(other.nanos), format }
    }
}
impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        Self { nanos: self.nanos.saturating_sub(other.nanos), format }
    }
}
impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self { nanos: -self.nanos, ..self }
    }
}
impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}
impl Default for Quantity {
    fn default() -> Self {
        Self::ZERO
    }
}

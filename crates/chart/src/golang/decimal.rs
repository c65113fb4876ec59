//! Exact decimals, as far as the float functions need them: made from the shortest digits of a float, and back.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use super::number::format_g;

/// Digits kept behind the point by a division.
const DIVISION_DIGITS: i64 = 16;

/// `value · 10^exponent`.
#[derive(Clone, Debug)]
pub struct Decimal {
    value: BigInt,
    exponent: i64,
}

/// What decimals refuse; the wording is that of Go's shopspring decimals.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecimalError {
    /// NaN or an infinity.
    #[error("Cannot create a Decimal from {0}")]
    NotFinite(String),
    /// Division by zero.
    #[error("decimal division by 0")]
    Division,
}

fn ten_to(power: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(power.max(0)).unwrap_or(u32::MAX))
}

impl Decimal {
    /// By the shortest digits that read back as the float.
    pub fn of(number: f64) -> Result<Decimal, DecimalError> {
        if !number.is_finite() {
            return Err(DecimalError::NotFinite(format_g(number)));
        }
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i64);
        let value = mantissa.replace('.', "").parse().unwrap_or_default();
        Ok(Decimal { value, exponent: exponent.parse::<i64>().unwrap_or(0) - fraction })
    }

    /// The nearest float.
    pub fn to_float(&self) -> f64 {
        format!("{}e{}", self.value, self.exponent).parse().unwrap_or(f64::NAN)
    }

    fn at(&self, exponent: i64) -> BigInt {
        &self.value * ten_to(self.exponent - exponent)
    }

    /// The sum.
    pub fn plus(&self, other: &Decimal) -> Decimal {
        let exponent = self.exponent.min(other.exponent);
        Decimal { value: self.at(exponent) + other.at(exponent), exponent }
    }

    /// The difference.
    pub fn minus(&self, other: &Decimal) -> Decimal {
        let exponent = self.exponent.min(other.exponent);
        Decimal { value: self.at(exponent) - other.at(exponent), exponent }
    }

    /// The product.
    pub fn times(&self, other: &Decimal) -> Decimal {
        Decimal { value: &self.value * &other.value, exponent: self.exponent + other.exponent }
    }

    /// The quotient, rounded at the sixteenth digit behind the point, halves away from zero.
    pub fn over(&self, other: &Decimal) -> Result<Decimal, DecimalError> {
        if other.value.sign() == Sign::NoSign {
            return Err(DecimalError::Division);
        }
        let shift = self.exponent - other.exponent + DIVISION_DIGITS;
        let (dividend, divisor) = if shift < 0 {
            (self.value.clone(), &other.value * ten_to(-shift))
        } else {
            (&self.value * ten_to(shift), other.value.clone())
        };
        let (mut quotient, rest) = (&dividend / &divisor, &dividend % &divisor);
        let double: BigInt = rest * 2;
        if double.magnitude().cmp(divisor.magnitude()) != Ordering::Less {
            quotient += if self.value.sign() == other.value.sign() { 1 } else { -1 };
        }
        Ok(Decimal { value: quotient, exponent: -DIVISION_DIGITS })
    }
}

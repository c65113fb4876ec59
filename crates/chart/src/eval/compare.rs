//! `eq`, `lt` and their kin: Go's basic kinds and what they refuse.

use super::Slot;
use crate::functions::Failure;
use crate::print;
use crate::value::{Kind, Value};

/// What of a value is compared.
#[derive(Clone, Debug)]
enum Basic {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Complex(f64, f64),
    String(crate::value::Str),
    /// Nothing that has an order or a plain equality
    Beyond,
}

fn basic(value: &Value) -> Basic {
    match value {
        Value::Bool(truth) => Basic::Bool(*truth),
        Value::Int(number, _) => Basic::Int(*number),
        Value::Uint(number, _) => Basic::Uint(*number),
        Value::Float(number) => Basic::Float(*number),
        Value::Complex(real, imaginary) => Basic::Complex(*real, *imaginary),
        Value::String(text) => Basic::String(text.clone()),
        Value::Object(object) => object.scalar().map_or(Basic::Beyond, |plain| basic(&plain)),
        Value::Nil | Value::List(_) | Value::Map(_) => Basic::Beyond,
    }
}

const BAD_TYPE: &str = "invalid type for comparison";

fn incompatible(one: &Value, two: &Value) -> Failure {
    Failure::new(format!("incompatible types for comparison: {} and {}", one.type_name(), two.type_name()))
}

/// `eq`: whether the first equals any of the others.
pub(super) fn eq(first: Slot, others: Vec<Slot>) -> Result<bool, Failure> {
    let first = first.value();
    if others.is_empty() {
        return Err(Failure::new("missing argument for comparison"));
    }
    for other in others {
        if equal(&first, &other.value())? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[expect(clippy::float_cmp, reason = "as Go compares")]
fn equal(one: &Value, two: &Value) -> Result<bool, Failure> {
    Ok(match (basic(one), basic(two)) {
        (Basic::Bool(a), Basic::Bool(b)) => a == b,
        (Basic::Int(a), Basic::Int(b)) => a == b,
        (Basic::Uint(a), Basic::Uint(b)) => a == b,
        (Basic::Float(a), Basic::Float(b)) => a == b,
        (Basic::Complex(a, b), Basic::Complex(c, d)) => a == c && b == d,
        (Basic::String(a), Basic::String(b)) => a == b,
        (Basic::Int(a), Basic::Uint(b)) | (Basic::Uint(b), Basic::Int(a)) => u64::try_from(a) == Ok(b),
        (Basic::Beyond, Basic::Beyond) => return beyond(one, two),
        _ if one.is_nil() || two.is_nil() => false,
        _ => return Err(incompatible(one, two)),
    })
}

fn beyond(one: &Value, two: &Value) -> Result<bool, Failure> {
    if !one.is_nil() && !two.is_nil() && one.kind() != two.kind() {
        let (a, b) = (string_verb(one), print::display(two));
        return Err(Failure::new(format!("non-comparable types {a}: {}, {}: {b}", one.type_name(), two.type_name())));
    }
    if one.is_any_nil() || two.is_any_nil() {
        return Ok(one.is_any_nil() == two.is_any_nil());
    }
    match (one, two) {
        (Value::Object(a), Value::Object(b)) => {
            if a.kind() == Kind::Pointer {
                return Ok(std::rc::Rc::ptr_eq(a, b));
            }
            Ok(a.type_name() == b.type_name() && format!("{a:?}") == format!("{b:?}"))
        }
        _ => Err(Failure::new(format!("non-comparable type {}: {}", string_verb(two), two.type_name()))),
    }
}

fn string_verb(value: &Value) -> crate::value::Str {
    print::sprintf(b"%s", std::slice::from_ref(value)).into()
}

/// `lt`.
pub(super) fn lt(one: &Value, two: &Value) -> Result<bool, Failure> {
    Ok(match (basic(one), basic(two)) {
        (Basic::Beyond, _) | (_, Basic::Beyond) => return Err(Failure::new(BAD_TYPE)),
        (Basic::Bool(_), Basic::Bool(_)) | (Basic::Complex(..), Basic::Complex(..)) => return Err(Failure::new(BAD_TYPE)),
        (Basic::Float(a), Basic::Float(b)) => a < b,
        (Basic::Int(a), Basic::Int(b)) => a < b,
        (Basic::Uint(a), Basic::Uint(b)) => a < b,
        (Basic::String(a), Basic::String(b)) => a < b,
        (Basic::Int(a), Basic::Uint(b)) => u64::try_from(a).map_or(true, |a| a < b),
        (Basic::Uint(a), Basic::Int(b)) => u64::try_from(b).is_ok_and(|b| a < b),
        _ => return Err(incompatible(one, two)),
    })
}

/// `le`.
pub(super) fn le(one: &Value, two: &Value) -> Result<bool, Failure> {
    Ok(lt(one, two)? || equal(one, two)?)
}

//! Arithmetic on integers and floats. Whatever is given is read as a number, by Go's `cast`; what is none is zero.

use super::shown::plain;
use super::{Call, Failure, Function, limits};
use crate::golang::decimal::{Decimal, DecimalError};
use crate::golang::number::{self, NumberError};
use crate::value::{INT, List, Type, Value};

const ANY: Type = Type::Any;
const INTS: Type = Type::List(&INT);

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::many("add", &[ANY], "The sum.", |_, args| Ok(fold(0, args, i64::wrapping_add))),
    Function::fixed("add1", &[ANY], "One more.", |_, args| Ok(Value::int64(to_int64(&args[0]).wrapping_add(1)))),
    Function::fixed("add1f", &[ANY], "One more, with decimals.", |_, args| {
        decimal(&args[0], &[Value::int(1)], |a, b| Ok(a.plus(b)))
    }),
    Function::many("addf", &[ANY], "The sum, with decimals.", |_, args| decimal(&Value::Float(0.0), args, |a, b| Ok(a.plus(b)))),
    Function::fixed("atoi", &[Type::String], "A text as integer, or zero.", atoi),
    Function::many("biggest", &[ANY, ANY], "As max.", |_, args| Ok(fold(to_int64(&args[0]), &args[1..], i64::max))),
    Function::fixed("ceil", &[ANY], "The next whole number above.", |_, args| Ok(to_float(&args[0]).ceil().into())),
    Function::fixed("div", &[ANY, ANY], "The whole quotient.", |_, args| divided(args, i64::wrapping_div)),
    Function::many("divf", &[ANY, ANY], "The quotient, with decimals.", |_, args| decimal(&args[0], &args[1..], Decimal::over)),
    Function::fixed("float64", &[ANY], "A value as float64.", |_, args| Ok(to_float(&args[0]).into())),
    Function::fixed("floor", &[ANY], "The next whole number below.", |_, args| Ok(to_float(&args[0]).floor().into())),
    Function::fixed("int", &[ANY], "A value as int.", |_, args| Ok(Value::int(to_int(&args[0])))),
    Function::fixed("int64", &[ANY], "A value as int64.", |_, args| Ok(Value::int64(to_int64(&args[0])))),
    Function::many("max", &[ANY, ANY], "The greatest integer.", |_, args| Ok(fold(to_int64(&args[0]), &args[1..], i64::max))),
    Function::many("maxf", &[ANY, ANY], "The greatest float.", |_, args| Ok(extreme(args, false))),
    Function::many("min", &[ANY, ANY], "The least integer.", |_, args| Ok(fold(to_int64(&args[0]), &args[1..], i64::min))),
    Function::many("minf", &[ANY, ANY], "The least float.", |_, args| Ok(extreme(args, true))),
    Function::fixed("mod", &[ANY, ANY], "The remainder of a division.", |_, args| divided(args, i64::wrapping_rem)),
    Function::many("mul", &[ANY, ANY], "The product.", |_, args| Ok(fold(to_int64(&args[0]), &args[1..], i64::wrapping_mul))),
    Function::many("mulf", &[ANY, ANY], "The product, with decimals.", |_, args| {
        decimal(&args[0], &args[1..], |a, b| Ok(a.times(b)))
    }),
    Function::many("round", &[ANY, INT, Type::Float], "A float rounded to digits behind the point.", round),
    Function::many("seq", &[INT], "A run of integers as text.", seq),
    Function::fixed("sub", &[ANY, ANY], "The difference.", |_, args| {
        Ok(Value::int64(to_int64(&args[0]).wrapping_sub(to_int64(&args[1]))))
    }),
    Function::many("subf", &[ANY, ANY], "The difference, with decimals.", |_, args| {
        decimal(&args[0], &args[1..], |a, b| Ok(a.minus(b)))
    }),
    Function::fixed("toDecimal", &[ANY], "A Unix octal as decimal.", to_decimal),
    Function::fixed("until", &[INT], "The integers from zero up to below a count.", until),
    Function::fixed("untilStep", &[INT, INT, INT], "The integers from one up to below another, by steps.", until_step),
];

type Answer = Result<Value, Failure>;

/// A value as integer.
pub fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Bool(truth) => i64::from(*truth),
        Value::Int(number, _) => *number,
        Value::Uint(number, _) => *number as i64,
        Value::Float(number) => number::truncate(*number),
        Value::String(text) => number::parse_int(without_zero_decimals(text), 0).unwrap_or(0),
        Value::Object(object) if matches!(object.type_name(), "time.Month" | "time.Weekday") => {
            object.scalar().map_or(0, |scalar| to_int64(&scalar))
        }
        _ => 0,
    }
}

/// A value as `int`, which is as wide.
pub fn to_int(value: &Value) -> i64 {
    to_int64(value)
}

/// A value as float.
pub fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(number) => *number,
        Value::Uint(number, _) => *number as f64,
        Value::String(text) => number::parse_float(text).unwrap_or(0.0),
        _ => to_int64(value) as f64,
    }
}

/// `12.00` is an integer: the zeros behind the point go.
fn without_zero_decimals(text: &[u8]) -> &[u8] {
    let zeros = text.iter().rev().take_while(|byte| **byte == b'0').count();
    match text[..text.len() - zeros] {
        [ref whole @ .., b'.'] if zeros > 0 => whole,
        _ => text,
    }
}

fn fold(start: i64, args: &[Value], operation: fn(i64, i64) -> i64) -> Value {
    Value::int64(args.iter().map(to_int64).fold(start, operation))
}

fn divided(args: &[Value], operation: fn(i64, i64) -> i64) -> Answer {
    match to_int64(&args[1]) {
        0 => Err("runtime error: integer divide by zero".into()),
        divisor => Ok(Value::int64(operation(to_int64(&args[0]), divisor))),
    }
}

fn decimal(start: &Value, args: &[Value], operation: fn(&Decimal, &Decimal) -> Result<Decimal, DecimalError>) -> Answer {
    let calculate = || {
        let mut result = Decimal::of(to_float(start))?;
        for value in args {
            result = operation(&result, &Decimal::of(to_float(value))?)?;
        }
        Ok(result.to_float().into())
    };
    calculate().map_err(|error: DecimalError| Failure::new(error.to_string()))
}

fn atoi(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(Value::int(match number::parse_int(&args[0].as_text(), 10) {
        Ok(number) | Err(NumberError::Range(number)) => number,
        Err(NumberError::Syntax) => 0,
    }))
}

fn extreme(args: &[Value], least: bool) -> Value {
    let mut numbers = args.iter().map(to_float);
    let first = numbers.next().unwrap_or(0.0);
    numbers
        .fold(first, |one, other| {
            let limit = if least { f64::NEG_INFINITY } else { f64::INFINITY };
            if one == limit || other == limit {
                limit
            } else if one.is_nan() || other.is_nan() {
                f64::NAN
            } else if one == 0.0 && other == 0.0 {
                if one.is_sign_negative() == least { one } else { other }
            } else if (one < other) == least {
                one
            } else {
                other
            }
        })
        .into()
}

/// Ten to a power, multiplied up as Go's `math.Pow` does, so that the last bit is the same.
fn ten_to(power: i64) -> f64 {
    let (mut result, mut result_exponent) = (1.0f64, 0i64);
    let (mut base, mut base_exponent) = (0.625f64, 4i64);
    let mut left = power.unsigned_abs();
    while left != 0 {
        if base_exponent.abs() > 1 << 12 {
            result_exponent += base_exponent;
            break;
        }
        if left & 1 == 1 {
            result *= base;
            result_exponent += base_exponent;
        }
        base *= base;
        base_exponent <<= 1;
        if base < 0.5 {
            base += base;
            base_exponent -= 1;
        }
        left >>= 1;
    }
    if power < 0 {
        result = 1.0 / result;
        result_exponent = -result_exponent;
    }
    let exponent = result_exponent.clamp(-3000, 3000) as i32;
    let half = exponent / 2;
    result * 2f64.powi(half) * 2f64.powi(exponent - half)
}

fn round(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let round_on = args.get(2).map_or(0.5, Value::as_float);
    let scale = ten_to(args[1].as_int());
    let scaled = scale * to_float(&args[0]);
    let fraction = if scaled.is_infinite() { f64::NAN } else { scaled - scaled.trunc() };
    let rounded = if fraction >= round_on { scaled.ceil() } else { scaled.floor() };
    Ok((rounded / scale).into())
}

fn to_decimal(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(Value::int64(number::parse_int(&plain(&args[0]), 8).unwrap_or(0)))
}

/// The integers from `start` to before `stop`.
fn steps(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, Failure> {
    let forward = stop >= start;
    if forward && step <= 0 || !forward && step >= 0 {
        return Ok(Vec::new());
    }
    let span = (i128::from(stop) - i128::from(start)).unsigned_abs();
    let count = span.div_ceil(u128::from(step.unsigned_abs()));
    let count = limits::list(usize::try_from(count).unwrap_or(usize::MAX))?;
    Ok((0..count as i64).map(|index| start.wrapping_add(index.wrapping_mul(step))).collect())
}

fn ints(numbers: Vec<i64>) -> Value {
    List::of(INTS, numbers.into_iter().map(Value::int).collect()).into()
}

fn until(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let count = args[0].as_int();
    Ok(ints(steps(0, count, if count < 0 { -1 } else { 1 })?))
}

fn until_step(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(ints(steps(args[0].as_int(), args[1].as_int(), args[2].as_int())?))
}

fn seq(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let number = |index: usize| args[index].as_int();
    let (start, end, step) = match args.len() {
        1 => (1, number(0), None),
        2 => (number(0), number(1), None),
        3 => (number(0), number(2), Some(number(1))),
        _ => return Ok("".into()),
    };
    let direction = if end < start { -1 } else { 1 };
    if direction < 0 && step.is_some_and(|step| step > 0) {
        return Ok("".into());
    }
    let numbers = steps(start, end.wrapping_add(direction), step.unwrap_or(direction))?;
    Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ").into())
}

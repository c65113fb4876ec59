//! Helm's functions on durations: texts, seconds and durations in, numbers and durations out.

use super::super::{Call, Failure, Function};
use super::objects::{Span, span_of};
use crate::golang::duration::{self, SECOND};
use crate::golang::number;
use crate::golang::runes;
use crate::print::quote::quoted as quote;
use crate::value::{Type, Value};

const ANY: Type = Type::Any;

/// The functions.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("durationDays", &[ANY], "A duration in days.", |_, args| Ok((duration::hours(or_zero(args)) / 24.0).into())),
    Function::fixed("durationHours", &[ANY], "A duration in hours.", |_, args| Ok(duration::hours(or_zero(args)).into())),
    Function::fixed("durationMicroseconds", &[ANY], "A duration in microseconds.", |_, args| {
        Ok(Value::int64(or_zero(args) / 1_000))
    }),
    Function::fixed("durationMilliseconds", &[ANY], "A duration in milliseconds.", |_, args| {
        Ok(Value::int64(or_zero(args) / 1_000_000))
    }),
    Function::fixed("durationMinutes", &[ANY], "A duration in minutes.", |_, args| Ok(duration::minutes(or_zero(args)).into())),
    Function::fixed("durationNanoseconds", &[ANY], "A duration in nanoseconds.", |_, args| Ok(Value::int64(or_zero(args)))),
    Function::fixed("durationRoundTo", &[ANY, ANY], "A duration rounded to a multiple of another.", |_, args| {
        Ok(by_unit(args, duration::round))
    }),
    Function::fixed("durationSeconds", &[ANY], "A duration in seconds.", |_, args| Ok(duration::seconds(or_zero(args)).into())),
    Function::fixed("durationTruncateTo", &[ANY, ANY], "A duration cut to a multiple of another.", |_, args| {
        Ok(by_unit(args, duration::truncate))
    }),
    Function::fixed("durationWeeks", &[ANY], "A duration in weeks.", |_, args| {
        Ok((duration::hours(or_zero(args)) / 24.0 / 7.0).into())
    }),
    Function::fixed("mustToDuration", &[ANY], "A duration of a text or of seconds.", must_to_duration),
];

fn or_zero(args: &[Value]) -> i64 {
    nanoseconds(&args[0]).unwrap_or(0)
}

fn by_unit(args: &[Value], change: fn(i64, i64) -> i64) -> Value {
    let changed = nanoseconds(&args[0]).map(|amount| nanoseconds(&args[1]).map_or(amount, |unit| change(amount, unit)));
    Value::object(Span(changed.unwrap_or(0)))
}

fn must_to_duration(_: &mut Call<'_>, args: &[Value]) -> Result<Value, Failure> {
    Ok(Value::object(Span(nanoseconds(&args[0])?)))
}

/// Whole seconds beyond which there is no duration.
const SECONDS_MAX: i64 = i64::MAX / SECOND;

fn nanoseconds(value: &Value) -> Result<i64, Failure> {
    let overflow = |shown: String| Failure::new(format!("duration seconds overflow: {shown}"));
    match value {
        Value::Nil => Err("invalid duration".into()),
        Value::String(text) => of_text(text),
        Value::Int(seconds, _) if seconds.unsigned_abs() > SECONDS_MAX as u64 => Err(overflow(seconds.to_string())),
        Value::Int(seconds, _) => Ok(seconds * SECOND),
        Value::Uint(seconds, _) if *seconds > SECONDS_MAX as u64 => Err(overflow(seconds.to_string())),
        Value::Uint(seconds, _) => Ok(*seconds as i64 * SECOND),
        Value::Float(seconds) => of_float(*seconds),
        Value::Object(object) => match (span_of(value), object.scalar()) {
            (Some(span), _) => Ok(span),
            (None, Some(scalar)) => nanoseconds(&scalar),
            (None, None) => Err(Failure::new(format!("unsupported duration type {}", value.type_name()))),
        },
        _ => Err(Failure::new(format!("unsupported duration type {}", value.type_name()))),
    }
}

fn of_text(text: &[u8]) -> Result<i64, Failure> {
    let trimmed = runes::trim(text, char::is_whitespace);
    if trimmed.is_empty() {
        return Err("empty duration".into());
    }
    if let Ok(nanoseconds) = duration::parse(trimmed) {
        return Ok(nanoseconds);
    }
    let seconds = number::parse_float(trimmed);
    seconds.map_or_else(|| Err(Failure::new(format!("could not parse duration {}", quote(text)))), of_float)
}

fn of_float(seconds: f64) -> Result<i64, Failure> {
    let shown = || number::format_g(seconds);
    if !seconds.is_finite() {
        return Err(Failure::new(format!("invalid duration seconds: {}", shown())));
    }
    let limit = i64::MAX as f64;
    if seconds.abs() > limit / SECOND as f64 {
        return Err(Failure::new(format!("duration seconds overflow: {}", shown())));
    }
    let nanoseconds = seconds * SECOND as f64;
    if nanoseconds.abs() > limit {
        return Err(Failure::new(format!("duration nanoseconds overflow: {}", number::format_g(nanoseconds))));
    }
    Ok(number::truncate(nanoseconds))
}

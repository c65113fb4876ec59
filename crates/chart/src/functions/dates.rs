//! Dates and durations, by Go's layouts. The clock and the local zone are the caller's facts.

use super::{Call, Failure, Function};
use crate::golang::duration::{self, SECOND};
use crate::golang::layout;
use crate::golang::moment::{Moment, Zone};
use crate::golang::number;
use crate::value::{IntKind, Str, Type, Value};

mod helm_durations;
mod objects;

pub use objects::{TIME, Time};

const ANY: Type = Type::Any;
const TEXT: Type = Type::String;

/// The family.
pub const FUNCTIONS: &[Function] = &[
    Function::fixed("ago", &[ANY], "How long ago a date was.", ago),
    Function::fixed("date", &[TEXT, ANY], "A date by a layout.", |call, args| {
        in_zone(call, &args[0].as_text(), &args[1], b"Local")
    }),
    Function::fixed("dateInZone", &[TEXT, ANY, TEXT], "A date by a layout, in a zone.", date_in_zone),
    Function::fixed("dateModify", &[TEXT, TIME], "A date moved by a duration.", date_modify),
    Function::fixed("date_in_zone", &[TEXT, ANY, TEXT], "As dateInZone.", date_in_zone),
    Function::fixed("date_modify", &[TEXT, TIME], "As dateModify.", date_modify),
    Function::fixed("duration", &[ANY], "Seconds as a duration.", of_seconds),
    Function::fixed("durationRound", &[ANY], "A duration by its largest unit.", round_to_unit),
    Function::fixed("htmlDate", &[ANY], "A date as HTML forms take it.", |call, args| in_zone(call, HTML, &args[0], b"Local")),
    Function::fixed("htmlDateInZone", &[ANY, TEXT], "As htmlDate, in a zone.", |call, args| {
        in_zone(call, HTML, &args[0], &args[1].as_text())
    }),
    Function::fixed("mustDateModify", &[TEXT, TIME], "As dateModify; a bad duration is an error.", must_date_modify),
    Function::fixed("mustToDate", &[TEXT, TEXT], "As toDate; a bad date is an error.", |call, args| {
        read_date(call, args).map_err(|error| Failure::new(error.to_string()))
    }),
    Function::fixed("must_date_modify", &[TEXT, TIME], "As mustDateModify.", must_date_modify),
    Function::fixed("now", &[], "The time.", |call, _| Ok(Value::object(Time(now(call))))),
    Function::fixed(
        "toDate",
        &[TEXT, TEXT],
        "A date of a text by a layout; the first date of all where it is none.",
        |call, args| Ok(read_date(call, args).unwrap_or_else(|_| Value::object(Time(Moment::zero())))),
    ),
    Function::fixed("unixEpoch", &[TIME], "The seconds since 1970 of a date.", |_, args| {
        Ok(moment_of(&args[0]).map_or(0, |moment| moment.seconds).to_string().into())
    }),
];

/// Helm's own functions on durations.
pub const DURATION_FUNCTIONS: &[Function] = helm_durations::FUNCTIONS;

type Answer = Result<Value, Failure>;

const HTML: &[u8] = b"2006-01-02";

/// The instant that a value is, where it is a `time.Time`.
pub fn moment_of(value: &Value) -> Option<Moment> {
    value.downcast::<Time>().map(|time| time.0.clone())
}

fn now(call: &Call<'_>) -> Moment {
    Moment::of_clock(call.facts.now(), Zone::local(&call.facts.zone()))
}

/// What Sprig takes a value for: a date, or seconds since 1970. Anything else is now.
fn taken_for_date(call: &Call<'_>, value: &Value, widths: &[IntKind]) -> Moment {
    match value {
        Value::Int(seconds, width) if widths.contains(width) => Moment::at(*seconds, Zone::local(&call.facts.zone())),
        _ => moment_of(value).unwrap_or_else(|| now(call)),
    }
}

fn in_zone(call: &mut Call<'_>, layout: &[u8], date: &Value, zone: &[u8]) -> Answer {
    let moment = taken_for_date(call, date, &[IntKind::Int, IntKind::Int32, IntKind::Int64]);
    let name = String::from_utf8_lossy(zone);
    let zone = Zone::named(&name, &call.facts.zone()).unwrap_or(Zone::Utc);
    Ok(Str::from(layout::write(&moment.seen_from(zone), layout)).into())
}

fn date_in_zone(call: &mut Call<'_>, args: &[Value]) -> Answer {
    in_zone(call, &args[0].as_text(), &args[1], &args[2].as_text())
}

fn moved(args: &[Value], by: i64) -> Value {
    Value::object(Time(moment_of(&args[1]).unwrap_or_else(Moment::zero).plus(by)))
}

fn date_modify(_: &mut Call<'_>, args: &[Value]) -> Answer {
    Ok(duration::parse(&args[0].as_text()).map_or_else(|_| args[1].clone(), |by| moved(args, by)))
}

fn must_date_modify(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let by = duration::parse(&args[0].as_text()).map_err(|error| Failure::new(error.to_string()))?;
    Ok(moved(args, by))
}

fn read_date(call: &Call<'_>, args: &[Value]) -> Result<Value, layout::LayoutError> {
    let zone = Zone::local(&call.facts.zone());
    layout::read(&args[0].as_text(), &args[1].as_text(), &zone).map(|moment| Value::object(Time(moment)))
}

fn ago(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let moment = taken_for_date(call, &args[0], &[IntKind::Int, IntKind::Int64]);
    Ok(duration::format(duration::round(now(call).since(&moment), SECOND)).into())
}

fn of_seconds(_: &mut Call<'_>, args: &[Value]) -> Answer {
    let seconds = match &args[0] {
        Value::Int(seconds, IntKind::Int64) => *seconds,
        Value::String(text) => match number::parse_int(text, 10) {
            Ok(seconds) | Err(number::NumberError::Range(seconds)) => seconds,
            Err(number::NumberError::Syntax) => 0,
        },
        _ => 0,
    };
    Ok(duration::format(seconds.wrapping_mul(SECOND)).into())
}

fn round_to_unit(call: &mut Call<'_>, args: &[Value]) -> Answer {
    let nanoseconds = match &args[0] {
        Value::String(text) => duration::parse(text).unwrap_or(0),
        Value::Int(nanoseconds, IntKind::Int64) => *nanoseconds,
        value => moment_of(value).map_or(0, |moment| now(call).since(&moment)),
    };
    let amount = nanoseconds.unsigned_abs();
    let hour = 3600 * SECOND as u64;
    let units =
        [(hour * 24 * 365, "y"), (hour * 24 * 30, "mo"), (hour * 24, "d"), (hour, "h"), (hour / 60, "m"), (hour / 3600, "s")];
    let unit = units.iter().find(|(unit, _)| amount > *unit);
    Ok(unit.map_or_else(|| "0s".to_owned(), |(unit, name)| format!("{}{name}", amount / unit)).into())
}

//! Go's `time.Time`, `time.Duration`, `time.Month` and `time.Weekday` as templates hold them, with their methods.

use std::any::Any;

use super::super::{Failure, Function};
use crate::golang::duration;
use crate::golang::layout::{self, PLAIN, RFC3339_NANO};
use crate::golang::moment::{Moment, Zone, days_from_civil};
use crate::value::{INT, INT64, Kind, Object, Str, Type, Value};

/// `time.Time`
pub const TIME: Type = Type::Object("time.Time");
/// `time.Duration`
pub const DURATION: Type = Type::Object("time.Duration");

/// A `time.Time`.
#[derive(Clone, Debug)]
pub struct Time(pub Moment);

/// A `time.Duration`, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Span(pub i64);

/// A `time.Month` or `time.Weekday`.
#[derive(Clone, Copy, Debug)]
struct Named {
    type_name: &'static str,
    number: i64,
    name: &'static str,
}

/// The nanoseconds of a value, where it is a `time.Duration`.
pub fn span_of(value: &Value) -> Option<i64> {
    value.downcast::<Span>().map(|span| span.0)
}

impl Object for Time {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn methods(&self) -> &'static [Function] {
        TIME_METHODS
    }

    fn print(&self) -> Option<Str> {
        let mut text = layout::write(&self.0, PLAIN.as_bytes());
        if self.0.from_clock {
            // Go shows how long the program has run; here no program runs that could be asked.
            text.extend_from_slice(b" m=+0.000000001");
        }
        Some(text.into())
    }

    fn to_json(&self) -> Value {
        Str::from(layout::write(&self.0, RFC3339_NANO.as_bytes())).into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Span {
    fn type_name(&self) -> &'static str {
        "time.Duration"
    }

    fn kind(&self) -> Kind {
        INT64.kind()
    }

    fn methods(&self) -> &'static [Function] {
        SPAN_METHODS
    }

    fn print(&self) -> Option<Str> {
        Some(duration::format(self.0).into())
    }

    fn scalar(&self) -> Option<Value> {
        Some(Value::int64(self.0))
    }

    fn to_json(&self) -> Value {
        Value::int64(self.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Object for Named {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn kind(&self) -> Kind {
        INT.kind()
    }

    fn methods(&self) -> &'static [Function] {
        NAMED_METHODS
    }

    fn print(&self) -> Option<Str> {
        Some(self.name.into())
    }

    fn scalar(&self) -> Option<Value> {
        Some(Value::int(self.number))
    }

    fn to_json(&self) -> Value {
        Value::int(self.number)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

type Answer = Result<Value, Failure>;

fn own(args: &[Value]) -> Moment {
    moment(&args[0])
}

fn moment(value: &Value) -> Moment {
    super::moment_of(value).unwrap_or_else(Moment::zero)
}

fn time(moment: Moment) -> Answer {
    Ok(Value::object(Time(moment)))
}

fn nanoseconds(value: &Value) -> i64 {
    span_of(value).unwrap_or(0)
}

fn ordering(args: &[Value]) -> std::cmp::Ordering {
    let key = |moment: Moment| (moment.seconds, moment.nanoseconds);
    key(own(args)).cmp(&key(moment(&args[1])))
}

/// Years, months and days later, days beyond a month running over as in Go.
fn add_date(args: &[Value]) -> Answer {
    let it = own(args);
    let civil = it.civil();
    let months = (i64::from(civil.month) - 1).saturating_add(args[2].as_int());
    let year =
        civil.year.saturating_add(args[1].as_int()).saturating_add(months.div_euclid(12)).clamp(-1_000_000_000, 1_000_000_000);
    let days = days_from_civil(year, months.rem_euclid(12) as u32 + 1, 1)
        .saturating_add(i64::from(civil.day) - 1)
        .saturating_add(args[3].as_int())
        .clamp(-100_000_000_000_000, 100_000_000_000_000);
    let written = days * 86_400 + i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second);
    let guess = written - it.zone.at(written).0;
    time(Moment { seconds: written - it.zone.at(guess).0, from_clock: false, ..it })
}

/// To a multiple of a duration since the first instant that Go knows.
fn to_multiple(args: &[Value], rounded: bool) -> Answer {
    let it = Moment { from_clock: false, ..own(args) };
    let unit = i128::from(nanoseconds(&args[1]));
    if unit <= 0 {
        return time(it);
    }
    let since = (i128::from(it.seconds) - i128::from(Moment::zero().seconds)) * 1_000_000_000 + i128::from(it.nanoseconds);
    let rest = since.rem_euclid(unit);
    let by = if rounded && rest + rest >= unit { unit - rest } else { -rest };
    time(it.plus(by as i64))
}

const TIME_METHODS: &[Function] = &[
    Function::fixed("Add", &[DURATION], "Later by a duration.", |_, args| time(own(args).plus(nanoseconds(&args[1])))),
    Function::fixed("AddDate", &[INT, INT, INT], "Later by years, months and days.", |_, args| add_date(args)),
    Function::fixed("After", &[TIME], "Whether it comes after.", |_, args| Ok(ordering(args).is_gt().into())),
    Function::fixed("Before", &[TIME], "Whether it comes before.", |_, args| Ok(ordering(args).is_lt().into())),
    Function::fixed("Compare", &[TIME], "The order, as -1, 0 or 1.", |_, args| Ok(Value::int(ordering(args) as i64))),
    Function::fixed("Day", &[], "The day of the month.", |_, args| Ok(Value::int(own(args).civil().day.into()))),
    Function::fixed("Equal", &[TIME], "Whether both are one instant.", |_, args| Ok(ordering(args).is_eq().into())),
    Function::fixed("Format", &[Type::String], "By a layout.", |_, args| {
        Ok(Str::from(layout::write(&own(args), &args[1].as_text())).into())
    }),
    Function::fixed("Hour", &[], "The hour.", |_, args| Ok(Value::int(own(args).civil().hour.into()))),
    Function::fixed("IsZero", &[], "Whether it is the first instant of all.", |_, args| Ok(own(args).is_zero().into())),
    Function::fixed("Local", &[], "In the local zone.", |call, args| time(own(args).seen_from(Zone::local(&call.facts.zone())))),
    Function::fixed("Minute", &[], "The minute.", |_, args| Ok(Value::int(own(args).civil().minute.into()))),
    Function::fixed("Month", &[], "The month.", |_, args| {
        let month = own(args).civil().month;
        Ok(Value::object(Named { type_name: "time.Month", number: month.into(), name: layout::month_name(month) }))
    }),
    Function::fixed("Nanosecond", &[], "The nanosecond.", |_, args| Ok(Value::int(own(args).nanoseconds.into()))),
    Function::fixed("Round", &[DURATION], "To the nearest multiple.", |_, args| to_multiple(args, true)),
    Function::fixed("Second", &[], "The second.", |_, args| Ok(Value::int(own(args).civil().second.into()))),
    Function::fixed("String", &[], "In full.", |_, args| Ok(Time(own(args)).print().unwrap_or_default().into())),
    Function::fixed("Sub", &[TIME], "The duration since another.", |_, args| {
        Ok(Value::object(Span(own(args).since(&moment(&args[1])))))
    }),
    Function::fixed("Truncate", &[DURATION], "Down to a multiple.", |_, args| to_multiple(args, false)),
    Function::fixed("UTC", &[], "In universal time.", |_, args| time(own(args).seen_from(Zone::Utc))),
    Function::fixed("Unix", &[], "Seconds since 1970.", |_, args| Ok(Value::int64(own(args).seconds))),
    Function::fixed("UnixMicro", &[], "Microseconds since 1970.", |_, args| Ok(since_1970(args, 1_000_000))),
    Function::fixed("UnixMilli", &[], "Milliseconds since 1970.", |_, args| Ok(since_1970(args, 1_000))),
    Function::fixed("UnixNano", &[], "Nanoseconds since 1970.", |_, args| Ok(since_1970(args, 1_000_000_000))),
    Function::fixed("Weekday", &[], "The day of the week.", |_, args| {
        let day = own(args).civil().weekday;
        Ok(Value::object(Named { type_name: "time.Weekday", number: day.into(), name: layout::weekday_name(day) }))
    }),
    Function::fixed("Year", &[], "The year.", |_, args| Ok(Value::int(own(args).civil().year))),
    Function::fixed("YearDay", &[], "The day of the year.", |_, args| Ok(Value::int(own(args).civil().year_day.into()))),
];

fn since_1970(args: &[Value], units_of_second: i64) -> Value {
    let it = own(args);
    let part = i64::from(it.nanoseconds) / (1_000_000_000 / units_of_second);
    Value::int64(it.seconds.wrapping_mul(units_of_second).wrapping_add(part))
}

fn own_span(args: &[Value]) -> i64 {
    nanoseconds(&args[0])
}

const SPAN_METHODS: &[Function] = &[
    Function::fixed("Abs", &[], "Without its sign.", |_, args| Ok(Value::object(Span(own_span(args).saturating_abs())))),
    Function::fixed("Hours", &[], "In hours.", |_, args| Ok(duration::hours(own_span(args)).into())),
    Function::fixed("Microseconds", &[], "In microseconds.", |_, args| Ok(Value::int64(own_span(args) / 1_000))),
    Function::fixed("Milliseconds", &[], "In milliseconds.", |_, args| Ok(Value::int64(own_span(args) / 1_000_000))),
    Function::fixed("Minutes", &[], "In minutes.", |_, args| Ok(duration::minutes(own_span(args)).into())),
    Function::fixed("Nanoseconds", &[], "In nanoseconds.", |_, args| Ok(Value::int64(own_span(args)))),
    Function::fixed("Round", &[DURATION], "To the nearest multiple.", |_, args| {
        Ok(Value::object(Span(duration::round(own_span(args), nanoseconds(&args[1])))))
    }),
    Function::fixed("Seconds", &[], "In seconds.", |_, args| Ok(duration::seconds(own_span(args)).into())),
    Function::fixed("String", &[], "As text.", |_, args| Ok(duration::format(own_span(args)).into())),
    Function::fixed("Truncate", &[DURATION], "Toward zero to a multiple.", |_, args| {
        Ok(Value::object(Span(duration::truncate(own_span(args), nanoseconds(&args[1])))))
    }),
];

const NAMED_METHODS: &[Function] = &[Function::fixed("String", &[], "The name.", |_, args| {
    Ok(args[0].downcast::<Named>().map_or("", |named| named.name).into())
})];

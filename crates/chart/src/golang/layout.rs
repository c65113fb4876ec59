//! Go's reference-time layouts: writing an instant by one. Reading stands in `layout/read.rs`.

use super::moment::{Civil, Moment};

mod read;

pub use read::{LayoutError, read};

/// The layout that instants print in.
pub const PLAIN: &str = "2006-01-02 15:04:05.999999999 -0700 MST";
/// What JSON has.
pub const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

pub(super) const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A month's name.
pub fn month_name(month: u32) -> &'static str {
    MONTHS[(month as usize + 11) % 12]
}

/// A weekday's name, from Sunday.
pub fn weekday_name(day: u32) -> &'static str {
    DAYS[day as usize % 7]
}

/// One element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    Abbreviation,
    Offset {
        z_for_utc: bool,
        colon: bool,
        parts: u8,
    },
    /// A separator and a number of digits; trimmed of zeros at the end, or not.
    Fraction {
        separator: u8,
        digits: usize,
        trimmed: bool,
    },
}

const FIXED: [(&[u8], Element); 29] = [
    (b"Z070000", Element::Offset { z_for_utc: true, colon: false, parts: 3 }),
    (b"Z07:00:00", Element::Offset { z_for_utc: true, colon: true, parts: 3 }),
    (b"Z0700", Element::Offset { z_for_utc: true, colon: false, parts: 2 }),
    (b"Z07:00", Element::Offset { z_for_utc: true, colon: true, parts: 2 }),
    (b"Z07", Element::Offset { z_for_utc: true, colon: false, parts: 1 }),
    (b"-070000", Element::Offset { z_for_utc: false, colon: false, parts: 3 }),
    (b"-07:00:00", Element::Offset { z_for_utc: false, colon: true, parts: 3 }),
    (b"-0700", Element::Offset { z_for_utc: false, colon: false, parts: 2 }),
    (b"-07:00", Element::Offset { z_for_utc: false, colon: true, parts: 2 }),
    (b"-07", Element::Offset { z_for_utc: false, colon: false, parts: 1 }),
    (b"MST", Element::Abbreviation),
    (b"01", Element::ZeroMonth),
    (b"02", Element::ZeroDay),
    (b"03", Element::ZeroHour12),
    (b"04", Element::ZeroMinute),
    (b"05", Element::ZeroSecond),
    (b"06", Element::Year),
    (b"002", Element::ZeroYearDay),
    (b"15", Element::Hour),
    (b"1", Element::NumMonth),
    (b"2006", Element::LongYear),
    (b"2", Element::Day),
    (b"__2", Element::UnderYearDay),
    (b"_2", Element::UnderDay),
    (b"3", Element::Hour12),
    (b"4", Element::Minute),
    (b"5", Element::Second),
    (b"PM", Element::UpperPm),
    (b"pm", Element::LowerPm),
];

/// The text before an element, the element with its own text, and what follows.
pub(super) type Next<'a> = (&'a [u8], Option<(Element, &'a [u8])>, &'a [u8]);

/// The next element: the text before it, the element, its own text, and what follows.
pub(super) fn next_element(layout: &[u8]) -> Next<'_> {
    for index in 0..layout.len() {
        let (start, rest) = layout.split_at(index);
        // `_2006` is an underscore and a year.
        if rest.starts_with(b"_2006") {
            continue;
        }
        if let Some((element, length)) = element_at(rest) {
            return (start, Some((element, &rest[..length])), &rest[length..]);
        }
    }
    (layout, None, &[])
}

fn element_at(rest: &[u8]) -> Option<(Element, usize)> {
    let lower_after = |length: usize| rest.get(length).is_some_and(u8::is_ascii_lowercase);
    match rest[0] {
        b'J' if rest.starts_with(b"January") => Some((Element::LongMonth, 7)),
        b'J' => (rest.starts_with(b"Jan") && !lower_after(3)).then_some((Element::Month, 3)),
        b'M' if rest.starts_with(b"Monday") => Some((Element::LongWeekDay, 6)),
        b'M' if rest.starts_with(b"Mon") => (!lower_after(3)).then_some((Element::WeekDay, 3)),
        separator @ (b'.' | b',') => fraction_at(separator, rest),
        _ => FIXED.iter().find(|(text, _)| rest.starts_with(text)).map(|(text, element)| (*element, text.len())),
    }
}

fn fraction_at(separator: u8, rest: &[u8]) -> Option<(Element, usize)> {
    let digit = *rest.get(1).filter(|digit| matches!(digit, b'0' | b'9'))?;
    let digits = rest[1..].iter().take_while(|byte| **byte == digit).count();
    let ends = !rest.get(1 + digits).is_some_and(u8::is_ascii_digit);
    ends.then_some((Element::Fraction { separator, digits, trimmed: digit == b'9' }, 1 + digits))
}

/// Writes an instant by a layout.
pub fn write(moment: &Moment, layout: &[u8]) -> Vec<u8> {
    let civil = moment.civil();
    let mut out = Vec::with_capacity(layout.len() + 10);
    let mut rest = layout;
    loop {
        let (before, element, after) = next_element(rest);
        out.extend_from_slice(before);
        let Some((element, _)) = element else { return out };
        out.extend_from_slice(written(element, &civil, moment.nanoseconds).as_bytes());
        rest = after;
    }
}

fn written(element: Element, at: &Civil, nanoseconds: u32) -> String {
    let hour12 = (at.hour + 11) % 12 + 1;
    match element {
        Element::LongMonth => month_name(at.month).to_owned(),
        Element::Month => month_name(at.month)[..3].to_owned(),
        Element::NumMonth => at.month.to_string(),
        Element::ZeroMonth => format!("{:02}", at.month),
        Element::LongWeekDay => weekday_name(at.weekday).to_owned(),
        Element::WeekDay => weekday_name(at.weekday)[..3].to_owned(),
        Element::Day => at.day.to_string(),
        Element::UnderDay => format!("{:2}", at.day),
        Element::ZeroDay => format!("{:02}", at.day),
        Element::UnderYearDay => format!("{:3}", at.year_day),
        Element::ZeroYearDay => format!("{:03}", at.year_day),
        Element::Hour => format!("{:02}", at.hour),
        Element::Hour12 => hour12.to_string(),
        Element::ZeroHour12 => format!("{hour12:02}"),
        Element::Minute => at.minute.to_string(),
        Element::ZeroMinute => format!("{:02}", at.minute),
        Element::Second => at.second.to_string(),
        Element::ZeroSecond => format!("{:02}", at.second),
        Element::LongYear if at.year < 0 => format!("-{:04}", -at.year),
        Element::LongYear => format!("{:04}", at.year),
        Element::Year => format!("{:02}", at.year.abs() % 100),
        Element::UpperPm => if at.hour >= 12 { "PM" } else { "AM" }.to_owned(),
        Element::LowerPm => if at.hour >= 12 { "pm" } else { "am" }.to_owned(),
        Element::Abbreviation if at.abbreviation.is_empty() => offset(at.offset, false, 2),
        Element::Abbreviation => at.abbreviation.clone(),
        Element::Offset { z_for_utc: true, .. } if at.offset == 0 => "Z".to_owned(),
        Element::Offset { colon, parts, .. } => offset(at.offset, colon, parts),
        Element::Fraction { separator, digits, trimmed } => fraction(nanoseconds, separator, digits, trimmed),
    }
}

fn offset(seconds: i64, colon: bool, parts: u8) -> String {
    // The sign is that of the whole minutes, as Go has it.
    let minutes = seconds / 60;
    let (sign, amount) = if minutes < 0 { ('-', -seconds) } else { ('+', seconds) };
    let colon = if colon { ":" } else { "" };
    let mut out = format!("{sign}{:02}", minutes.abs() / 60);
    if parts > 1 {
        out.push_str(&format!("{colon}{:02}", minutes.abs() % 60));
    }
    if parts > 2 {
        out.push_str(&format!("{colon}{:02}", amount % 60));
    }
    out
}

fn fraction(nanoseconds: u32, separator: u8, digits: usize, trimmed: bool) -> String {
    let all = format!("{nanoseconds:09}");
    let mut shown: String = all.chars().take(digits).collect();
    if trimmed {
        shown.truncate(shown.trim_end_matches('0').len());
        if shown.is_empty() {
            return String::new();
        }
    }
    format!("{}{shown}", char::from(separator))
}

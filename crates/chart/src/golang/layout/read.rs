//! Reading an instant by a layout, with Go's errors.

use super::super::moment::{Moment, Zone, days_from_civil, days_in, is_leap};
use super::super::quote::quote_ascii;
use super::{DAYS, Element, MONTHS, next_element};

/// Why a text is no instant of a layout; the wording is Go's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    /// An element did not match.
    #[error("parsing time {text} as {layout}: cannot parse {rest} as {element}")]
    Element {
        /// The whole text, quoted.
        text: String,
        /// The whole layout, quoted.
        layout: String,
        /// What was left of the text, quoted.
        rest: String,
        /// The element of the layout, quoted.
        element: String,
    },
    /// A number is none of the calendar, or text is left.
    #[error("parsing time {text}: {problem}")]
    Range {
        /// The whole text, quoted.
        text: String,
        /// What is wrong.
        problem: String,
    },
}

/// What was read so far. Numbers that were not given are `None`.
#[derive(Default)]
struct Parts {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanoseconds: u32,
    afternoon: Option<bool>,
    utc: bool,
    offset: Option<i64>,
    abbreviation: String,
}

/// Why an element could not be read.
enum Bad {
    Shape,
    Range(&'static str),
}

type Step<T> = Result<T, Bad>;

/// Reads an instant. Where the text names no zone it is seen from `zone`; offsets that `zone` has then are taken for it.
pub fn read(layout: &[u8], text: &[u8], zone: &Zone) -> Result<Moment, LayoutError> {
    let range = |problem: String| LayoutError::Range { text: quote_ascii(text), problem };
    let element_error = |rest: &[u8], element: &[u8]| LayoutError::Element {
        text: quote_ascii(text),
        layout: quote_ascii(layout),
        rest: quote_ascii(rest),
        element: quote_ascii(element),
    };
    let mut parts = Parts::default();
    let (mut ahead, mut rest) = (layout, text);
    loop {
        let (before, element, after) = next_element(ahead);
        rest = skip(rest, before).map_err(|left| element_error(left, before))?;
        let Some((element, shown)) = element else {
            if rest.is_empty() {
                break;
            }
            return Err(range(format!("extra text: {}", quote_ascii(rest))));
        };
        let held = rest;
        match parts.take(element, &mut rest, after) {
            Ok(()) => {}
            Err(Bad::Range(what)) => return Err(range(format!("{what} out of range"))),
            Err(Bad::Shape) => return Err(element_error(held, shown)),
        }
        ahead = after;
    }
    parts.moment(zone).map_err(|problem| range(problem.to_owned()))
}

/// Passes over literal text, any run of spaces for any other.
fn skip<'a>(mut text: &'a [u8], mut literal: &[u8]) -> Result<&'a [u8], &'a [u8]> {
    let cut = |mut from: &'a [u8]| {
        while let [b' ', rest @ ..] = from {
            from = rest;
        }
        from
    };
    while let Some((first, others)) = literal.split_first() {
        if *first == b' ' {
            if text.first().is_some_and(|byte| *byte != b' ') {
                return Err(text);
            }
            while let [b' ', rest @ ..] = literal {
                literal = rest;
            }
            text = cut(text);
            continue;
        }
        if text.first() != Some(first) {
            return Err(text);
        }
        (text, literal) = (&text[1..], others);
    }
    Ok(text)
}

/// One or two digits, or exactly two.
fn number(text: &mut &[u8], exactly_two: bool) -> Step<u32> {
    let digits = text.iter().take(2).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || exactly_two && digits < 2 {
        return Err(Bad::Shape);
    }
    Ok(fold(take(text, digits)))
}

fn fold(digits: &[u8]) -> u32 {
    digits.iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'))
}

fn take<'a>(text: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = text.split_at(length);
    *text = rest;
    taken
}

fn name(text: &mut &[u8], names: &[&str], length: Option<usize>) -> Step<u32> {
    for (index, name) in names.iter().enumerate() {
        let name = &name.as_bytes()[..length.unwrap_or(name.len())];
        if text.len() >= name.len() && text[..name.len()].eq_ignore_ascii_case(name) {
            *text = &text[name.len()..];
            return Ok(index as u32);
        }
    }
    Err(Bad::Shape)
}

fn within(number: u32, limit: u32, what: &'static str) -> Step<u32> {
    if number < limit { Ok(number) } else { Err(Bad::Range(what)) }
}

/// A separator and digits, as nanoseconds.
fn nanoseconds(text: &[u8]) -> Step<u32> {
    if !matches!(text[0], b'.' | b',') {
        return Err(Bad::Shape);
    }
    let digits = &text[1..text.len().min(10)];
    // A sign is taken by Go's number reader: plus goes through, minus is out of range.
    let (sign, figures) = match digits.first() {
        Some(b'-' | b'+') => (Some(digits[0]), &digits[1..]),
        _ => (None, digits),
    };
    if figures.is_empty() || !figures.iter().all(u8::is_ascii_digit) {
        return Err(Bad::Shape);
    }
    let value = fold(figures);
    if sign == Some(b'-') && value > 0 {
        return Err(Bad::Range("fractional second"));
    }
    Ok(value * 10u32.pow(9 - digits.len() as u32))
}

impl Parts {
    fn take(&mut self, element: Element, text: &mut &[u8], after: &[u8]) -> Step<()> {
        match element {
            Element::Year => {
                let two = signed_number(text, 2)?;
                self.year = if two >= 69 { two + 1900 } else { two + 2000 };
            }
            Element::LongYear => {
                if !text.first().is_some_and(u8::is_ascii_digit) {
                    return Err(Bad::Shape);
                }
                self.year = signed_number(text, 4)?;
            }
            Element::Month => self.month = Some(name(text, &MONTHS, Some(3))? + 1),
            Element::LongMonth => self.month = Some(name(text, &MONTHS, None)? + 1),
            Element::NumMonth | Element::ZeroMonth => {
                let month = number(text, element == Element::ZeroMonth)?;
                self.month = Some(if (1..=12).contains(&month) { month } else { return Err(Bad::Range("month")) });
            }
            Element::WeekDay => drop(name(text, &DAYS, Some(3))?),
            Element::LongWeekDay => drop(name(text, &DAYS, None)?),
            Element::Day | Element::UnderDay | Element::ZeroDay => {
                if element == Element::UnderDay && text.first() == Some(&b' ') {
                    *text = &text[1..];
                }
                self.day = Some(number(text, element == Element::ZeroDay)?);
            }
            Element::UnderYearDay | Element::ZeroYearDay => {
                self.year_day = Some(year_day(text, element == Element::ZeroYearDay)?)
            }
            Element::Hour => self.hour = within(number(text, false)?, 24, "hour")?,
            Element::Hour12 | Element::ZeroHour12 => {
                self.hour = within(number(text, element == Element::ZeroHour12)?, 13, "hour")?;
            }
            Element::Minute | Element::ZeroMinute => {
                self.minute = within(number(text, element == Element::ZeroMinute)?, 60, "minute")?;
            }
            Element::Second | Element::ZeroSecond => self.take_second(text, element == Element::ZeroSecond, after)?,
            Element::UpperPm => self.afternoon = Some(half(text, b"PM", b"AM")?),
            Element::LowerPm => self.afternoon = Some(half(text, b"pm", b"am")?),
            Element::Offset { z_for_utc: true, .. } if text.first() == Some(&b'Z') => {
                *text = &text[1..];
                self.utc = true;
            }
            Element::Offset { colon, parts, .. } => self.offset = Some(offset(text, colon, parts)?),
            Element::Abbreviation if text.starts_with(b"UTC") => {
                *text = &text[3..];
                self.utc = true;
            }
            Element::Abbreviation => {
                let length = abbreviation(text).ok_or(Bad::Shape)?;
                self.abbreviation = String::from_utf8_lossy(take(text, length)).into_owned();
            }
            Element::Fraction { trimmed, digits, .. } => self.take_fraction(text, trimmed, digits)?,
        }
        Ok(())
    }

    /// A fraction may follow the second, also where the layout has none.
    fn take_second(&mut self, text: &mut &[u8], exactly_two: bool, after: &[u8]) -> Step<()> {
        self.second = within(number(text, exactly_two)?, 60, "second")?;
        let follows = text.len() >= 2 && matches!(text[0], b'.' | b',') && text[1].is_ascii_digit();
        let expected = matches!(next_element(after).1, Some((Element::Fraction { .. }, _)));
        if follows && !expected {
            let digits = text[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            self.nanoseconds = nanoseconds(take(text, 1 + digits))?;
        }
        Ok(())
    }

    fn take_fraction(&mut self, text: &mut &[u8], trimmed: bool, digits: usize) -> Step<()> {
        let length = if trimmed {
            if text.len() < 2 || !matches!(text[0], b'.' | b',') || !text[1].is_ascii_digit() {
                return Ok(());
            }
            1 + text[1..].iter().take_while(|byte| byte.is_ascii_digit()).count()
        } else {
            1 + digits
        };
        if text.len() < length {
            return Err(Bad::Shape);
        }
        self.nanoseconds = nanoseconds(take(text, length))?;
        Ok(())
    }

    fn moment(mut self, zone: &Zone) -> Result<Moment, &'static str> {
        self.hour = match self.afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        self.settle_year_day()?;
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if day < 1 || day > days_in(month, self.year) {
            return Err("day out of range");
        }
        let of_day = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        let written = days_from_civil(self.year, month, day) * 86_400 + of_day;
        let moment = |seconds: i64, zone: Zone| Moment { seconds, nanoseconds: self.nanoseconds, zone, from_clock: false };
        if self.utc {
            return Ok(moment(written, Zone::Utc));
        }
        if let Some(offset) = self.offset {
            let seconds = written - offset;
            let (local, abbreviation) = zone.at(seconds);
            let is_local = local == offset && (self.abbreviation.is_empty() || abbreviation == self.abbreviation);
            let zone = if is_local { zone.clone() } else { Zone::Fixed(self.abbreviation.clone(), offset) };
            return Ok(moment(seconds, zone));
        }
        if !self.abbreviation.is_empty() {
            return Ok(match zone.offset_of(&self.abbreviation, written) {
                Some(offset) => moment(written - offset, zone.clone()),
                None => {
                    let hours = self.abbreviation.strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok()).unwrap_or(0);
                    // Go keeps the written clock as the instant here.
                    moment(written, Zone::Fixed(self.abbreviation.clone(), hours * 3600))
                }
            });
        }
        // In a gap or an overlap Go takes the offset in force at its first guess.
        let guess = written - zone.at(written).0;
        Ok(moment(written - zone.at(guess).0, zone.clone()))
    }

    /// A day of the year must agree with the month and day that were read, and stands in for them.
    fn settle_year_day(&mut self) -> Result<(), &'static str> {
        let Some(year_day) = self.year_day else { return Ok(()) };
        let days = if is_leap(self.year) { 366 } else { 365 };
        if !(1..=days).contains(&year_day) {
            return Err("day-of-year out of range");
        }
        let (mut month, mut day) = (1, year_day);
        while day > days_in(month, self.year) {
            day -= days_in(month, self.year);
            month += 1;
        }
        if self.month.is_some_and(|read| read != month) {
            return Err("day-of-year does not match month");
        }
        if self.day.is_some_and(|read| read != day) {
            return Err("day-of-year does not match day");
        }
        (self.month, self.day) = (Some(month), Some(day));
        Ok(())
    }
}

/// Exactly so many bytes that Go's number reader takes, a sign too.
fn signed_number(text: &mut &[u8], length: usize) -> Step<i64> {
    if text.len() < length {
        return Err(Bad::Shape);
    }
    let shown = take(text, length);
    let (sign, digits) = match shown[0] {
        b'-' => (-1, &shown[1..]),
        b'+' => (1, &shown[1..]),
        _ => (1, shown),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Bad::Shape);
    }
    Ok(sign * i64::from(fold(digits)))
}

fn year_day(text: &mut &[u8], exactly_three: bool) -> Step<u32> {
    for _ in 0..2 {
        if !exactly_three && text.first() == Some(&b' ') {
            *text = &text[1..];
        }
    }
    let digits = text.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || exactly_three && digits < 3 {
        return Err(Bad::Shape);
    }
    Ok(fold(take(text, digits)))
}

fn half(text: &mut &[u8], afternoon: &[u8], morning: &[u8]) -> Step<bool> {
    if text.len() < 2 {
        return Err(Bad::Shape);
    }
    match take(text, 2) {
        shown if shown == afternoon => Ok(true),
        shown if shown == morning => Ok(false),
        _ => Err(Bad::Shape),
    }
}

fn offset(text: &mut &[u8], colon: bool, parts: u8) -> Step<i64> {
    let step = if colon { 3 } else { 2 };
    let length = 3 + step * (usize::from(parts) - 1);
    if text.len() < length {
        return Err(Bad::Shape);
    }
    let shown = &text[..length];
    let mut numbers = [0i64; 3];
    let mut at = 1;
    for number_at in 0..usize::from(parts) {
        if number_at > 0 && colon {
            if shown[at] != b':' {
                return Err(Bad::Shape);
            }
            at += 1;
        }
        let mut digits = &shown[at..at + 2];
        numbers[number_at] = match number(&mut digits, true) {
            Ok(value) => i64::from(value),
            Err(_) => return Err(range_before(&numbers).unwrap_or(Bad::Shape)),
        };
        at += 2;
    }
    *text = &text[length..];
    if let Some(bad) = range_before(&numbers) {
        return Err(bad);
    }
    let seconds = (numbers[0] * 60 + numbers[1]) * 60 + numbers[2];
    match shown[0] {
        b'+' => Ok(seconds),
        b'-' => Ok(-seconds),
        _ => Err(Bad::Shape),
    }
}

/// A number of an offset that is too large; Go looks at this before the shape of what follows.
fn range_before(numbers: &[i64; 3]) -> Option<Bad> {
    let limits = [(24, "time zone offset hour"), (60, "time zone offset minute"), (60, "time zone offset second")];
    let over = numbers.iter().zip(limits).rfind(|(number, (limit, _))| *number > limit);
    over.map(|(_, (_, what))| Bad::Range(what))
}

/// How long the abbreviation of a zone at the start of a text is.
fn abbreviation(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if text.starts_with(b"GMT") {
        return Some(3 + signed_hours(&text[3..]));
    }
    if matches!(text[0], b'+' | b'-') {
        return Some(signed_hours(text)).filter(|length| *length > 0);
    }
    let upper = text.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count();
    match upper {
        3 => Some(3),
        4 => (text[3] == b'T' || text.starts_with(b"WITA")).then_some(4),
        5 => (text[4] == b'T').then_some(5),
        _ => None,
    }
}

/// The length of `+3` or `-11`, at most 23; zero where there is none.
fn signed_hours(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'+' | b'-')) {
        return 0;
    }
    let digits = text[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let hours = text[1..=digits].iter().try_fold(0u64, |sum, byte| sum.checked_mul(10)?.checked_add(u64::from(byte - b'0')));
    if digits > 0 && hours.is_some_and(|hours| hours <= 23) { 1 + digits } else { 0 }
}

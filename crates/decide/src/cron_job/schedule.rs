//! Times that come again: five fields as in crontab, `@daily` and its kin, `@every 1h30m`. A time that a clock change leaves out is left out.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

/// Why a schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// There are too many or too few fields.
    #[error("expected exactly 5 fields, found {0}")]
    Fields(usize),
    /// A field is no list of numbers, names, ranges and steps.
    #[error("failed to parse field: {0}")]
    Field(String),
    /// The word after `@` is unknown.
    #[error("unrecognized descriptor: {0}")]
    Descriptor(String),
}

/// When something happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At certain minutes.
    At {
        /// Which minutes of the hour, as bits; the others likewise.
        minutes: u64,
        /// Which hours.
        hours: u64,
        /// Which days of the month.
        days: u64,
        /// Which months.
        months: u64,
        /// Which days of the week, Sunday first.
        weekdays: u64,
        /// Whether a day must match both, since one of the two does not choose.
        both_days: bool,
    },
    /// Again and again after this time.
    Every(SignedDuration),
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const DESCRIPTORS: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Schedule {
    /// The schedule of a text.
    ///
    /// # Errors
    /// When it does not have the form.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        if let Some(every) = text.strip_prefix("@every ") {
            let unknown = || ScheduleError::Descriptor(text.to_owned());
            let duration: SignedDuration = every.trim().parse().map_err(|_| unknown())?;
            return if duration >= SignedDuration::from_secs(1) { Ok(Self::Every(duration)) } else { Err(unknown()) };
        }
        if text.starts_with('@') {
            let found = DESCRIPTORS.iter().find(|(name, _)| *name == text);
            return found.map_or_else(|| Err(ScheduleError::Descriptor(text.to_owned())), |(_, fields)| Self::parse(fields));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields[..] else { return Err(ScheduleError::Fields(fields.len())) };
        let any = |field: &str| field.starts_with(['*', '?']);
        let mut week = field(weekdays, 0, 7, WEEKDAYS, 0)?;
        if week & (1 << 7) != 0 {
            week = (week | 1) & !(1 << 7);
        }
        Ok(Self::At {
            minutes: field(minutes, 0, 59, &[], 0)?,
            hours: field(hours, 0, 23, &[], 0)?,
            days: field(days, 1, 31, &[], 0)?,
            months: field(months, 1, 12, MONTHS, 1)?,
            weekdays: week,
            both_days: any(days) || any(weekdays),
        })
    }

    /// The first time after another; none when there is no such day within some years.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let (minutes, hours) = match self {
            Self::Every(duration) => return Timestamp::from_second(after.as_second()).ok()?.checked_add(*duration).ok(),
            Self::At { minutes, hours, .. } => (*minutes, *hours),
        };
        let local = zone.to_datetime(after);
        let mut time = local.date().at(local.hour(), local.minute(), 0, 0).checked_add(Span::new().minutes(1)).ok()?;
        let last = time.checked_add(Span::new().years(5)).ok()?;
        while time < last {
            if !self.has_day(time) {
                time = time.date().tomorrow().ok()?.at(0, 0, 0, 0);
            } else if hours & (1 << time.hour()) == 0 {
                time = time.date().at(time.hour(), 0, 0, 0).checked_add(Span::new().hours(1)).ok()?;
            } else if minutes & (1 << time.minute()) == 0 {
                time = time.checked_add(Span::new().minutes(1)).ok()?;
            } else {
                let ambiguous = zone.to_ambiguous_timestamp(time);
                let is_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
                let found = if is_gap { None } else { ambiguous.compatible().ok() };
                if let Some(found) = found.filter(|found| *found > after) {
                    return Some(found);
                }
                time = time.checked_add(Span::new().minutes(1)).ok()?;
            }
        }
        None
    }

    fn has_day(&self, time: DateTime) -> bool {
        let Self::At { days, months, weekdays, both_days, .. } = self else { return true };
        let day = days & (1 << time.day()) != 0;
        let weekday = weekdays & (1 << time.weekday().to_sunday_zero_offset()) != 0;
        let fits = if *both_days { day && weekday } else { day || weekday };
        months & (1 << time.month()) != 0 && fits
    }
}

/// The bits of one field: a list of `*`, numbers, names and ranges, each with a step.
fn field(text: &str, least: u32, most: u32, names: &[&str], first: u32) -> Result<u64, ScheduleError> {
    let wrong = || ScheduleError::Field(text.to_owned());
    let number = |word: &str| -> Result<u32, ScheduleError> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(word)).and_then(|index| u32::try_from(index).ok());
        let value = named.map(|index| index + first).or_else(|| word.parse().ok()).ok_or_else(wrong)?;
        if (least..=most).contains(&value) { Ok(value) } else { Err(wrong()) }
    };
    let mut bits = 0;
    for part in text.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step: u32 = step.map_or(Ok(1), |step| step.parse().map_err(|_| wrong()))?;
        // A seven stands for Sunday where it is written, not where all days are meant.
        let all = if most == 7 { 6 } else { most };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" || range == "?" => (least, all),
            Some((from, to)) => (number(from)?, number(to)?),
            None if part.contains('/') => (number(range)?, all),
            None => (number(range)?, number(range)?),
        };
        if step == 0 || from > to {
            return Err(wrong());
        }
        for value in (from..=to).step_by(usize::try_from(step).map_err(|_| wrong())?) {
            bits |= 1_u64 << value;
        }
    }
    Ok(bits)
}

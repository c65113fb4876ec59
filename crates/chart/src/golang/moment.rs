//! Instants and zones as Go's package time has them: any year, fixed or named zones. Reads no clock and no zone file.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const DAY: i64 = 86_400;

/// Where an instant is looked at from.
#[derive(Clone, Debug)]
pub enum Zone {
    /// Universal time.
    Utc,
    /// A zone with rules.
    Named(TimeZone),
    /// What a text said: an offset in seconds, and perhaps an abbreviation.
    Fixed(String, i64),
}

impl Zone {
    /// The zone that a name means, `Local` for that of the caller. Names are taken letter by letter.
    pub fn named(name: &str, local: &TimeZone) -> Option<Zone> {
        match name {
            "" | "UTC" => Some(Zone::Utc),
            "Local" => Some(Zone::local(local)),
            _ => {
                let zone = ZONES.get(name).ok()?;
                (zone.iana_name() == Some(name)).then_some(Zone::Named(zone))
            }
        }
    }

    /// The caller's zone.
    pub fn local(zone: &TimeZone) -> Zone {
        Zone::Named(zone.clone())
    }

    /// Offset from universal time in seconds, and the abbreviation, at an instant.
    pub fn at(&self, seconds: i64) -> (i64, String) {
        match self {
            Zone::Utc => (0, "UTC".to_owned()),
            Zone::Fixed(name, offset) => (*offset, name.clone()),
            Zone::Named(zone) => {
                let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
                let instant = Timestamp::from_second(seconds.clamp(first, last)).unwrap_or(Timestamp::UNIX_EPOCH);
                let info = zone.to_offset_info(instant);
                (i64::from(info.offset().seconds()), info.abbreviation().to_owned())
            }
        }
    }

    /// The offset that an abbreviation means near an instant that is given as if it were universal time.
    pub fn offset_of(&self, abbreviation: &str, seconds: i64) -> Option<i64> {
        let Zone::Named(zone) = self else { return None };
        let first = zone.to_offset_info(Timestamp::MIN);
        let mut known = vec![(first.abbreviation().to_owned(), i64::from(first.offset().seconds()))];
        for transition in zone.following(Timestamp::MIN).take(TRANSITIONS_MAX) {
            let pair = (transition.abbreviation().to_owned(), i64::from(transition.offset().seconds()));
            if !known.contains(&pair) {
                known.push(pair);
            }
        }
        let named = || known.iter().filter(|(name, _)| name == abbreviation);
        let in_force = named().find(|(name, offset)| self.at(seconds - offset).1 == *name);
        in_force.or_else(|| named().next()).map(|(_, offset)| *offset)
    }
}

/// How many changes of a zone are looked at for an abbreviation; the fullest zone has fewer than this by today.
const TRANSITIONS_MAX: usize = 300;

/// An instant, seen from a zone.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Seconds since 1970, in universal time.
    pub seconds: i64,
    /// Nanoseconds on top.
    pub nanoseconds: u32,
    /// Where it is seen from.
    pub zone: Zone,
    /// Whether it was read from a clock and not changed since: Go prints such instants with a reading of the monotonic clock.
    pub from_clock: bool,
}

/// Date and time of day of an instant in its zone.
#[derive(Clone, Debug)]
pub struct Civil {
    /// The year; there is a year zero.
    pub year: i64,
    /// From 1.
    pub month: u32,
    /// From 1.
    pub day: u32,
    /// From 1.
    pub year_day: u32,
    /// From 0, Sunday.
    pub weekday: u32,
    /// Of the day.
    pub hour: u32,
    /// Of the hour.
    pub minute: u32,
    /// Of the minute.
    pub second: u32,
    /// East of universal time, in seconds.
    pub offset: i64,
    /// The zone's abbreviation; may be empty.
    pub abbreviation: String,
}

impl Moment {
    /// Seconds since 1970 in a zone.
    pub fn at(seconds: i64, zone: Zone) -> Moment {
        Moment { seconds, nanoseconds: 0, zone, from_clock: false }
    }

    /// The first instant that Go knows: what a failed parse gives.
    pub fn zero() -> Moment {
        Moment::at(-62_135_596_800, Zone::Utc)
    }

    /// What a clock shows.
    pub fn of_clock(now: Timestamp, zone: Zone) -> Moment {
        let nanoseconds = now.as_nanosecond();
        let seconds = nanoseconds.div_euclid(1_000_000_000) as i64;
        Moment { seconds, nanoseconds: nanoseconds.rem_euclid(1_000_000_000) as u32, zone, from_clock: true }
    }

    /// The same instant, seen from another zone.
    pub fn seen_from(&self, zone: Zone) -> Moment {
        Moment { zone, from_clock: false, ..self.clone() }
    }

    /// Later by nanoseconds.
    pub fn plus(&self, nanoseconds: i64) -> Moment {
        let total = i64::from(self.nanoseconds) + nanoseconds.rem_euclid(1_000_000_000);
        let seconds = self.seconds.wrapping_add(nanoseconds.div_euclid(1_000_000_000)).wrapping_add(total / 1_000_000_000);
        Moment { seconds, nanoseconds: (total % 1_000_000_000) as u32, ..self.clone() }
    }

    /// Nanoseconds since another instant, saturated.
    pub fn since(&self, other: &Moment) -> i64 {
        let nanoseconds = i128::from(self.nanoseconds) - i128::from(other.nanoseconds);
        let total = (i128::from(self.seconds) - i128::from(other.seconds)) * 1_000_000_000 + nanoseconds;
        i64::try_from(total).unwrap_or(if total < 0 { i64::MIN } else { i64::MAX })
    }

    /// Whether it is the first instant that Go knows.
    pub fn is_zero(&self) -> bool {
        (self.seconds, self.nanoseconds) == (-62_135_596_800, 0)
    }

    /// Date and time of day.
    pub fn civil(&self) -> Civil {
        let (offset, abbreviation) = self.zone.at(self.seconds);
        // Go counts seconds modulo 2^64 from a year far in the past; instants beyond it wrap.
        let local = i128::from(self.seconds) + i128::from(offset);
        let (days, second) = (local.div_euclid(i128::from(DAY)), local.rem_euclid(i128::from(DAY)) as u32);
        let (year, month, day) = civil_from_days(days as i64);
        let year_day = (days as i64 - days_from_civil(year, 1, 1) + 1) as u32;
        let weekday = (days + 4).rem_euclid(7) as u32;
        Civil {
            year,
            month,
            day,
            year_day,
            weekday,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            offset,
            abbreviation,
        }
    }
}

/// Days since 1970 of a date in the proleptic calendar.
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = i64::from((month + 9) % 12);
    let of_year = (153 * shifted + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * month_shifted + 2) / 5 + 1) as u32;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Whether a year has 366 days.
pub fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month.
pub fn days_in(month: u32, year: i64) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

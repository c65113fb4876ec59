//! Semantic versions as charts write them: loose (`v1`, `1.2`), compared by precedence, and checked by constraints.
//! Never changes a version.

use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

mod constraint;

pub use constraint::{Constraint, ConstraintError};

/// Longest text that is read as a version.
const VERSION_LENGTH_MAX: usize = 256;

static LOOSE: LazyLock<Regex> = LazyLock::new(|| {
    let identifiers = r"[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*";
    let text = format!(r"^v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?(?:-({identifiers}))?(?:\+({identifiers}))?$");
    Regex::new(&text).expect("a constant pattern")
});

/// A version, with the text that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// First number.
    pub major: u64,
    /// Second number, zero where it was not written.
    pub minor: u64,
    /// Third number, zero where it was not written.
    pub patch: u64,
    /// What follows the hyphen.
    pub prerelease: String,
    /// What follows the plus sign; plays no part in order.
    pub metadata: String,
    /// As it was written.
    pub original: String,
}

/// Why a text is no version. The wording is the one that charts' users know.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VersionError {
    /// It does not look like one.
    #[error("invalid semantic version")]
    Shape,
    /// It is longer than any version has a right to be.
    #[error("version string is too long (max {VERSION_LENGTH_MAX} bytes)")]
    Length,
    /// A number does not fit.
    #[error("error parsing version segment: strconv.ParseUint: parsing \"{0}\": value out of range")]
    Number(String),
    /// A numeric identifier of the pre-release starts with zero.
    #[error("version segment starts with 0")]
    LeadingZero,
}

impl Version {
    /// Reads a version, also a loose one.
    pub fn parse(text: &str) -> Result<Version, VersionError> {
        if text.len() > VERSION_LENGTH_MAX {
            return Err(VersionError::Length);
        }
        let found = LOOSE.captures(text).ok_or(VersionError::Shape)?;
        let number = |group: usize| -> Result<u64, VersionError> {
            let Some(digits) = found.get(group) else { return Ok(0) };
            let digits = digits.as_str().trim_start_matches('.');
            digits.parse().map_err(|_| VersionError::Number(digits.to_owned()))
        };
        let text_of = |group: usize| found.get(group).map_or("", |part| part.as_str()).to_owned();
        let version = Version {
            major: number(1)?,
            minor: number(2)?,
            patch: number(3)?,
            prerelease: text_of(4),
            metadata: text_of(5),
            original: text.to_owned(),
        };
        let leading_zero = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit());
        if version.prerelease.split('.').any(leading_zero) {
            return Err(VersionError::LeadingZero);
        }
        Ok(version)
    }

    /// Order by precedence. Metadata plays no part.
    pub fn precedence(&self, other: &Version) -> Ordering {
        let numbers = |version: &Version| (version.major, version.minor, version.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => prerelease_order(&self.prerelease, &other.prerelease),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.prerelease.is_empty() {
            write!(f, "-{}", self.prerelease)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

fn prerelease_order(one: &str, other: &str) -> Ordering {
    let (mut ours, mut theirs) = (one.split('.'), other.split('.'));
    loop {
        let (a, b) = match (ours.next(), theirs.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => (a.unwrap_or(""), b.unwrap_or("")),
        };
        match part_order(a, b) {
            Ordering::Equal => {}
            order => return order,
        }
    }
}

fn part_order(a: &str, b: &str) -> Ordering {
    if a == b || a.is_empty() || b.is_empty() {
        return a.len().min(1).cmp(&b.len().min(1));
    }
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a.cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

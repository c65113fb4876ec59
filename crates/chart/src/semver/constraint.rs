//! Constraints on versions: `>=1.2 <2 || ~3.1`, wildcards, hyphen ranges. Says yes or no, never which version is best.

use std::cmp::Ordering;
use std::sync::LazyLock;

use regex::Regex;

use super::{Version, prerelease_order};
use crate::print::quote::quoted as quote;

const CONSTRAINT_LENGTH_MAX: usize = 512;
const GROUPS_MAX: usize = 32;

const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
const VERSION: &str = r"v?([0-9|xX*]+)(\.[0-9|xX*]+)?(\.[0-9|xX*]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";
const BLANK: &str = r"[\t\n\f\r ]";

fn pattern(text: String) -> Regex {
    Regex::new(&text).expect("a constant pattern")
}

static ONE: LazyLock<Regex> = LazyLock::new(|| pattern(format!("^{BLANK}*({OPERATORS}){BLANK}*({VERSION}){BLANK}*$")));
static RANGE: LazyLock<Regex> = LazyLock::new(|| pattern(format!("{BLANK}*({VERSION}){BLANK}+-{BLANK}+({VERSION}){BLANK}*")));
static FIND: LazyLock<Regex> = LazyLock::new(|| pattern(format!("({OPERATORS}){BLANK}*({VERSION})")));
static VALID: LazyLock<Regex> = LazyLock::new(|| {
    let one = format!("({OPERATORS}){BLANK}*({VERSION}){BLANK}*");
    pattern(format!("^({BLANK}*{one})((?:{BLANK}+|,{BLANK}*){one})*$"))
});

/// A list of alternatives, each a list of conditions that must all hold.
#[derive(Clone, Debug)]
pub struct Constraint {
    alternatives: Vec<Alternative>,
}

#[derive(Clone, Debug)]
struct Alternative {
    conditions: Vec<Condition>,
    names_prerelease: bool,
}

/// Why a text is no constraint.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConstraintError {
    /// Longer than is read.
    #[error("constraint string is too long (max {CONSTRAINT_LENGTH_MAX} bytes)")]
    Length,
    /// More alternatives than are read.
    #[error("too many constraint groups (max {GROUPS_MAX})")]
    Groups,
    /// Not of the grammar; holds the quoted text.
    #[error("improper constraint: {0}")]
    Shape(String),
    /// Of the grammar, but the version in it is none.
    #[error("constraint parser error")]
    Version,
}

#[derive(Clone, Debug)]
struct Condition {
    operator: Operator,
    version: Version,
    /// Which number was left open, if one was.
    open: Open,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    None,
    Major,
    Minor,
    Patch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

impl Constraint {
    /// Reads a constraint.
    pub fn parse(text: &str) -> Result<Constraint, ConstraintError> {
        if text.len() > CONSTRAINT_LENGTH_MAX {
            return Err(ConstraintError::Length);
        }
        let text = write_ranges_out(text);
        let groups: Vec<&str> = text.split("||").collect();
        if groups.len() > GROUPS_MAX {
            return Err(ConstraintError::Groups);
        }
        let alternatives = groups.into_iter().map(Alternative::parse).collect::<Result<_, _>>()?;
        Ok(Constraint { alternatives })
    }

    /// Whether a version satisfies it. A pre-release does only where the constraint names one.
    pub fn check(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|alternative| {
            (version.prerelease.is_empty() || alternative.names_prerelease)
                && alternative.conditions.iter().all(|condition| condition.check(version))
        })
    }
}

impl Alternative {
    fn parse(text: &str) -> Result<Alternative, ConstraintError> {
        if !VALID.is_match(text) {
            return Err(ConstraintError::Shape(quote(text.as_bytes())));
        }
        let mut conditions = FIND.find_iter(text).map(|found| Condition::parse(found.as_str())).collect::<Result<Vec<_>, _>>()?;
        if conditions.is_empty() {
            conditions.push(Condition::parse(text)?);
        }
        let names_prerelease = conditions.iter().any(|condition| !condition.version.prerelease.is_empty());
        Ok(Alternative { conditions, names_prerelease })
    }
}

/// `1.2 - 3` means `>= 1.2, <= 3`.
fn write_ranges_out(text: &str) -> String {
    let mut out = text.to_owned();
    for found in RANGE.captures_iter(text) {
        out = out.replacen(&found[0], &format!(">= {}, <= {} ", &found[1], &found[11]), 1);
    }
    out
}

impl Condition {
    fn parse(text: &str) -> Result<Condition, ConstraintError> {
        let found = ONE.captures(text).ok_or_else(|| ConstraintError::Shape(quote(text.as_bytes())))?;
        let group = |index: usize| found.get(index).map_or("", |part| part.as_str());
        let left_open = |index: usize| matches!(group(index).trim_start_matches('.'), "" | "x" | "X" | "*");
        let (open, written) = if left_open(3) {
            (Open::Major, format!("0.0.0{}", group(6)))
        } else if left_open(4) {
            (Open::Minor, format!("{}.0.0{}", group(3), group(6)))
        } else if left_open(5) {
            (Open::Patch, format!("{}{}.0{}", group(3), group(4), group(6)))
        } else {
            (Open::None, group(2).to_owned())
        };
        let operator = match group(1) {
            "" | "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            "<" => Operator::Less,
            ">=" | "=>" => Operator::GreaterEqual,
            "<=" | "=<" => Operator::LessEqual,
            "~" | "~>" => Operator::Tilde,
            _ => Operator::Caret,
        };
        let version = Version::parse(&written).map_err(|_| ConstraintError::Version)?;
        Ok(Condition { operator, version, open })
    }

    fn check(&self, version: &Version) -> bool {
        let order = version.precedence(&self.version);
        match self.operator {
            Operator::Equal if self.open == Open::None => order == Ordering::Equal,
            Operator::Equal | Operator::Tilde => self.tilde(version),
            Operator::NotEqual => self.not_equal(version),
            Operator::Greater => self.greater(version),
            Operator::Less => order == Ordering::Less,
            Operator::GreaterEqual => order != Ordering::Less,
            Operator::LessEqual => self.less_equal(version),
            Operator::Caret => self.caret(version),
        }
    }

    fn not_equal(&self, version: &Version) -> bool {
        let wanted = &self.version;
        match self.open {
            Open::None => version.precedence(wanted) != Ordering::Equal,
            _ if wanted.major != version.major => true,
            Open::Minor => false,
            _ if wanted.minor != version.minor => true,
            Open::Patch => prerelease_order(&version.prerelease, &wanted.prerelease) != Ordering::Equal,
            Open::Major => wanted.patch != version.patch || version.precedence(wanted) != Ordering::Equal,
        }
    }

    fn greater(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if self.open == Open::None {
            return version.precedence(wanted) == Ordering::Greater;
        }
        match version.major.cmp(&wanted.major) {
            Ordering::Greater => true,
            Ordering::Less => false,
            Ordering::Equal => match self.open {
                Open::Minor => false,
                Open::Patch => version.minor > wanted.minor,
                _ => version.precedence(wanted) == Ordering::Greater,
            },
        }
    }

    fn less_equal(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if self.open == Open::None {
            return version.precedence(wanted) != Ordering::Greater;
        }
        version.major < wanted.major
            || version.major == wanted.major && (version.minor <= wanted.minor || self.open == Open::Minor)
    }

    fn tilde(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if version.precedence(wanted) == Ordering::Less {
            return false;
        }
        let anything = (wanted.major, wanted.minor, wanted.patch) == (0, 0, 0) && !matches!(self.open, Open::Minor | Open::Patch);
        anything || version.major == wanted.major && (version.minor == wanted.minor || self.open == Open::Minor)
    }

    fn caret(&self, version: &Version) -> bool {
        let wanted = &self.version;
        if version.precedence(wanted) == Ordering::Less || version.major != wanted.major {
            return false;
        }
        if wanted.major > 0 || self.open == Open::Minor {
            return true;
        }
        if wanted.minor > 0 || self.open == Open::Patch {
            return version.minor == wanted.minor;
        }
        version.minor == 0 && version.patch == wanted.patch
    }
}

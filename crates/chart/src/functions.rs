//! The functions that templates may call: one table, joined from one constant a family.
//!
//! The evaluator counts, checks and converts arguments by a row's signature as Go's reflection does, so that a body never looks whether
//! it got what its signature says. A body touches the world through [`Call`] alone.

mod cluster;
mod crypto;
mod dates;
mod defaults;
mod dicts;
mod encoding;
mod limits;
mod lists;
mod numbers;
mod paths;
mod patterns;
mod random;
mod same;
mod shown;
mod strings;
mod templates;
mod toml;
mod urls;
mod versions;
mod yaml_item;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use crate::value::{Str, Type, Value};

/// A family of functions and its name in the documents.
pub type Family = (&'static str, &'static [Function]);

/// Every family.
pub const FAMILIES: &[Family] = &[
    ("cluster", cluster::FUNCTIONS),
    ("crypto", crypto::FUNCTIONS),
    ("certificates", crypto::CERTIFICATE_FUNCTIONS),
    ("dates", dates::FUNCTIONS),
    ("durations", dates::DURATION_FUNCTIONS),
    ("defaults", defaults::FUNCTIONS),
    ("dicts", dicts::FUNCTIONS),
    ("encoding", encoding::FUNCTIONS),
    ("lists", lists::FUNCTIONS),
    ("numbers", numbers::FUNCTIONS),
    ("paths", paths::FUNCTIONS),
    ("patterns", patterns::FUNCTIONS),
    ("random", random::FUNCTIONS),
    ("strings", strings::FUNCTIONS),
    ("templates", templates::FUNCTIONS),
    ("urls", urls::FUNCTIONS),
    ("versions", versions::FUNCTIONS),
];

/// A time in a zone, by a layout of Go's.
#[must_use]
pub fn format_time(at: jiff::Timestamp, zone: &jiff::tz::TimeZone, layout: &str) -> String {
    use crate::golang::{layout, moment};
    let moment = moment::Moment::of_clock(at, moment::Zone::local(zone));
    String::from_utf8_lossy(&layout::write(&moment, layout.as_bytes())).into_owned()
}

/// Whether texts fit a pattern in RE2's syntax; a bad one is refused in Go's words.
pub fn pattern(text: &str) -> Result<impl Fn(&str) -> bool, String> {
    let compiled = crate::golang::regexp::compile(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(move |text: &str| compiled.is_match(text.as_bytes()))
}

/// One function, as its Go signature has it.
pub struct Function {
    /// The name in templates.
    pub name: &'static str,
    /// The types of the parameters; the last is that of each further argument where the function is variadic.
    pub params: &'static [Type],
    /// Whether the last parameter takes any number of arguments, none too.
    pub variadic: bool,
    /// One line for the documents.
    pub doc: &'static str,
    /// The body. Arguments are of the types that `params` says: what a list, map or object type got as nil is a nil of that type.
    pub call: Body,
}

/// What a function does.
pub type Body = fn(&mut Call<'_>, &[Value]) -> Result<Value, Failure>;

/// The function of a name.
pub fn find(name: &str) -> Option<&'static Function> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Function>> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        FAMILIES.iter().flat_map(|(_, functions)| *functions).map(|function| (function.name, function)).collect()
    });
    index.get(name).copied()
}

/// What templates may learn of the world, handed in by whoever renders.
pub trait Facts {
    /// The time.
    fn now(&self) -> jiff::Timestamp;

    /// The zone that Go would call local.
    fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::UTC
    }

    /// Fills with random bytes.
    fn random(&self, bytes: &mut [u8]);

    /// An object or a list of objects of the cluster; an empty map where there is none.
    fn lookup(&self, _api_version: &str, _kind: &str, _namespace: &str, _name: &str) -> Result<Value, String> {
        Ok(Value::Map(crate::value::Map::any()))
    }

    /// An address of a host; empty where names are not to be resolved.
    fn resolve_host(&self, _name: &str) -> String {
        String::new()
    }
}

/// A world that stands still: what is rendered in it twice comes out the same. For tests and measurements; its random bytes are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Still;

impl Facts for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// The evaluator, as functions see it.
pub trait Templates {
    /// Renders a named template.
    fn include(&mut self, name: &Str, data: Value) -> Result<Value, Failure>;

    /// Renders a text as a template.
    fn tpl(&mut self, text: &Str, data: Value) -> Result<Value, Failure>;
}

/// What a running function may use besides its arguments.
pub struct Call<'a> {
    /// The world.
    pub facts: &'a dyn Facts,
    /// Whether this is linting, where `required` and `fail` let pass.
    pub lint: bool,
    /// The evaluator.
    pub templates: &'a mut dyn Templates,
}

/// An error of a function: its text, and below it the texts of the errors that it wraps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The whole text, with what it wraps.
    pub text: String,
    /// How long the texts of what it wraps are, innermost first; each is an end of the whole text.
    wrapped: Vec<usize>,
}

impl Failure {
    /// An error that wraps none.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), wrapped: Vec::new() }
    }

    /// Puts a text before an error, as Go's `%w` at the end does.
    pub fn wrapping(before: &str, mut inner: Self) -> Self {
        inner.wrapped.push(inner.text.len());
        inner.text.insert_str(0, before);
        inner
    }

    /// Its text and those of what it wraps, outermost first. How Helm lays out an error depends on them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let inner = self.wrapped.iter().rev().map(|length| &self.text[self.text.len() - length..]);
        std::iter::once(self.text.as_str()).chain(inner)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl Function {
    /// A function of a fixed number of arguments.
    pub const fn fixed(name: &'static str, params: &'static [Type], doc: &'static str, call: Body) -> Self {
        Self { name, params, variadic: false, doc, call }
    }

    /// A function whose last parameter takes any number of arguments.
    pub const fn many(name: &'static str, params: &'static [Type], doc: &'static str, call: Body) -> Self {
        Self { name, params, variadic: true, doc, call }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.params)
    }
}

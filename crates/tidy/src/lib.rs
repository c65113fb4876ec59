//! Rules on the repository itself: layers, lengths, names, errors and documents.
//!
//! Each rule is a pure function from sources to findings, so that it has tests of its own; `tests/repository.rs` runs
//! all of them on this repository. A finding names the file, the line, and what to write instead.

pub mod documents;
pub mod errors;
pub mod layers;
pub mod lengths;
pub mod names;
pub mod sources;

use std::fmt;

/// Something in the repository that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root of the repository.
    pub path: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// What is wrong and what to write instead.
    pub text: String,
}

impl Finding {
    /// A finding on `line` of `path`.
    pub fn new(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

//! From characters to tokens, by the rules of YAML 1.1 as go-yaml's scanner applies them: the same documents pass, and
//! the same error on the same line is given for those that do not. It never builds nodes.

mod block;
mod directive;
mod fetch;
mod flow;
mod tag;

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

use super::input::{END, Input};

/// A place in the document; lines and columns count from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) index: usize,
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    StreamEnd,
    Version(u8, u8),
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar { value: String, plain: bool },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: Mark,
    pub(super) end: Mark,
}

/// A problem, worded and located.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) text: String,
    /// The line as go-yaml says it; zero is not said.
    pub(super) line: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    token: usize,
    mark: Mark,
}

type Scan<T> = Result<T, Problem>;

/// Deeper nesting is refused, so that no later walk runs out of stack.
pub(super) const DEPTH_MAX: usize = 1000;
/// A key without `?` ends after so many characters.
const SIMPLE_KEY_MAX: usize = 1024;

pub(super) struct Scanner {
    input: Input,
    /// Something was looked for behind the last character.
    beyond: Cell<bool>,
    mark: Mark,
    tokens: VecDeque<Token>,
    taken: usize,
    ended: bool,
    indent: i64,
    indents: Vec<i64>,
    flow_level: usize,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    /// Empty, but with room from scalars before.
    gap: flow::Gap,
    /// Of tokens that were not taken yet.
    simple_keys_by_token: BTreeMap<usize, usize>,
}

impl Scanner {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input,
            beyond: Cell::new(false),
            mark: Mark::default(),
            tokens: VecDeque::new(),
            taken: 0,
            ended: false,
            indent: -1,
            indents: Vec::new(),
            flow_level: 0,
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            simple_keys_by_token: BTreeMap::new(),
            gap: flow::Gap::default(),
        }
    }

    /// The next token, which stays.
    pub(super) fn peek(&mut self) -> Scan<&Token> {
        let fetched = self.fetch_more();
        if let Some(fault) = self.input.fault.filter(|_| self.beyond.get()) {
            return Err(Problem { text: fault.to_owned(), line: 0 });
        }
        fetched?;
        self.tokens.front().ok_or_else(nothing)
    }

    /// Drops the token that was peeked at.
    pub(super) fn skip_token(&mut self) {
        self.take_token();
    }

    fn take_token(&mut self) -> Option<Token> {
        self.taken += 1;
        while let Some(first) = self.simple_keys_by_token.first_entry().filter(|first| *first.key() < self.taken) {
            first.remove();
        }
        self.tokens.pop_front()
    }

    /// The next token, taken.
    pub(super) fn next(&mut self) -> Scan<Token> {
        self.peek()?;
        self.take_token().ok_or_else(nothing)
    }

    fn fetch_more(&mut self) -> Scan<()> {
        loop {
            if !self.tokens.is_empty() {
                let Some(key) = self.simple_keys_by_token.get(&self.taken).copied() else { return Ok(()) };
                if !self.simple_key_is_valid(key)? {
                    return Ok(());
                }
            }
            if self.ended {
                return Ok(());
            }
            self.fetch_next()?;
        }
    }

    fn at(&self, ahead: usize) -> char {
        self.input.chars.get(self.mark.index + ahead).copied().unwrap_or_else(|| {
            self.beyond.set(true);
            END
        })
    }

    fn skip(&mut self) {
        self.mark.index += 1;
        self.mark.column += 1;
    }

    fn skip_line(&mut self) {
        if self.at(0) == '\r' && self.at(1) == '\n' {
            self.mark.index += 2;
        } else {
            self.mark.index += 1;
        }
        self.mark.column = 0;
        self.mark.line += 1;
    }

    /// Takes characters of one line as long as they go on.
    fn read_while(&mut self, into: &mut String, goes_on: impl Fn(&Self) -> bool) {
        let from = self.mark.index;
        while goes_on(self) {
            self.skip();
        }
        into.extend(self.input.chars.get(from..self.mark.index).unwrap_or_default());
    }

    fn read(&mut self, into: &mut String) {
        into.push(self.at(0));
        self.skip();
    }

    /// Takes a line break; the old ones of one character become line feeds.
    fn read_line(&mut self, into: &mut String) {
        into.push(match self.at(0) {
            c @ ('\u{2028}' | '\u{2029}') => c,
            _ => '\n',
        });
        self.skip_line();
    }

    fn skip_blanks(&mut self) {
        while is_blank(self.at(0)) {
            self.skip();
        }
    }

    fn skip_comment(&mut self) {
        if self.at(0) == '#' {
            while !is_break_or_end(self.at(0)) {
                self.skip();
            }
        }
    }

    fn at_document_indicator(&self) -> bool {
        if self.mark.column != 0 {
            return false;
        }
        let same = |c: char| self.at(0) == c && self.at(1) == c && self.at(2) == c;
        (same('-') || same('.')) && is_white_or_end(self.at(3))
    }

    /// A scanner's problem is located where the scanner stands.
    fn problem(&self, text: &str, context: Mark) -> Problem {
        let line = if self.mark.line == 0 { context.line } else { self.mark.line + 1 };
        Problem { text: text.to_owned(), line }
    }

    fn column(&self) -> i64 {
        i64::try_from(self.mark.column).unwrap_or(i64::MAX)
    }
}

fn nothing() -> Problem {
    Problem { text: "unknown problem parsing YAML content".to_owned(), line: 0 }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

fn is_break(c: char) -> bool {
    crate::yaml::scalar::is_break(c)
}

fn is_break_or_end(c: char) -> bool {
    is_break(c) || c == END
}

fn is_white_or_end(c: char) -> bool {
    is_blank(c) || is_break_or_end(c)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

//! Regular expressions as Go's package regexp has them, matched by crate regex's automata.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, meta};

use super::runes;
use crate::print::quote::quoted as quote;

mod class;
mod escape;
mod translate;
mod unicode_names;

/// Memory that one compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 128 << 20;
/// How many compiled patterns a thread keeps.
const KEPT_MAX: usize = 128;

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("invalid character class range")]
    CharacterRange,
    #[error("invalid escape sequence")]
    Escape,
    #[error("invalid named capture")]
    NamedCapture,
    #[error("invalid or unsupported Perl syntax")]
    PerlOperator,
    #[error("invalid nested repetition operator")]
    RepeatOperator,
    #[error("invalid repeat count")]
    RepeatSize,
    #[error("invalid UTF-8")]
    Utf8,
    #[error("missing closing ]")]
    MissingBracket,
    #[error("missing closing )")]
    MissingParen,
    #[error("missing argument to repetition operator")]
    MissingArgument,
    #[error("trailing backslash at end of expression")]
    TrailingBackslash,
    #[error("unexpected )")]
    UnexpectedParen,
    #[error("expression nests too deeply")]
    Nesting,
    #[error("expression too large")]
    Large,
}

/// Why a pattern is none; the wording is Go's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {problem}: `{part}`")]
pub struct SyntaxError {
    problem: Problem,
    part: String,
}

impl SyntaxError {
    fn new(problem: Problem, part: &[u8]) -> SyntaxError {
        SyntaxError { problem, part: crate::value::lossy(part).into_owned() }
    }

    /// What Go's `MustCompile` says before it.
    pub fn compiling(&self, pattern: &[u8]) -> String {
        let plain = std::str::from_utf8(pattern).ok().filter(|text| {
            !text.chars().any(|character| matches!(character, '\0'..='\u{8}' | '\n'..='\u{1f}' | '`' | '\u{7f}' | '\u{feff}'))
        });
        let shown = plain.map_or_else(|| quote(pattern), |text| format!("`{text}`"));
        format!("regexp: Compile({shown}): {self}")
    }
}

/// A compiled pattern.
pub struct Regexp {
    regex: Regex,
    names: Vec<String>,
    empty: bool,
}

thread_local! {
    static KEPT: RefCell<HashMap<Vec<u8>, Rc<Regexp>>> = RefCell::default();
}

/// Compiles a pattern, or finds it compiled.
pub fn compile(pattern: &[u8]) -> Result<Rc<Regexp>, SyntaxError> {
    if let Some(found) = KEPT.with_borrow(|kept| kept.get(pattern).cloned()) {
        return Ok(found);
    }
    let translation = translate::translate(pattern)?;
    let built = meta::Builder::new()
        .syntax(syntax::Config::new().utf8(false).nest_limit(2000))
        .configure(meta::Config::new().utf8_empty(true).nfa_size_limit(Some(COMPILED_BYTES_MAX)))
        .build(&translation.pattern);
    let regex = built.map_err(|_| SyntaxError::new(Problem::Large, pattern))?;
    let compiled = Rc::new(Regexp { regex, names: translation.names, empty: pattern.is_empty() });
    KEPT.with_borrow_mut(|kept| {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(pattern.to_vec(), Rc::clone(&compiled));
    });
    Ok(compiled)
}

/// A text made valid for matching, with the way back: Go reads each invalid byte as U+FFFD.
struct Haystack {
    text: Vec<u8>,
    /// For each byte of `text`, and its end, the place in the original; none where they are alike.
    places: Option<Vec<usize>>,
}

impl Haystack {
    fn of(original: &[u8]) -> Haystack {
        if std::str::from_utf8(original).is_ok() {
            return Haystack { text: original.to_vec(), places: None };
        }
        let (mut text, mut places) = (Vec::new(), Vec::new());
        for (at, character) in runes::indices(original) {
            let length = character.encode_utf8(&mut [0; 4]).len();
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            places.extend(std::iter::repeat_n(at, length));
        }
        places.push(original.len());
        Haystack { text, places: Some(places) }
    }

    fn place(&self, at: usize) -> usize {
        self.places.as_ref().map_or(at, |places| places[at])
    }

    /// How long the character at a place is; zero at the end.
    fn width(&self, at: usize) -> usize {
        runes::first(&self.text[at..]).map_or(0, |(_, length)| length)
    }
}

impl Regexp {
    fn search(&self, haystack: &Haystack, from: usize, captures: &mut Captures) -> Option<(usize, usize)> {
        let input = Input::new(&haystack.text).range(from..).anchored(Anchored::No);
        self.regex.search_captures(&input, captures);
        captures.get_match().map(|found| (found.start(), found.end()))
    }

    /// Whether it matches anywhere.
    pub fn is_match(&self, text: &[u8]) -> bool {
        let haystack = Haystack::of(text);
        self.regex.is_match(Input::new(&haystack.text))
    }

    /// The first match.
    pub fn find<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        self.find_all(text, 1).first().map(|(start, end)| &text[*start..*end])
    }

    /// Matches one after the other, at most `limit` where it is not negative.
    pub fn find_all(&self, text: &[u8], limit: i64) -> Vec<(usize, usize)> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let haystack = Haystack::of(text);
        let mut captures = self.regex.create_captures();
        let mut found = Vec::new();
        let (mut at, mut last_end) = (0, None);
        while found.len() < limit && at <= haystack.text.len() {
            let Some((start, end)) = self.search(&haystack, at, &mut captures) else { break };
            // An empty match right behind another is none.
            let accepted = end != at || Some(start) != last_end;
            at = if end == at { at + haystack.width(at).max(1) } else { end };
            last_end = Some(end);
            if accepted {
                found.push((haystack.place(start), haystack.place(end)));
            }
        }
        found
    }

    /// Every match replaced; `replacement` writes what stands for one, `limit` says when it is too much.
    fn replace(
        &self,
        text: &[u8],
        limit: usize,
        mut replacement: impl FnMut(&mut Vec<u8>, &Haystack, &Captures),
    ) -> Option<Vec<u8>> {
        let haystack = Haystack::of(text);
        let mut captures = self.regex.create_captures();
        let mut out = Vec::with_capacity(text.len());
        let (mut copied, mut at) = (0, 0);
        while at <= haystack.text.len() {
            let Some((start, end)) = self.search(&haystack, at, &mut captures) else { break };
            out.extend_from_slice(&text[haystack.place(copied)..haystack.place(start)]);
            if end > copied || start == 0 {
                replacement(&mut out, &haystack, &captures);
            }
            if out.len() > limit {
                return None;
            }
            copied = end;
            let width = haystack.width(at);
            at = if at + width > end {
                at + width
            } else if at + 1 > end {
                at + 1
            } else {
                end
            };
        }
        out.extend_from_slice(&text[haystack.place(copied)..]);
        Some(out)
    }

    /// Every match replaced by a text as it is; nothing where that would be too long.
    pub fn replace_literally(&self, text: &[u8], with: &[u8], limit: usize) -> Option<Vec<u8>> {
        self.replace(text, limit, |out, _, _| out.extend_from_slice(with))
    }

    /// Every match replaced by a text with `$1` and `${name}` filled in; nothing where that would be too long.
    pub fn replace_all(&self, text: &[u8], template: &[u8], limit: usize) -> Option<Vec<u8>> {
        self.replace(text, limit, |out, haystack, captures| self.expand(out, template, text, haystack, captures))
    }

    fn expand(&self, out: &mut Vec<u8>, template: &[u8], text: &[u8], haystack: &Haystack, captures: &Captures) {
        let mut rest = template;
        while let Some(at) = rest.iter().position(|byte| *byte == b'$') {
            out.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with(b"$$") {
                out.push(b'$');
                rest = &rest[2..];
                continue;
            }
            let Some((name, after)) = reference(rest) else {
                out.push(b'$');
                rest = &rest[1..];
                continue;
            };
            rest = after;
            let group =
                |index: usize| captures.get_group(index).map(|span| &text[haystack.place(span.start)..haystack.place(span.end)]);
            let found = match number(name) {
                Some(index) => group(index),
                None => (0..self.names.len()).filter(|index| self.names[*index].as_bytes() == name).find_map(group),
            };
            out.extend_from_slice(found.unwrap_or_default());
        }
        out.extend_from_slice(rest);
    }

    /// The parts between matches, at most `limit` where it is not negative; none at all for zero.
    pub fn split<'a>(&self, text: &'a [u8], limit: i64) -> Option<Vec<&'a [u8]>> {
        if limit == 0 {
            return None;
        }
        if !self.empty && text.is_empty() {
            return Some(vec![b""]);
        }
        let mut parts = Vec::new();
        let (mut begin, mut end) = (0, 0);
        for (start, after) in self.find_all(text, limit) {
            if limit > 0 && parts.len() as i64 == limit - 1 {
                break;
            }
            end = start;
            if after != 0 {
                parts.push(&text[begin..end]);
            }
            begin = after;
        }
        if end != text.len() {
            parts.push(&text[begin..]);
        }
        Some(parts)
    }
}

/// The name in `$name` or `${name}`, and what follows.
fn reference(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let braced = rest.get(1) == Some(&b'{');
    let name = &rest[if braced { 2 } else { 1 }..];
    let belongs = |character: char| runes::is_letter(character) || runes::is_digit(character) || character == '_';
    let length = runes::indices(name).find(|(_, character)| !belongs(*character)).map_or(name.len(), |(at, _)| at);
    let (name, after) = name.split_at(length);
    if name.is_empty() {
        return None;
    }
    if braced { after.strip_prefix(b"}").map(|after| (name, after)) } else { Some((name, after)) }
}

/// The number that a name is, as Go reads it: no zero before other digits, nothing huge.
fn number(name: &[u8]) -> Option<usize> {
    let all_digits = name.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(name).ok().filter(|_| all_digits)?.parse::<usize>().ok()?;
    (number < 1_000_000_000 && !(name[0] == b'0' && name.len() > 1)).then_some(number)
}

/// Puts backslashes before everything that means something in a pattern.
pub fn quote_meta(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if br"\.+*?()|[]{}^$".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

//! Go's syntax of regular expressions, checked with Go's errors and written in that of crate regex.

use super::super::runes;
use super::class::{escape_into, parse_class, perl_class, unicode_class};
use super::escape::parse_escape;
use super::{Problem, SyntaxError};

/// Groups in groups that are still read; Go refuses at a few hundred too, by the height of its tree.
const DEPTH_MAX: usize = 330;
/// The greatest product of counted repetitions in one another.
const REPEAT_MAX: u32 = 1000;

/// What a pattern became.
pub struct Translation {
    /// The pattern for crate regex.
    pub pattern: String,
    /// The names of the groups, by number; of most there is none.
    pub names: Vec<String>,
}

/// Flags that are in force.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    /// Letters match in either case.
    pub fold: bool,
    multi_line: bool,
    dot_all: bool,
    ungreedy: bool,
}

/// A piece that a repetition can stand behind.
struct Atom {
    text: String,
    /// The product of the counted repetitions inside.
    weight: u32,
}

/// A group that is open.
struct Group {
    opening: &'static str,
    alternatives: Vec<String>,
    atoms: Vec<Atom>,
    flags: Flags,
    weight: u32,
}

impl Group {
    fn new(opening: &'static str, flags: Flags) -> Group {
        Group { opening, alternatives: Vec::new(), atoms: Vec::new(), flags, weight: 1 }
    }

    fn end_alternative(&mut self) {
        self.weight = self.atoms.iter().map(|atom| atom.weight).fold(self.weight, u32::max);
        self.alternatives.push(std::mem::take(&mut self.atoms).into_iter().map(|atom| atom.text).collect());
    }
}

struct Translator<'a> {
    whole: &'a [u8],
    groups: Vec<Group>,
    flags: Flags,
    names: Vec<String>,
}

/// Translates a pattern.
pub fn translate(pattern: &[u8]) -> Result<Translation, SyntaxError> {
    let mut translator = Translator {
        whole: pattern,
        groups: vec![Group::new("", Flags::default())],
        flags: Flags::default(),
        names: vec![String::new()],
    };
    let mut rest = pattern;
    let mut last_repeat: Option<&[u8]> = None;
    while !rest.is_empty() {
        let before = rest;
        let (after, repeated) = translator.step(rest, last_repeat)?;
        last_repeat = repeated.then_some(before);
        rest = after;
    }
    if translator.groups.len() > 1 {
        return Err(SyntaxError::new(Problem::MissingParen, pattern));
    }
    let text = translator.close();
    Ok(Translation { pattern: text.text, names: translator.names })
}

impl<'a> Translator<'a> {
    fn push(&mut self, text: String) {
        if let Some(group) = self.groups.last_mut() {
            group.atoms.push(Atom { text, weight: 1 });
        }
    }

    fn literal(&mut self, character: char) {
        let mut text = String::new();
        escape_into(&mut text, u32::from(character));
        self.push(if self.flags.fold { format!("(?i:{text})") } else { text });
    }

    /// Reads one thing; says what follows it and whether it was a repetition.
    fn step(&mut self, rest: &'a [u8], last_repeat: Option<&[u8]>) -> Result<(&'a [u8], bool), SyntaxError> {
        let next = &rest[1..];
        let after = match rest[0] {
            b'(' if next.first() == Some(&b'?') => self.open_flags(rest)?,
            b'(' => {
                self.open("(", String::new())?;
                next
            }
            b'|' => {
                if let Some(group) = self.groups.last_mut() {
                    group.end_alternative();
                }
                next
            }
            b')' => {
                if self.groups.len() < 2 {
                    return Err(SyntaxError::new(Problem::UnexpectedParen, self.whole));
                }
                let atom = self.close();
                if let Some(group) = self.groups.last_mut() {
                    group.atoms.push(atom);
                }
                next
            }
            b'^' => {
                self.push(if self.flags.multi_line { "(?m:^)" } else { r"\A" }.to_owned());
                next
            }
            b'$' => {
                self.push(if self.flags.multi_line { "(?m:$)" } else { r"\z" }.to_owned());
                next
            }
            b'.' => {
                self.push(if self.flags.dot_all { "(?s:.)" } else { r"[^\n]" }.to_owned());
                next
            }
            b'[' => {
                let (class, after) = parse_class(rest, self.flags)?;
                self.push(class);
                after
            }
            b'*' | b'+' | b'?' => {
                let sign = char::from(rest[0]).to_string();
                return Ok((self.repeat(&sign, None, rest, next, last_repeat)?, true));
            }
            b'{' => match parse_repeat(rest) {
                None => {
                    self.literal('{');
                    next
                }
                Some((min, max, after)) => {
                    let over = |count: i64| count > i64::from(REPEAT_MAX);
                    if min < 0 || over(min) || max.is_some_and(|max| over(max) || max < min) {
                        return Err(SyntaxError::new(Problem::RepeatSize, &rest[..rest.len() - after.len()]));
                    }
                    let sign = match max {
                        None => format!("{{{min},}}"),
                        Some(max) => format!("{{{min},{max}}}"),
                    };
                    return Ok((self.repeat(&sign, Some((min as u32, max)), rest, after, last_repeat)?, true));
                }
            },
            b'\\' => self.backslash(rest)?,
            _ => {
                let (character, after) = next_rune(rest)?;
                self.literal(character);
                after
            }
        };
        Ok((after, false))
    }

    fn open(&mut self, opening: &'static str, name: String) -> Result<(), SyntaxError> {
        if self.groups.len() > DEPTH_MAX {
            return Err(SyntaxError::new(Problem::Nesting, self.whole));
        }
        if opening == "(" {
            self.names.push(name);
        }
        self.groups.push(Group::new(opening, self.flags));
        Ok(())
    }

    /// Closes the innermost group.
    fn close(&mut self) -> Atom {
        let Some(mut group) = self.groups.pop() else { return Atom { text: String::new(), weight: 1 } };
        group.end_alternative();
        self.flags = group.flags;
        let inner = group.alternatives.join("|");
        let text = if group.opening.is_empty() { inner } else { format!("{}{inner})", group.opening) };
        Atom { text, weight: group.weight }
    }

    fn repeat(
        &mut self,
        sign: &str,
        counts: Option<(u32, Option<i64>)>,
        before: &'a [u8],
        after: &'a [u8],
        last_repeat: Option<&[u8]>,
    ) -> Result<&'a [u8], SyntaxError> {
        let (after, lazy) = match after {
            [b'?', rest @ ..] => (rest, true),
            _ => (after, false),
        };
        if let Some(last) = last_repeat {
            return Err(SyntaxError::new(Problem::RepeatOperator, &last[..last.len() - after.len()]));
        }
        let shown = &before[..before.len() - after.len()];
        let atom = self.groups.last_mut().and_then(|group| group.atoms.last_mut());
        let atom = atom.ok_or_else(|| SyntaxError::new(Problem::MissingArgument, shown))?;
        if let Some((min, max)) = counts {
            let most = max.unwrap_or(i64::from(min)) as u32;
            atom.weight = if max == Some(0) { 1 } else { atom.weight.saturating_mul(most.max(1)) };
            if (min >= 2 || most >= 2) && atom.weight > REPEAT_MAX {
                return Err(SyntaxError::new(Problem::RepeatSize, shown));
            }
        }
        let lazy = if lazy != self.flags.ungreedy { "?" } else { "" };
        atom.text = format!("(?:{}){sign}{lazy}", atom.text);
        Ok(after)
    }

    fn backslash(&mut self, rest: &'a [u8]) -> Result<&'a [u8], SyntaxError> {
        let Some(second) = rest.get(1) else { return Err(SyntaxError::new(Problem::TrailingBackslash, b"")) };
        let plain = match second {
            b'A' => Some(r"\A"),
            b'b' => Some(r"(?-u:\b)"),
            b'B' => Some(r"(?-u:\B)"),
            b'z' => Some(r"\z"),
            b'C' => return Err(SyntaxError::new(Problem::Escape, &rest[..2])),
            b'Q' => return self.quoted(&rest[2..]),
            _ => None,
        };
        if let Some(plain) = plain {
            self.push(plain.to_owned());
            return Ok(&rest[2..]);
        }
        if let Some((class, after)) = unicode_class(rest)? {
            self.push(if self.flags.fold { format!("(?i:{class})") } else { class });
            return Ok(after);
        }
        if let Some(class) = perl_class(*second) {
            self.push(if self.flags.fold { format!("(?i:{class})") } else { class.to_owned() });
            return Ok(&rest[2..]);
        }
        let (code, after) = parse_escape(rest)?;
        let mut text = String::new();
        escape_into(&mut text, code);
        self.push(if self.flags.fold { format!("(?i:{text})") } else { text });
        Ok(after)
    }

    fn quoted(&mut self, rest: &'a [u8]) -> Result<&'a [u8], SyntaxError> {
        let end = rest.windows(2).position(|pair| pair == br"\E");
        let mut literal = &rest[..end.unwrap_or(rest.len())];
        while !literal.is_empty() {
            let (character, after) = next_rune(literal)?;
            self.literal(character);
            literal = after;
        }
        Ok(end.map_or(&[], |end| &rest[end + 2..]))
    }

    /// `(?flags)`, `(?flags:`, `(?P<name>` and `(?<name>`.
    fn open_flags(&mut self, rest: &'a [u8]) -> Result<&'a [u8], SyntaxError> {
        let named = if rest.len() > 4 && rest.starts_with(b"(?P<") { 4 } else { 3 };
        if named == 4 || rest.len() > 3 && rest[2] == b'<' {
            let Some(end) = rest.iter().position(|byte| *byte == b'>') else {
                check_utf8(rest)?;
                return Err(SyntaxError::new(Problem::NamedCapture, rest));
            };
            let name = &rest[named..end];
            check_utf8(name)?;
            if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                return Err(SyntaxError::new(Problem::NamedCapture, &rest[..=end]));
            }
            self.open("(", String::from_utf8_lossy(name).into_owned())?;
            return Ok(&rest[end + 1..]);
        }
        let (mut flags, mut on, mut saw) = (self.flags, true, false);
        let mut left = &rest[2..];
        while !left.is_empty() {
            let (character, after) = next_rune(left)?;
            left = after;
            match character {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_all = on,
                'U' => flags.ungreedy = on,
                '-' if on => {
                    (on, saw) = (false, false);
                    continue;
                }
                ':' | ')' if on || saw => {
                    if character == ':' {
                        self.open("(?:", String::new())?;
                    }
                    self.flags = flags;
                    return Ok(left);
                }
                _ => break,
            }
            saw = true;
        }
        Err(SyntaxError::new(Problem::PerlOperator, &rest[..rest.len() - left.len()]))
    }
}

/// The next character, which must be UTF-8. At the end it is U+FFFD, which no syntax has.
pub fn next_rune(rest: &[u8]) -> Result<(char, &[u8]), SyntaxError> {
    match runes::first(rest) {
        None => Ok((runes::INVALID, rest)),
        Some((runes::INVALID, 1)) => Err(SyntaxError::new(Problem::Utf8, rest)),
        Some((character, length)) => Ok((character, &rest[length..])),
    }
}

/// Refuses what is not UTF-8.
pub fn check_utf8(text: &[u8]) -> Result<(), SyntaxError> {
    std::str::from_utf8(text).map(drop).map_err(|_| SyntaxError::new(Problem::Utf8, text))
}

/// `{min}`, `{min,}` or `{min,max}`: least, most where there is one, and what follows. A count that is far too large is -1.
fn parse_repeat(rest: &[u8]) -> Option<(i64, Option<i64>, &[u8])> {
    let (mut min, rest) = parse_count(rest.strip_prefix(b"{")?)?;
    if let Some(rest) = rest.strip_prefix(b"}") {
        return Some((min, Some(min), rest));
    }
    let rest = rest.strip_prefix(b",")?;
    if let Some(rest) = rest.strip_prefix(b"}") {
        return Some((min, None, rest));
    }
    let (max, rest) = parse_count(rest)?;
    if max < 0 {
        min = -1;
    }
    Some((min, Some(max), rest.strip_prefix(b"}")?))
}

fn parse_count(rest: &[u8]) -> Option<(i64, &[u8])> {
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || digits > 1 && rest[0] == b'0' {
        return None;
    }
    let mut count = 0i64;
    for byte in &rest[..digits] {
        if count >= 100_000_000 {
            return Some((-1, &rest[digits..]));
        }
        count = count * 10 + i64::from(byte - b'0');
    }
    Some((count, &rest[digits..]))
}

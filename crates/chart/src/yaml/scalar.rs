//! Which style a scalar takes on its way out. It never writes.

use super::order::Generation;
use super::resolve::{Resolved, is_base_60, resolve};

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// What a walk over the text found.
#[derive(Default)]
struct Facts {
    indicators: bool,
    breaks: bool,
    special: bool,
    tabs: bool,
    leading: bool,
    trailing_space: bool,
    trailing_break: bool,
    break_then_space: bool,
    space_then_break: bool,
}

/// A line break by YAML 1.1: also NEL, LS and PS.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What go-yaml leaves unescaped: nothing beyond the basic plane.
pub(super) fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// The style of a piece of text, as a key of a mapping or elsewhere; and whether it has more than one line.
pub(super) fn style_of(text: &str, as_key: bool, generation: Generation) -> (Style, bool) {
    let facts = look_at(text, generation);
    let wished = if text.contains('\n') {
        Style::Literal
    } else if resolve(text) == Resolved::Text && !is_base_60(text) && !reads_as_octal(text, generation) {
        Style::Plain
    } else {
        Style::DoubleQuoted
    };
    (settle(wished, text, &facts, as_key), facts.breaks)
}

/// The third generation takes a sign behind `0o`, which Go's parser refuses.
fn reads_as_octal(text: &str, generation: Generation) -> bool {
    if generation == Generation::Second {
        return false;
    }
    let plain = text.replace('_', "");
    let signed = plain.strip_prefix("-0o").map(|rest| format!("-{rest}"));
    let digits = plain.strip_prefix("0o").map(str::to_owned).or(signed);
    digits.is_some_and(|digits| i64::from_str_radix(&digits, 8).is_ok())
}

fn settle(wished: Style, text: &str, facts: &Facts, as_key: bool) -> Style {
    let unquotable = facts.space_then_break || facts.special;
    let plain_allowed = !(facts.indicators
        || facts.leading
        || facts.trailing_space
        || facts.trailing_break
        || facts.break_then_space
        || facts.breaks
        || facts.tabs
        || unquotable);
    let single_allowed = !(facts.break_then_space || facts.tabs || unquotable);
    let block_allowed = !(text.is_empty() || facts.trailing_space || unquotable);
    let mut style = wished;
    if as_key && facts.breaks {
        style = Style::DoubleQuoted;
    }
    if style == Style::Plain && (!plain_allowed || (text.is_empty() && as_key)) {
        style = Style::SingleQuoted;
    }
    if style == Style::SingleQuoted && !single_allowed {
        style = Style::DoubleQuoted;
    }
    if style == Style::Literal && (!block_allowed || as_key) {
        style = Style::DoubleQuoted;
    }
    style
}

fn look_at(text: &str, generation: Generation) -> Facts {
    let mut facts = Facts { indicators: text.starts_with("---") || text.starts_with("..."), ..Facts::default() };
    let mut after_white = true;
    let (mut after_space, mut after_break) = (false, false);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let before_white = next.is_none_or(is_blank);
        facts.indicators |= if at == 0 {
            match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => true,
                '?' | ':' | '-' => before_white,
                _ => false,
            }
        } else {
            (c == ':' && before_white) || (c == '#' && after_white)
        };
        if c == '\t' && generation == Generation::Third {
            facts.tabs = true;
        } else if !is_printable(c) {
            facts.special = true;
        }
        if c == ' ' {
            facts.leading |= at == 0;
            facts.trailing_space |= next.is_none();
            facts.break_then_space |= after_break;
        } else if is_break(c) {
            facts.breaks = true;
            facts.leading |= at == 0;
            facts.trailing_break |= next.is_none();
            facts.space_then_break |= after_space;
        }
        after_space = c == ' ';
        after_break = is_break(c);
        after_white = is_blank(c) || after_break || c == '\0';
    }
    facts
}

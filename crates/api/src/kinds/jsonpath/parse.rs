//! Reading a JSON path.

use super::{Compare, Step};
use crate::document::Value;

/// The steps of a path, with or without the braces of a template and the `$` of the root.
pub(super) fn steps(text: &str) -> Option<Vec<Step>> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let mut rest = text.strip_prefix('$').unwrap_or(text);
    let mut steps = Vec::new();
    while !rest.is_empty() {
        rest = if let Some(below) = rest.strip_prefix("..") {
            let (name, rest) = name(below)?;
            steps.push(Step::Anywhere(name));
            rest
        } else if let Some(inside) = rest.strip_prefix('[') {
            let end = closing(inside)?;
            steps.push(bracket(&inside[..end])?);
            &inside[end + 1..]
        } else {
            let rest = rest.strip_prefix('.').unwrap_or(rest);
            if rest.is_empty() && steps.is_empty() {
                return Some(steps);
            }
            let (name, rest) = name(rest)?;
            steps.push(if name == "*" { Step::Every } else { Step::Field(name) });
            rest
        };
    }
    Some(steps)
}

/// A field's name up to the next `.` or `[`; a backslash keeps one of them in the name.
fn name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = text.char_indices();
    let mut end = text.len();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            '.' | '[' => {
                end = at;
                break;
            }
            other => name.push(other),
        }
    }
    (!name.is_empty()).then(|| (name, &text[end..]))
}

/// Where the bracket ends, quotes and inner brackets heeded.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if open == letter => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(text: &str) -> Option<Step> {
    let text = text.trim();
    if text == "*" {
        return Some(Step::Every);
    }
    if let Some(filter) = text.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        return filter_step(filter);
    }
    if let Some(name) = quoted(text) {
        return Some(Step::Field(name));
    }
    if let Some((from, to)) = text.split_once(':') {
        let bound = |text: &str| if text.trim().is_empty() { Some(None) } else { text.trim().parse().ok().map(Some) };
        return Some(Step::Slice(bound(from)?, bound(to)?));
    }
    text.parse().ok().map(Step::Index)
}

fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|letter| matches!(letter, '\'' | '"'))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    Some(inner.replace("\\.", "."))
}

fn filter_step(text: &str) -> Option<Step> {
    const OPERATORS: [(&str, Compare); 6] = [
        ("==", Compare::Equal),
        ("!=", Compare::Unequal),
        ("<=", Compare::AtMost),
        (">=", Compare::AtLeast),
        ("<", Compare::Less),
        (">", Compare::Greater),
    ];
    let path = |text: &str| steps(text.trim().strip_prefix('@')?);
    let found =
        OPERATORS.iter().filter_map(|(sign, compare)| text.find(sign).map(|at| (at, *sign, *compare))).min_by_key(|(at, ..)| *at);
    let Some((at, sign, compare)) = found else { return Some(Step::Filter(path(text)?, None)) };
    let literal = text[at + sign.len()..].trim();
    let wanted = match quoted(literal) {
        Some(text) => Value::String(text),
        None => Value::parse_json(literal.as_bytes()).ok()?.0,
    };
    Some(Step::Filter(path(&text[..at])?, Some((compare, wanted))))
}

//! Patterns of `.Files.Glob`: `*` within a folder, `**` across, `?`, `[a-z]`, `[!abc]`, `{one,two}`, and `\` before what is meant as it
//! stands. A pattern that is none matches everything, as Helm has it.

use regex::Regex;

/// A pattern.
pub(super) struct Glob(Option<Regex>);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self(translate(pattern).and_then(|text| Regex::new(&text).ok()))
    }

    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(path))
    }
}

/// The regular expression of a pattern; nothing where it is broken.
fn translate(pattern: &str) -> Option<String> {
    let mut out = String::from("(?s)^");
    let mut rest = pattern.chars().peekable();
    let mut open = 0_usize;
    while let Some(it) = rest.next() {
        match it {
            '*' => {
                let across = rest.next_if_eq(&'*').is_some();
                out.push_str(if across { ".*" } else { "[^/]*" });
            }
            '?' => out.push_str("[^/]"),
            '[' => out.push_str(&class(&mut rest)?),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            ',' if open > 0 => out.push('|'),
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            '\\' => out.push_str(&literal(rest.next()?)),
            plain => out.push_str(&literal(plain)),
        }
    }
    out.extend(std::iter::repeat_n(')', open));
    out.push('$');
    Some(out)
}

fn literal(it: char) -> String {
    regex::escape(it.encode_utf8(&mut [0; 4]))
}

/// What follows `[`: a range of two characters or a set, never both.
fn class(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let negated = rest.next_if_eq(&'!').is_some();
    let mut inner = Vec::new();
    loop {
        match rest.next()? {
            ']' => break,
            '\\' => inner.push(rest.next()?),
            plain => inner.push(plain),
        }
    }
    let body = match inner[..] {
        [] => return None,
        [low, '-', high] if low <= high => format!("{}-{}", literal(low), literal(high)),
        [_, '-', ..] => return None,
        _ => inner.iter().map(|it| literal(*it)).collect(),
    };
    Some(format!("[{}{body}]", if negated { "^" } else { "" }))
}

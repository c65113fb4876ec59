//! `.helmignore`. It never walks folders: it answers for one path at a time.

/// The rules of one file.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// Why a rule is refused; the texts are Helm's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IgnoreError {
    /// Not supported.
    #[error("double-star (**) syntax is not supported")]
    DoubleStar,
    /// A bracket is not closed, or a backslash ends it.
    #[error("syntax error in pattern")]
    Pattern,
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    negated: bool,
    folders_only: bool,
    /// The pattern is for the whole path.
    whole: bool,
}

impl Rules {
    /// Reads the rules of a file, and adds the one that always holds.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let mut rules = Self::default();
        for line in text.trim_start_matches('\u{feff}').lines() {
            rules.add(line.trim())?;
        }
        rules.add("templates/.?*")?;
        Ok(rules)
    }

    fn add(&mut self, rule: &str) -> Result<(), IgnoreError> {
        if rule.is_empty() || rule.starts_with('#') {
            return Ok(());
        }
        if rule.contains("**") {
            return Err(IgnoreError::DoubleStar);
        }
        matches(rule, "abc")?;
        let (negated, rule) = rule.strip_prefix('!').map_or((false, rule), |rest| (true, rest));
        let (folders_only, rule) = rule.strip_suffix('/').map_or((false, rule), |rest| (true, rest));
        let whole = rule.contains('/');
        let pattern = rule.strip_prefix('/').unwrap_or(rule).to_owned();
        self.rules.push(Rule { pattern, negated, folders_only, whole });
        Ok(())
    }

    /// Whether a file or folder is left out. A negated rule leaves out everything that it does not match.
    #[must_use]
    pub fn ignores(&self, path: &str, is_folder: bool) -> bool {
        if matches!(path, "" | "." | "./") {
            return false;
        }
        for rule in &self.rules {
            let name = if rule.whole { path } else { path.rsplit('/').next().unwrap_or(path) };
            let fits = || matches(&rule.pattern, name).unwrap_or(false);
            if rule.negated {
                if (rule.folders_only && !is_folder) || !fits() {
                    return true;
                }
            } else if (!rule.folders_only || is_folder) && fits() {
                return true;
            }
        }
        false
    }
}

/// Go's `filepath.Match`: `*` and `?` stop at slashes, `[a-z]` and `[^a]` are classes, a backslash escapes. A fault in
/// the pattern is only found where matching gets that far.
pub fn matches(pattern: &str, name: &str) -> Result<bool, IgnoreError> {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut pattern, mut name) = (pattern.as_slice(), name.as_slice());
    'chunks: while !pattern.is_empty() {
        let (star, chunk, rest) = next_chunk(pattern);
        pattern = rest;
        if star && chunk.is_empty() {
            return Ok(!name.contains(&'/'));
        }
        let fits = |left: &[char]| left.is_empty() || !rest.is_empty();
        if let Some(left) = match_chunk(chunk, name)?.filter(|left| fits(left)) {
            name = left;
            continue;
        }
        if star {
            let steps = name.iter().take_while(|c| **c != '/').count();
            for skipped in 1..=steps {
                if let Some(left) = match_chunk(chunk, &name[skipped..])?.filter(|left| fits(left)) {
                    name = left;
                    continue 'chunks;
                }
            }
        }
        return Ok(false);
    }
    Ok(name.is_empty())
}

/// Whether stars lead, what follows up to the next star outside of a class, and the rest.
fn next_chunk(pattern: &[char]) -> (bool, &[char], &[char]) {
    let stars = pattern.iter().take_while(|c| **c == '*').count();
    let rest = &pattern[stars..];
    let mut in_class = false;
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 1,
            '[' => in_class = true,
            ']' => in_class = false,
            '*' if !in_class => break,
            _ => {}
        }
        at += 1;
    }
    let at = at.min(rest.len());
    (stars > 0, &rest[..at], &rest[at..])
}

/// What is left of the name after the chunk, if it starts with it. The chunk is read to its end in any case.
fn match_chunk<'n>(mut chunk: &[char], mut name: &'n [char]) -> Result<Option<&'n [char]>, IgnoreError> {
    let mut failed = false;
    while let [first, rest @ ..] = chunk {
        failed |= name.is_empty();
        let c = if failed { None } else { name.first().copied() };
        let (fits, after) = match first {
            '[' => class(rest, c)?,
            '?' => (c != Some('/'), rest),
            '\\' => match rest {
                [] => return Err(IgnoreError::Pattern),
                [wanted, rest @ ..] => (c == Some(*wanted), rest),
            },
            wanted => (c == Some(*wanted), rest),
        };
        failed |= !fits;
        name = name.get(1..).unwrap_or_default();
        chunk = after;
    }
    Ok((!failed).then_some(name))
}

/// Whether a class, read after its bracket, has the character, and what follows it.
fn class(pattern: &[char], c: Option<char>) -> Result<(bool, &[char]), IgnoreError> {
    let (negated, mut rest) = match pattern {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    let mut first = true;
    loop {
        if let [']', after @ ..] = rest
            && !first
        {
            return Ok((found != negated, after));
        }
        let (low, after) = class_character(rest)?;
        let (high, after) = match after {
            ['-', after @ ..] => class_character(after)?,
            after => (low, after),
        };
        found |= c.is_some_and(|c| (low..=high).contains(&c));
        rest = after;
        first = false;
    }
}

fn class_character(pattern: &[char]) -> Result<(char, &[char]), IgnoreError> {
    let (c, rest) = match pattern {
        [] | ['-' | ']', ..] | ['\\'] => return Err(IgnoreError::Pattern),
        ['\\', c, rest @ ..] | [c, rest @ ..] => (*c, rest),
    };
    if rest.is_empty() { Err(IgnoreError::Pattern) } else { Ok((c, rest)) }
}

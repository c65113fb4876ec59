//! Documents say what is there: every path they name exists.

use std::path::Path;

use regex::Regex;

use crate::{Finding, sources::Source};

/// Paths in back quotes that look like ours and do not exist.
///
/// # Panics
/// Never: the pattern is a constant.
pub fn paths(sources: &[Source], root: &Path) -> Vec<Finding> {
    let pattern = Regex::new(r"`((?:crates|apps|images|deploy|acceptance|conformance|bench|docs)/[A-Za-z0-9_./-]*)`")
        .expect("a constant pattern");
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (number, line) in source.text.lines().enumerate() {
            for found in pattern.captures_iter(line) {
                if !root.join(&found[1]).exists() {
                    findings.push(Finding::new(
                        &source.path,
                        number + 1,
                        format!("{} does not exist: name the file that took its place", &found[1]),
                    ));
                }
            }
        }
    }
    findings
}

/// Module heads: each file below a crate's `src` opens with `//!`, which says what it owns.
pub fn heads(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| source.path.ends_with(".rs") && source.path.contains("/src/") && !source.is_test())
        .filter(|source| !source.text.trim().is_empty() && !source.text.starts_with("//!"))
        .map(|source| Finding::new(&source.path, 1, "no head: open with `//!`, what this module owns and what it never does"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_gone_is_found() {
        let root = crate::sources::root();
        let text = "See `crates/tidy/src/lib.rs`.\nSee `crates/gone/src/lib.rs`.\n".to_owned();
        let findings = paths(&[Source { path: "A.md".into(), text }], &root);
        assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_module_without_a_head_is_found() {
        let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let findings = heads(&[
            file("crates/a/src/b.rs", "use c;\n"),
            file("crates/a/src/c.rs", "//! C.\n"),
            file("crates/a/src/d/tests.rs", "use c;\n"),
        ]);
        assert_eq!(findings.len(), 1);
    }
}

//! How long files may be. The length of functions is clippy's (`too_many_lines` at 70).

use crate::{Finding, sources::Source};

/// No file may be longer than this; nine of ten stay below [`USUAL_LINES_MAX`].
pub const LINES_MAX: usize = 800;
/// What nine of ten files stay below, without their tests.
pub const USUAL_LINES_MAX: usize = 450;

/// Files over the bound, and all of the longer ones when they are more than a tenth.
///
/// Tables may be as long as what they list: a file says so by `//! Table:` in its head.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let measured: Vec<(&Source, usize)> = sources
        .iter()
        .filter(|source| source.path.ends_with(".rs") && !source.is_test() && !is_table(source))
        .map(|source| (source, source.production_lines().count()))
        .collect();
    let mut findings: Vec<Finding> = measured
        .iter()
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(source, lines)| Finding::new(&source.path, 0, format!("{lines} lines, at most {LINES_MAX}: split it by topic")))
        .collect();
    let long: Vec<_> = measured.iter().filter(|(_, lines)| *lines > USUAL_LINES_MAX).collect();
    if long.len() * 10 > measured.len() {
        findings.extend(long.iter().map(|(source, lines)| {
            Finding::new(
                &source.path,
                0,
                format!("{lines} lines, and more than a tenth of the files pass {USUAL_LINES_MAX}: split it by topic"),
            )
        }));
    }
    findings
}

fn is_table(source: &Source) -> bool {
    source.text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.starts_with("//! Table:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, lines: usize) -> Source {
        Source { path: path.into(), text: "let x = 1;\n".repeat(lines) }
    }

    #[test]
    fn a_file_over_the_bound_is_found_and_a_table_is_not() {
        let mut sources = vec![file("crates/a/src/long.rs", LINES_MAX + 1), file("crates/a/src/table.rs", LINES_MAX + 1)];
        sources[1].text.insert_str(0, "//! Table: every kind.\n");
        sources.extend((0..20).map(|i| file(&format!("crates/a/src/{i}.rs"), 10)));
        let findings = check(&sources);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "crates/a/src/long.rs");
    }

    #[test]
    fn a_tenth_of_the_files_may_be_longer_than_usual_but_no_more() {
        let short = |count: usize| (0..count).map(|i| file(&format!("crates/a/src/{i}.rs"), 10));
        let mut sources = vec![file("crates/a/src/long.rs", USUAL_LINES_MAX + 1)];
        sources.extend(short(9));
        assert!(check(&sources).is_empty());
        sources.pop();
        assert_eq!(check(&sources).len(), 1);
    }
}

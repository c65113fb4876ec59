//! Error enums say one thing each: no catch-all variant, and no text that repeats its source.

use regex::Regex;

use crate::{Finding, sources::Source};

/// Variants that take whatever comes.
const CATCH_ALL: &[&str] = &["Other", "Unknown", "Misc", "Generic"];

/// Catch-all variants of error enums, and `#[error]` texts that print a field marked `#[source]`.
///
/// # Panics
/// Never: the patterns are constants.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let catch_all = Regex::new(&format!(r"^\s*({})\b\s*[\(\{{,]", CATCH_ALL.join("|"))).expect("a constant pattern");
    let repeats = Regex::new(r#"#\[error\(.*\{(source|0)[:}].*"#).expect("a constant pattern");
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".rs") && !source.path.starts_with("crates/tidy/")) {
        let mut inside = false;
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if line.contains("derive(") && line.contains("Error") {
                inside = true;
            } else if *line == "}" {
                inside = false;
            }
            if !inside {
                continue;
            }
            if catch_all.is_match(line) {
                findings.push(Finding::new(&source.path, number + 1, "a catch-all variant: name what was attempted"));
            }
            if repeats.is_match(line) && names_its_source(&lines[number..]) {
                findings.push(Finding::new(
                    &source.path,
                    number + 1,
                    "the text repeats its source: the chain is printed where it is handled",
                ));
            }
        }
    }
    findings
}

/// Whether the variant after this `#[error]` holds a `#[source]` or `#[from]` field that the text prints.
fn names_its_source(lines: &[&str]) -> bool {
    let by_name = lines[0].contains("{source");
    lines[1..].iter().take(6).take_while(|line| !line.contains("#[error")).any(|line| {
        let marked = line.contains("#[source]") || line.contains("#[from]");
        marked || (by_name && line.trim_start().starts_with("source:"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_found(text: &str) -> Vec<usize> {
        check(&[Source { path: "crates/a/src/lib.rs".into(), text: text.into() }])
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_catch_all_variant_is_found_in_an_error_enum_alone() {
        assert_eq!(lines_found("#[derive(Debug, Error)]\nenum E {\n    Other(String),\n}\nenum Shape {\n    Other,\n}\n"), [3]);
    }

    #[test]
    fn a_text_that_prints_its_source_is_found() {
        let text = "#[derive(Debug, Error)]\nenum E {\n    #[error(\"cannot read {path}: {source}\")]\n    Read { path: String, source: io::Error },\n    #[error(\"bad: {0}\")]\n    Bad(String),\n    #[error(\"cannot parse: {0}\")]\n    Parse(#[from] ParseError),\n}\n";
        assert_eq!(lines_found(text), [7]);
        let spread = text
            .replace("Read { path: String, source: io::Error }", "Read {\n        #[source]\n        source: io::Error,\n    }");
        assert_eq!(lines_found(&spread), [3, 10]);
    }
}

//! Names that say nothing, words that do not belong here, and `unsafe` outside its two crates.

use crate::{Finding, sources::Source};

/// Drawers: a file or crate with such a name has no owner.
const DRAWERS: &[&str] = &["common", "util", "utils", "types", "helper", "helpers", "misc", "other"];
/// Crates that may hold `unsafe`.
const UNSAFE_CRATES: &[&str] = &["crates/runtime/", "crates/net/"];

/// Files and folders with a drawer's name.
pub fn drawers(sources: &[Source]) -> Vec<Finding> {
    sources
        .iter()
        .filter(|source| {
            source.path.split('/').any(|part| {
                let stem = part.strip_suffix(".rs").unwrap_or(part);
                DRAWERS.contains(&stem.to_lowercase().as_str())
            })
        })
        .map(|source| Finding::new(&source.path, 0, "a drawer's name: call it after what it owns"))
        .collect()
}

/// `unsafe` outside `runtime` and `net`, and any use of it that does not say why it is sound is clippy's to find.
pub fn unsafe_code(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".rs") && !source.path.starts_with("crates/tidy/")) {
        if UNSAFE_CRATES.iter().any(|prefix| source.path.starts_with(prefix)) {
            continue;
        }
        for (number, line) in source.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("allow(unsafe_code)") {
                findings.push(Finding::new(
                    &source.path,
                    number + 1,
                    "unsafe lives in runtime and net alone: offer a safe function there",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawer_is_found_by_file_and_by_folder() {
        let sources = ["crates/a/src/utils.rs", "crates/common/src/lib.rs", "crates/a/src/quantity.rs"]
            .map(|path| Source { path: path.into(), text: String::new() });
        let found: Vec<_> = drawers(&sources).into_iter().map(|finding| finding.path).collect();
        assert_eq!(found, ["crates/a/src/utils.rs", "crates/common/src/lib.rs"]);
    }

    #[test]
    fn unsafe_is_found_outside_its_crates_but_not_in_a_comment() {
        let text = "// unsafe { }\nlet a = unsafe { b() };\n".to_owned();
        let sources = ["crates/api/src/a.rs", "crates/net/src/a.rs"].map(|path| Source { path: path.into(), text: text.clone() });
        assert_eq!(
            unsafe_code(&sources),
            [Finding::new("crates/api/src/a.rs", 2, "unsafe lives in runtime and net alone: offer a safe function there")]
        );
    }
}

//! The text files of the repository, read once.

use std::path::{Path, PathBuf};

/// One text file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// Whether this is test code by its place: a `tests` folder or file, an example, or a test-only crate.
    pub fn is_test(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        parts.iter().any(|part| matches!(*part, "tests" | "tests.rs" | "examples"))
            || self.path.starts_with("crates/testkit/")
            || self.path.starts_with("crates/tidy/")
    }

    /// Lines before an inline test module, as (number from 1, text).
    pub fn production_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().take_while(|line| line.trim_end() != "#[cfg(test)]").enumerate().map(|(i, line)| (i + 1, line))
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the crate lies two folders below the root")
}

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &["target", "out", ".git", "node_modules", "golden", "goldens"];

/// Every text file below the root with one of these endings.
///
/// # Panics
/// When a folder cannot be read: a rule that saw half the tree would pass wrongly.
pub fn read(endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository is readable") {
            let entry = entry.expect("a folder of the repository is readable");
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().expect("an entry has a type").is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending))
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&root).expect("below the root").to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

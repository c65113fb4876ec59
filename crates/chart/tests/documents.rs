//! The page on functions is made of the table of functions. `UPDATE_GOLDENS=1` writes it anew.
#![expect(clippy::disallowed_methods, reason = "a page of the repository is compared")]

use std::path::Path;

use chart::functions::{FAMILIES, Function};

fn signature(function: &Function) -> String {
    let last = function.params.len().saturating_sub(1);
    let shown = |(place, of): (usize, &chart::value::Type)| {
        let many = if function.variadic && place == last { "…" } else { "" };
        format!("{many}{}", of.to_string().replace("interface {}", "any"))
    };
    function.params.iter().enumerate().map(shown).collect::<Vec<_>>().join(", ")
}

fn page() -> String {
    let count: usize = FAMILIES.iter().map(|(_, functions)| functions.len()).sum();
    let mut out = format!(
        "# Functions in charts\n\nThe {count} functions that Helm 4 registers for templates, all of them here. Go's own (`and`, `eq`, `index`, `printf` …) come on top.\n\
         A text that a function makes ends at 256 MiB and a list at 4,194,304 items; a call that wants more is an error.\n"
    );
    for (family, functions) in FAMILIES {
        out.push_str(&format!("\n## {family} ({})\n\n| function | takes | gives |\n|---|---|---|\n", functions.len()));
        let mut rows: Vec<String> = functions
            .iter()
            .map(|function| format!("| `{}` | {} | {} |\n", function.name, signature(function), function.doc.replace('|', "\\|")))
            .collect();
        rows.sort();
        out.extend(rows);
    }
    out
}

#[test]
fn the_page_on_functions_is_the_table_of_functions() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/chart-functions.md");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, page()).expect("the page is written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page(),
        "docs/chart-functions.md is not what the table says: UPDATE_GOLDENS=1 cargo test -p chart --test documents"
    );
}

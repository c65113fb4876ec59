//! Every rule, on this repository.

use std::{collections::BTreeSet, fmt::Write as _};

use tidy::{Finding, documents, errors, layers, lengths, names, sources};

fn assert_none(findings: &[Finding]) {
    let list: String = findings.iter().fold(String::new(), |mut list, finding| {
        let _ = writeln!(list, "{finding}");
        list
    });
    assert!(findings.is_empty(), "\n{list}");
}

/// The graph of what is linked into the product: no test and no build dependencies, on this machine's platform.
fn graph() -> layers::Graph {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(sources::root().join("Cargo.toml"))
        .other_options(vec!["--filter-platform".into(), format!("{}-unknown-linux-gnu", std::env::consts::ARCH)])
        .exec()
        .expect("cargo metadata reads the workspace");
    let name = |id: &cargo_metadata::PackageId| metadata[id].name.to_string();
    metadata
        .resolve
        .as_ref()
        .expect("cargo metadata resolves")
        .nodes
        .iter()
        .map(|node| {
            let linked: BTreeSet<String> = node
                .deps
                .iter()
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind == cargo_metadata::DependencyKind::Normal))
                .map(|dep| name(&dep.pkg))
                .collect();
            (name(&node.id), linked)
        })
        .collect()
}

#[test]
fn no_crate_reaches_what_its_layer_must_not_know() {
    let broken = layers::broken(&layers::essential(graph()), layers::BANS);
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// A new edge is a diff that a person sees: accept it with `UPDATE_GOLDENS=1`.
#[test]
fn the_dependency_graph_is_the_golden_one() {
    const OURS: &[&str] = &[
        "api", "chart", "client", "control", "coracle", "decide", "net", "node", "platform", "runtime", "server", "session",
        "sim", "store", "testkit", "tidy",
    ];
    const THIRD_PARTY_TOO: &[&str] = &["api", "chart", "decide", "store"];
    let graph = graph();
    let mut text = String::new();
    for ours in OURS {
        let all = THIRD_PARTY_TOO.contains(ours);
        let edges: Vec<&str> = graph[*ours].iter().map(String::as_str).filter(|name| all || OURS.contains(name)).collect();
        let _ = writeln!(text, "{ours} -> {}", edges.join(" "));
    }
    let path = sources::root().join("crates/tidy/golden/edges.txt");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &text).expect("the golden file is writable");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(golden, text, "the graph changed: if the new edge is meant, run with UPDATE_GOLDENS=1");
}

#[test]
fn files_are_short() {
    assert_none(&lengths::check(&sources::read(&[".rs"])));
}

#[test]
fn nothing_has_the_name_of_a_drawer() {
    assert_none(&names::drawers(&sources::read(&[".rs", ".toml"])));
}

#[test]
fn unsafe_stays_in_runtime_and_net() {
    assert_none(&names::unsafe_code(&sources::read(&[".rs"])));
}

#[test]
fn error_variants_name_what_was_attempted() {
    assert_none(&errors::check(&sources::read(&[".rs"])));
}

#[test]
fn every_path_that_a_document_names_exists() {
    assert_none(&documents::paths(&sources::read(&[".md"]), &sources::root()));
}

#[test]
fn every_module_says_what_it_owns() {
    assert_none(&documents::heads(&sources::read(&[".rs"])));
}

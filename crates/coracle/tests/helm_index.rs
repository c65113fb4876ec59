//! Indexes that Coracle writes beside those of Helm: the same but for the moments in them, merged and not.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

#[path = "helm/programs.rs"]
mod programs;

use programs::{Outcome, copy, helm, run, sources};

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-index").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("folder");
    folder
}

/// What came of a command line, and the indexes that are there afterwards.
fn play(path: &Path, line: &str, given: &Path) -> (Outcome, Vec<(String, String)>) {
    let (folder, home) = (scratch("work"), scratch("home"));
    copy(given, &folder);
    let before: &[&str] = if path.ends_with("coracle") { &["helm"] } else { &[] };
    let outcome = run(path, before, &line.split(' ').collect::<Vec<_>>(), &folder, &home);
    let moment = Regex::new(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)").expect("an expression");
    let names = ["new/index.yaml", "old/index.yaml", "none.yaml", "fresh.yaml"].into_iter();
    let indexes = names.filter_map(|name| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        Some((name.to_owned(), moment.replace_all(&text, "MOMENT").into_owned()))
    });
    (outcome, indexes.collect())
}

#[test]
fn indexes_are_written_and_merged_as_helm_does_it() {
    let (helm, ours) = (helm(), Path::new(env!("CARGO_BIN_EXE_coracle")));
    let (given, home, charts) = (scratch("given"), scratch("given-home"), sources().join("charts"));
    let do_helm = |line: &str| {
        let done = run(&helm, &[], &line.split(' ').collect::<Vec<_>>(), &charts, &home);
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
    };
    let place = given.to_string_lossy();
    for (folder, version) in [("old", "1.0.0"), ("old", "1.2.3"), ("new", "1.2.3"), ("new", "1.10.0"), ("new", "2.0.0-rc.1")] {
        do_helm(&format!("package plain -d {place}/{folder} --version {version}"));
    }
    do_helm(&format!("package crds -d {place}/old"));
    do_helm(&format!("package umbrella deprecated -d {place}/new/below"));
    do_helm(&format!("repo index {place}/old --url http://old.example.com/charts"));
    fs::write(given.join("new/broken-1.0.0.tgz"), "no archive").expect("file");
    fs::write(given.join("bad.yaml"), "entries: [").expect("file");
    fs::write(given.join("unknown.yaml"), "apiVersion: v1\nentries: {a: [{name: a, version: 1.0.0, what: 1}]}\n").expect("file");
    let lines = [
        "repo index",
        "repo index new",
        "repo index new --url http://example.com/charts",
        "repo index new --url http://example.com/charts/",
        "repo index new --merge old/index.yaml",
        "repo index new --merge old/index.yaml --url http://example.com",
        "repo index new --merge none.yaml",
        "repo index new --merge bad.yaml",
        "repo index new --merge unknown.yaml",
        "repo index new --json",
        "repo index new --merge old/index.yaml --json",
        "repo index new --merge fresh.yaml --json",
        "repo index old --merge old/index.yaml --url http://moved.example.com",
    ];
    let mut wrong = Vec::new();
    for line in lines {
        let (theirs, mine) = (play(&helm, line, &given), play(ours, line, &given));
        if theirs != mine {
            wrong.push(format!("{line}\n  helm:    {theirs:?}\n  coracle: {mine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

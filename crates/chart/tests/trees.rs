//! Whole trees of charts beside Helm: the same manifests, hooks and notes byte by byte, and the same errors.

#![expect(clippy::disallowed_methods, reason = "charts are folders, and tests may look at them")]

mod beside;
#[path = "trees/case.rs"]
mod case;
#[path = "trees/generate.rs"]
mod generate;

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};

use case::{Case, Outcome};

/// Fails with the shortest of what differs.
fn compare(cases: &[Case]) {
    let questions: Vec<Json> = cases.iter().map(|case| json!(case)).collect();
    let answers = beside::ask("trees-oracle", &questions);
    let mut wrong: Vec<String> = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let theirs: Outcome = serde_json::from_value(answer.clone()).expect("an outcome");
        let ours = case.ours();
        wrong.extend(ours.differs(&theirs).map(|how| format!("{}:\n{how}", case.told())));
    }
    wrong.sort_by_key(String::len);
    let count = wrong.len();
    wrong.truncate(usize::try_from(beside::number("SHOWN", 8)).unwrap_or(8));
    assert!(wrong.is_empty(), "{count} of {} differ:\n{}", cases.len(), wrong.join("\n"));
}

#[test]
fn charts_in_many_styles_render_as_with_helm() {
    let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees");
    let mut folders: Vec<_> = fs::read_dir(&trees).expect("the folder of charts").flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let only = std::env::var("ONLY").unwrap_or_default();
    let mut cases = Vec::new();
    for folder in folders.iter().filter(|folder| folder.to_string_lossy().contains(&only)) {
        let Ok(lines) = fs::read_to_string(folder.join("cases")) else { continue };
        let lines = lines.lines().filter(|line| !line.starts_with('#'));
        cases.extend(lines.map(|line| Case::read(folder, line)));
    }
    assert!(!only.is_empty() || cases.len() > 100, "{} cases", cases.len());
    compare(&cases);
}

/// Charts of chance in folders of their own.
fn generated(count: u64) -> Vec<Case> {
    let mut random = beside::chance();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated-trees");
    let _ = fs::remove_dir_all(&place);
    let write = |path: &Path, text: &str| {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    let made = (0..count).map(|at| {
        let folder = place.join(at.to_string());
        for (path, text) in generate::chart(&mut random, 2, "root") {
            write(&folder.join("chart").join(path), &text);
        }
        let mut case = Case::of(&folder, "chart");
        let (values, settings) = generate::user(&mut random);
        if at % 3 != 0 {
            write(&folder.join("values.yaml"), &values);
            case.values.push("values.yaml".to_owned());
        }
        case.set = settings;
        case.include_crds = at % 2 == 0;
        case.is_upgrade = at % 5 == 0;
        case
    });
    made.collect()
}

#[test]
fn generated_trees_of_charts_render_as_with_helm() {
    compare(&generated(beside::number("CASES", 400)));
}

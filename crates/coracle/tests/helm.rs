//! `coracle helm` beside Helm on a table of command lines: the same output, the same remarks, the same exit code.

use std::fs;
use std::path::Path;

#[path = "helm/programs.rs"]
mod programs;

use programs::{Outcome, copy, helm, sources};

/// Runs a command line in a fresh folder with the charts; both programs see it under the same name.
fn run(path: &Path, before: &[&str], words: &[&str], packed: &[u8]) -> Outcome {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-charts");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-home");
    for place in [&folder, &home] {
        let _ = fs::remove_dir_all(place);
        fs::create_dir_all(place).expect("folder");
    }
    copy(&sources().join("charts"), &folder);
    fs::create_dir(folder.join("packed")).expect("folder");
    fs::write(folder.join("packed/plain-1.2.3.tgz"), packed).expect("file");
    programs::run(path, before, words, &folder, &home)
}

#[test]
fn command_lines_end_as_with_helm() {
    let helm = helm();
    let ours = Path::new(env!("CARGO_BIN_EXE_coracle"));
    let packed = {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-packed");
        let words = ["package", "plain", "-d", &target.to_string_lossy()];
        assert_eq!(run(&helm, &[], &words, &[]).code, Some(0));
        fs::read(target.join("plain-1.2.3.tgz")).expect("an archive")
    };
    let table = fs::read_to_string(sources().join("commands.txt")).expect("the table");
    let mut wrong = Vec::new();
    let lines: Vec<&str> = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for line in &lines {
        let (code_alone, words) = line.strip_prefix("~ ").map_or((false, *line), |words| (true, words));
        let words: Vec<&str> = words.split(' ').collect();
        let theirs = run(&helm, &[], &words, &packed);
        let mine = run(ours, &["helm"], &words, &packed);
        if theirs != mine && !(code_alone && theirs.code == mine.code) {
            wrong.push(format!("{line}\n  helm:    {theirs:?}\n  coracle: {mine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

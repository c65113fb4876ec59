//! Helm and Coracle side by side: how the tests run them, and what is compared of an outcome.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Exit code, output and remarks.
#[derive(PartialEq, Eq, Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub output: String,
    pub remarks: String,
}

/// The folder of the tests' charts and tables.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helm")
}

#[expect(clippy::disallowed_methods, reason = "the tests compare programs")]
pub fn program(name: &str) -> Command {
    Command::new(name)
}

/// Helm itself, built from its module.
pub fn helm() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let built = program("go")
        .args(["build", "-o"])
        .arg(&path)
        .arg("helm.sh/helm/v4/cmd/helm")
        .current_dir(sources().join("oracle"))
        .status();
    assert!(built.expect("this test needs Go on the path").success(), "Helm does not build");
    path
}

/// A folder and all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("file");
        }
    }
}

/// Runs a command line in a folder, with a home and nothing else around it.
pub fn run(path: &Path, before: &[&str], words: &[&str], folder: &Path, home: &Path) -> Outcome {
    let done = program(&path.to_string_lossy())
        .args(before)
        .args(words)
        .current_dir(folder)
        .env_clear()
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    outcome(&done)
}

/// What is compared of a program that ended.
pub fn outcome(done: &std::process::Output) -> Outcome {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let told = |line: &&str| !line.starts_with("level=INFO") && !line.starts_with("level=DEBUG");
    let remarks = text(&done.stderr);
    Outcome {
        code: done.status.code(),
        output: text(&done.stdout),
        remarks: remarks.lines().filter(told).collect::<Vec<_>>().join("\n"),
    }
}

//! Helm and Coracle as programs, side by side.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that is about to be started.
#[expect(clippy::disallowed_methods, reason = "the tests compare programs")]
pub fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}

/// Helm itself: the one that `HELM` names, or one built from its module.
pub fn helm() -> PathBuf {
    if let Some(named) = std::env::var_os("HELM") {
        return PathBuf::from(named);
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let built = program("go")
        .args(["build", "-o"])
        .arg(&path)
        .arg("helm.sh/helm/v4/cmd/helm")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helm/oracle"))
        .status();
    assert!(built.expect("this test needs Go on the path").success(), "Helm does not build");
    path
}

//! `coracle version`.

use serde::Serialize;

use crate::output::Form;

/// How to print.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    form: Form,
}

#[derive(Serialize)]
struct Versions {
    coracle: &'static str,
    kubernetes: &'static str,
}

/// The version of the Kubernetes API that is served.
const KUBERNETES: &str = "1.37";

/// Prints the versions.
///
/// # Errors
/// Never.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let versions = Versions { coracle: env!("CARGO_PKG_VERSION"), kubernetes: KUBERNETES };
    arguments.form.print(&versions, |versions| format!("coracle {}\nKubernetes API {}", versions.coracle, versions.kubernetes));
    Ok(())
}

//! `coracle kubeconfig`: the administrator's kubeconfig of the local cluster.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{cluster::Target, kubeconfig, output};

/// Which cluster, and where to.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Merge it into this kubeconfig instead of printing it; without a file, into the one that kubectl uses
    #[arg(long, num_args = 0..=1, value_name = "FILE")]
    merge: Option<Option<PathBuf>>,
}

/// Prints or merges the kubeconfig.
///
/// # Errors
/// When there is no cluster, or the file cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = arguments.target.kubeconfig()?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    match &arguments.merge {
        None => output::line(text.trim_end()),
        Some(file) => {
            let file = file.clone().unwrap_or_else(kubeconfig::default_path);
            kubeconfig::merge_into(&file, &text)?;
            output::remark(&format!("merged into {}", file.display()));
        }
    }
    Ok(())
}

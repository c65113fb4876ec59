//! `coracle completion`: the script that completes commands in a shell.

use clap::CommandFactory as _;

/// Which shell.
#[derive(clap::Args)]
pub struct Arguments {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script.
///
/// # Errors
/// Never.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    clap_complete::generate(arguments.shell, &mut super::Command::command(), "coracle", &mut std::io::stdout());
    Ok(())
}

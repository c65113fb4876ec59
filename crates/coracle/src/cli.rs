//! The command line: one file a verb.

mod completion;
mod server;
mod version;

use clap::Parser;

/// The microservice platform that one person can carry: the Kubernetes API in one binary.
#[derive(Parser)]
#[command(name = "coracle", version, propagate_version = true)]
pub struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Serve the Kubernetes API from a data folder, until stopped
    Server(server::Arguments),
    /// Print the completion script of a shell
    Completion(completion::Arguments),
    /// Print the version of Coracle and of the Kubernetes API that it serves
    Version(version::Arguments),
}

impl Command {
    /// Does what was asked.
    ///
    /// # Errors
    /// What went wrong, with the fix in its text.
    pub fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::Server(arguments) => server::run(&arguments),
            Verb::Completion(arguments) => completion::run(&arguments),
            Verb::Version(arguments) => version::run(&arguments),
        }
    }
}

/// Tells a person what went wrong, and why, cause by cause.
#[expect(clippy::print_stderr, reason = "the one place where a failure of the command line is printed")]
pub fn report(error: &anyhow::Error) {
    eprintln!("coracle: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because {cause}");
    }
}

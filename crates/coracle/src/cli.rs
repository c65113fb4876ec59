//! The command line: one file a verb.

mod agent;
mod apply;
mod completion;
mod down;
mod helm;
mod image;
mod join;
mod kubeconfig;
mod node;
mod redis;
mod server;
mod status;
pub mod token;
mod up;
mod version;

use clap::Parser;

use crate::output;

/// The microservice platform that one person can carry: Kubernetes in one binary.
#[derive(Parser)]
#[command(name = "coracle", version, propagate_version = true)]
pub struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Start a cluster on this machine, or resume the one that was
    Up(up::Arguments),
    /// Stop everything, and leave the machine as it was
    Down(down::Arguments),
    /// Make this machine a node of another machine's cluster
    Join(join::Arguments),
    /// Show the nodes of this machine, and do to them what can happen to a machine
    Node(node::Arguments),
    /// Bring images in, show and remove them
    Image(image::Arguments),
    /// Install and look at charts, with the commands of Helm
    Helm(helm::Arguments),
    /// Show what runs here
    Status(status::Arguments),
    /// Bring manifests into a cluster by server-side apply
    Apply(apply::Arguments),
    /// Show where the members of a Redis Cluster are
    #[command(subcommand)]
    Redis(redis::Verb),
    /// Make tokens by which other machines join
    #[command(subcommand)]
    Token(token::Verb),
    /// Print the administrator's kubeconfig, or merge it into another
    Kubeconfig(kubeconfig::Arguments),
    /// Serve the API and the controllers in the foreground, until stopped
    Server(server::Arguments),
    /// Run a node in the foreground, as the keeper does
    #[command(hide = true)]
    Agent(agent::Arguments),
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
            Verb::Up(arguments) => up::run(&arguments),
            Verb::Down(arguments) => down::run(&arguments),
            Verb::Join(arguments) => join::run(&arguments),
            Verb::Node(arguments) => node::run(&arguments),
            Verb::Image(arguments) => image::run(&arguments),
            Verb::Helm(arguments) => helm::run(&arguments),
            Verb::Status(arguments) => status::run(&arguments),
            Verb::Apply(arguments) => apply::run(&arguments),
            Verb::Redis(verb) => redis::run(&verb),
            Verb::Token(verb) => token::run(&verb),
            Verb::Kubeconfig(arguments) => kubeconfig::run(&arguments),
            Verb::Server(arguments) => server::run(&arguments),
            Verb::Agent(arguments) => agent::run(&arguments),
            Verb::Completion(arguments) => completion::run(&arguments),
            Verb::Version(arguments) => version::run(&arguments),
        }
    }
}

/// Tells a person what went wrong, and why, cause by cause.
pub fn report(error: &anyhow::Error) {
    output::remark(&format!("coracle: {error}"));
    for cause in error.chain().skip(1) {
        output::remark(&format!("  because {cause}"));
    }
}

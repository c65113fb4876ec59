//! `coracle version`.

/// How to print.
#[derive(clap::Args)]
pub struct Arguments {
    /// The form of the output
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// For people, or for programs.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// The version of the Kubernetes API that is served.
const KUBERNETES: &str = "1.37";

/// Prints the versions.
///
/// # Errors
/// Never.
#[expect(clippy::print_stdout, reason = "the versions are this command's result")]
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let coracle = env!("CARGO_PKG_VERSION");
    match arguments.output {
        Output::Text => println!("coracle {coracle}\nKubernetes API {KUBERNETES}"),
        Output::Json => println!("{}", serde_json::json!({"coracle": coracle, "kubernetes": KUBERNETES})),
    }
    Ok(())
}

//! Measures a cluster, row by row, and prints the table; where upstream's programs are at hand, the rows that compare with it are
//! taken from it in the same run. Never judges: it prints the figure beside its bar.

mod load;
mod processes;
mod rows;
mod upstream;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use serde::Serialize;

/// Measures, and prints the table.
#[derive(Parser)]
struct Arguments {
    /// The folder of upstream's `etcd` and `kube-apiserver`; without them those columns stay empty
    #[arg(long)]
    upstream: Option<PathBuf>,
    /// Only rows whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// A measured figure.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The value, with its unit.
    pub value: String,
    /// Upstream's value from this run, if taken.
    pub upstream: String,
    /// How many times better, if both were taken.
    pub ratio: String,
    /// What is wanted.
    pub bar: &'static str,
}

impl Figure {
    /// A figure without a peer.
    pub fn new(what: impl Into<String>, value: impl Into<String>, bar: &'static str) -> Self {
        Self { what: what.into(), value: value.into(), upstream: String::new(), ratio: String::new(), bar }
    }
}

fn main() -> ExitCode {
    if let Some(code) = acceptance::isolate() {
        return code;
    }
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("bench: {error:?}"));
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot start the runtime")?;
    let mut figures = Vec::new();
    for row in rows::ROWS {
        if arguments.only.as_ref().is_some_and(|only| !row.name.contains(only.as_str())) {
            continue;
        }
        report(&format!("measuring: {}", row.name));
        match runtime.block_on(async { tokio::task::block_in_place(|| (row.measure)(arguments.upstream.as_deref())) }) {
            Ok(measured) => figures.extend(measured),
            Err(error) => {
                report(&format!("  {error:?}"));
                figures.push(Figure::new(row.name, "FAILED", ""));
            }
        }
    }
    print(&figures, arguments.json);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is this program's result")]
fn print(figures: &[Figure], json: bool) {
    if json {
        println!("{}", serde_json::to_string_pretty(figures).unwrap_or_default());
        return;
    }
    println!("| what | measured | upstream, same run | ratio | bar |\n|---|---|---|---|---|");
    for figure in figures {
        println!("| {} | {} | {} | {} | {} |", figure.what, figure.value, figure.upstream, figure.ratio, figure.bar);
    }
}

/// A remark beside the result.
#[expect(clippy::print_stderr, reason = "progress goes beside the result")]
pub fn report(text: &str) {
    eprintln!("{text}");
}

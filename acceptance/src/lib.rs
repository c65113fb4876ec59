//! Black-box tests of a whole cluster. Owns how a cluster is brought up for a test, apart from whatever else runs on the machine, and
//! taken away after it; knows nothing of Coracle but its command line and the Kubernetes API.

mod chromium;
mod cluster;
pub mod demo;
mod image;
mod isolation;
mod patience;
mod program;
pub mod web;

pub use chromium::Chromium;
pub use cluster::{Cluster, binary};
pub use image::{BUSYBOX, busybox_archive};
pub use isolation::enter as isolate;
pub use patience::{eventually, within};
pub use program::{Finished, Program, Started, start};

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// A test: its name, a sentence, and what it does on a running cluster.
pub type Case = (&'static str, fn(&Cluster) -> anyhow::Result<()>);

/// A test that brings its own cluster up.
pub type BareCase = (&'static str, fn() -> anyhow::Result<()>);

/// Runs the cases on one fresh cluster of so many nodes, in an own network and mount namespace, and takes the cluster away.
/// `at_once` cases run beside each other.
pub fn run(nodes: u16, at_once: usize, cases: &'static [Case]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(cases, None)).exit_code();
    }
    if let Some(code) = isolation::enter() {
        return code;
    }
    arguments.test_threads = Some(at_once);
    let cluster = match Cluster::up(nodes) {
        Ok(cluster) => std::sync::Arc::new(cluster),
        Err(error) => return broken(&error),
    };
    let conclusion = libtest_mimic::run(&arguments, trials(cases, Some(&cluster)));
    match cluster.down() {
        Ok(()) => conclusion.exit_code(),
        Err(error) => broken(&error),
    }
}

/// Runs cases that bring clusters up themselves, one after the other, in an own network and mount namespace.
pub fn run_without_cluster(cases: &'static [BareCase]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if !arguments.list
        && let Some(code) = isolation::enter()
    {
        return code;
    }
    arguments.test_threads = Some(1);
    let trial =
        |(name, case): &'static BareCase| Trial::test(*name, move || case().map_err(|error| Failed::from(format!("{error:#}"))));
    libtest_mimic::run(&arguments, cases.iter().map(trial).collect()).exit_code()
}

fn trials(cases: &'static [Case], cluster: Option<&std::sync::Arc<Cluster>>) -> Vec<Trial> {
    let trial = |(name, case): &'static Case| {
        let cluster = cluster.cloned();
        Trial::test(*name, move || match &cluster {
            Some(cluster) => case(cluster).map_err(|error| Failed::from(format!("{error:#}"))),
            None => Err("there is no cluster".into()),
        })
    };
    cases.iter().map(trial).collect()
}

#[expect(clippy::print_stderr, reason = "the harness reports to whoever runs the tests")]
fn broken(error: &anyhow::Error) -> ExitCode {
    eprintln!("the cluster for the tests failed: {error:#}");
    ExitCode::from(101)
}

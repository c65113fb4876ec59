//! Pods on the real kernel, as root, with the real server in this process. The program lives in a network namespace of its own, and is its
//! own supervisor of pods, so it has a `main` of its own.
#![expect(clippy::print_stderr, reason = "how long things took is shown to whoever runs the tests")]

mod cluster;
mod lives;
mod sessions;
mod volumes;

use std::future::Future;

use libtest_mimic::{Arguments, Trial};
use net::namespace::Namespace;

/// A test that runs on a runtime of its own.
pub fn trial<F: Future<Output = ()> + Send + 'static>(name: &str, test: fn() -> F) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(test());
        Ok(())
    })
}

fn main() {
    runtime::early::branch();
    let mut arguments = Arguments::from_args();
    // Every cluster has the same addresses.
    arguments.test_threads = Some(1);
    assert!(rustix::process::geteuid().is_root(), "these tests make namespaces and cgroups: run them as root");
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let name = format!("coracle-nodetest-{}", std::process::id());
    let namespace = Namespace::create(&name).expect("a network namespace");
    namespace.enter_for_good().expect("entered");
    cluster::make_link();
    let tests = [lives::tests(), volumes::tests(), sessions::tests()].into_iter().flatten().collect();
    let conclusion = libtest_mimic::run(&arguments, tests);
    let _ = net::namespace::remove(&name);
    conclusion.exit();
}

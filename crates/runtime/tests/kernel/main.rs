//! Containers on the real kernel, as root. This program is its own supervisor, so it has a `main` of its own.

#![expect(clippy::disallowed_methods, reason = "a test starts programs, and waits for others to have done something")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a child reports to its test, and latencies are shown")]

mod agents;
mod bounds;
mod fixture;
mod keeper;
mod lives;

use std::future::Future;

use libtest_mimic::{Arguments, Trial};

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
    if agents::branch() {
        return;
    }
    let mut arguments = Arguments::from_args();
    // Orphans fall to this process, whichever test they are of.
    arguments.test_threads.get_or_insert(2);
    assert!(nix::unistd::geteuid().is_root(), "these tests make namespaces and cgroups: run them as root");
    runtime::program::become_subreaper().expect("a subreaper");
    let tests = [lives::tests(), bounds::tests(), agents::tests(), keeper::tests()].into_iter().flatten().collect();
    libtest_mimic::run(&arguments, tests).exit();
}

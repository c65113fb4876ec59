//! Waiting, in tests, for what has no event that a test could hear.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Tries until it works, for at most so long; fails with the last failure.
///
/// # Errors
/// What the last try said.
pub fn within<T>(patience: Duration, mut attempt: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let end = Instant::now() + patience;
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= end => return Err(error).with_context(|| format!("not within {patience:?}")),
            Err(_) => pause(),
        }
    }
}

/// Waits for a condition, for at most 30 seconds.
///
/// # Errors
/// When it does not come true.
pub fn eventually(what: &str, mut condition: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    within(Duration::from_secs(30), || {
        anyhow::ensure!(condition()?, "it is not so: {what}");
        Ok(())
    })
}

#[expect(clippy::disallowed_methods, reason = "a black-box test looks from outside, where nothing wakes it")]
fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

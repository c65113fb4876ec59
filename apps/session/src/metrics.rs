//! Counters in the Prometheus text format. No label holds a name or an address.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

/// One counter: its name, its help, its count.
pub struct Counter {
    name: &'static str,
    help: &'static str,
    count: AtomicU64,
}

impl Counter {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, count: AtomicU64::new(0) }
    }

    /// Counts one more.
    pub fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sign-ins that succeeded.
pub static SIGN_INS: Counter = Counter::new("session_sign_ins_total", "Sign-ins that succeeded.");
/// Sign-ins with a wrong name or password.
pub static SIGN_INS_REFUSED: Counter = Counter::new("session_sign_ins_refused_total", "Sign-ins with a wrong name or password.");
/// Sign-ins over the rate limit.
pub static SIGN_INS_LIMITED: Counter = Counter::new("session_sign_ins_limited_total", "Sign-ins over the rate limit.");
/// Requests that failed because Redis could not be reached.
pub static REDIS_UNAVAILABLE: Counter =
    Counter::new("session_redis_unavailable_total", "Requests that failed because Redis could not be reached.");
/// Sessions written while their shard had no replica.
pub static UNREPLICATED: Counter =
    Counter::new("session_unreplicated_total", "Sessions written while their shard had no replica connected.");

/// Every counter.
const COUNTERS: &[&Counter] = &[&SIGN_INS, &SIGN_INS_REFUSED, &SIGN_INS_LIMITED, &REDIS_UNAVAILABLE, &UNREPLICATED];

/// The page at `/metrics`.
pub fn render() -> String {
    COUNTERS.iter().fold(String::new(), |mut text, counter| {
        let Counter { name, help, count } = counter;
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}", count.load(Ordering::Relaxed));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_rendered_with_its_type() {
        let before = SIGN_INS_LIMITED.count.load(Ordering::Relaxed);
        SIGN_INS_LIMITED.add();
        let text = render();
        assert_eq!(text.matches("# TYPE").count(), COUNTERS.len());
        assert!(text.contains(&format!("session_sign_ins_limited_total {}", before + 1)));
    }
}

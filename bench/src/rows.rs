//! The rows of the table, one file each; each brings up what it needs and takes it away.

mod api;
mod charts;
mod idle;
mod pods;
mod redis;
mod start;

use std::{path::Path, time::Duration};

use crate::Figure;

/// A row: a name to choose it by, and how it is measured. Upstream's programs are in the folder, if any.
pub struct Row {
    /// The name.
    pub name: &'static str,
    /// The measurement.
    pub measure: fn(Option<&Path>) -> anyhow::Result<Vec<Figure>>,
}

/// All rows, in the order of the table.
pub const ROWS: &[Row] = &[
    Row { name: "start", measure: start::measure },
    Row { name: "idle", measure: idle::measure },
    Row { name: "pods", measure: pods::measure },
    Row { name: "api", measure: api::measure },
    Row { name: "redis", measure: redis::measure },
    Row { name: "charts", measure: charts::measure },
];

/// Waits for the kernel or a cluster to settle: in a measurement the time itself is wanted.
#[expect(clippy::disallowed_methods, reason = "a measurement lasts for a given time")]
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// The middle one of measured times, in milliseconds.
pub fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

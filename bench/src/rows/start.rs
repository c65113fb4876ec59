//! From nothing to a ready cluster whose names are answered: `coracle up` returns then.

use std::{path::Path, time::Instant};

use acceptance::Cluster;

use crate::{Figure, rows::median_ms};

/// How often each is measured.
const TIMES: usize = 5;

/// One node, and three.
pub fn measure(_: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let one = measure_with(1)?;
    let three = measure_with(3)?;
    Ok(vec![
        Figure::new(
            "`coracle up`, one node, empty data dir → Ready and a Service name answers",
            format!("{:.2} s", one / 1e3),
            "≤ 0.25 s",
        ),
        Figure::new("the same, three nodes", format!("{:.2} s", three / 1e3), "≤ 0.6 s"),
    ])
}

fn measure_with(nodes: u16) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let cluster = Cluster::prepare()?;
        let begun = Instant::now();
        let started = cluster.start(nodes);
        times.push(begun.elapsed());
        cluster.down()?;
        started?;
    }
    Ok(median_ms(times))
}

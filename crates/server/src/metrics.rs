//! What `/metrics` tells: counters of requests in the names of upstream, so that its dashboards work. Counting costs a lookup under
//! a read lock and an atomic add; nothing here ever holds a name of a user or an object.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Upper bounds of the request duration histogram, in seconds: upstream's.
const DURATION_BUCKETS: [f64; 20] =
    [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0];

/// What a request was, as far as it is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels {
    /// `LIST`, `GET`, …
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// `cluster`, `namespace`, `resource` or empty.
    pub scope: &'static str,
}

#[derive(Default)]
struct Series {
    codes: RwLock<BTreeMap<u16, AtomicU64>>,
    buckets: [AtomicU64; DURATION_BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

/// The counters of one server.
#[derive(Default)]
pub struct Metrics {
    requests: RwLock<BTreeMap<Labels, Arc<Series>>>,
    inflight_reading: AtomicI64,
    inflight_writing: AtomicI64,
    watches: AtomicI64,
}

/// Counts something as running for as long as it lives.
pub struct Running<'a>(&'a AtomicI64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn running(gauge: &AtomicI64) -> Running<'_> {
    gauge.fetch_add(1, Ordering::Relaxed);
    Running(gauge)
}

impl Metrics {
    /// A request has begun.
    pub fn begin(&self, writes: bool) -> Running<'_> {
        running(if writes { &self.inflight_writing } else { &self.inflight_reading })
    }

    /// A watch has begun.
    pub fn watching(&self) -> Running<'_> {
        running(&self.watches)
    }

    /// A request has been answered. Watches and other long-running requests pass no duration.
    pub fn finished(&self, labels: &Labels, code: u16, took: Option<Duration>) {
        let series = self.series(labels);
        count_code(&series, code);
        let Some(took) = took else { return };
        series.count.fetch_add(1, Ordering::Relaxed);
        series.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let seconds = took.as_secs_f64();
        if let Some(at) = DURATION_BUCKETS.iter().position(|bound| seconds <= *bound) {
            series.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn series(&self, labels: &Labels) -> Arc<Series> {
        if let Some(series) = self.requests.read().unwrap_or_else(PoisonError::into_inner).get(labels) {
            return series.clone();
        }
        let mut requests = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        requests.entry(labels.clone()).or_default().clone()
    }

    /// Everything in the Prometheus text format. `objects` are the counts of stored objects by resource.
    pub fn render(&self, objects: &[(String, u64)]) -> String {
        let mut out = String::new();
        let requests = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        head(&mut out, "apiserver_request_total", "counter", "Requests by verb, resource and code.");
        for (labels, series) in requests.iter() {
            for (code, count) in series.codes.read().unwrap_or_else(PoisonError::into_inner).iter() {
                let count = count.load(Ordering::Relaxed);
                let _ = writeln!(out, "apiserver_request_total{{code=\"{code}\",{}}} {count}", text(labels));
            }
        }
        let name = "apiserver_request_duration_seconds";
        head(&mut out, name, "histogram", "Time from a request to its answer, by verb and resource.");
        for (labels, series) in requests.iter() {
            render_histogram(&mut out, name, &text(labels), series);
        }
        drop(requests);
        head(&mut out, "apiserver_current_inflight_requests", "gauge", "Requests being worked on.");
        for (kind, gauge) in [("readOnly", &self.inflight_reading), ("mutating", &self.inflight_writing)] {
            let value = gauge.load(Ordering::Relaxed);
            let _ = writeln!(out, "apiserver_current_inflight_requests{{request_kind=\"{kind}\"}} {value}");
        }
        head(&mut out, "apiserver_longrunning_requests", "gauge", "Watches being served.");
        let watches = self.watches.load(Ordering::Relaxed);
        let _ = writeln!(out, "apiserver_longrunning_requests{{verb=\"WATCH\"}} {watches}");
        head(&mut out, "apiserver_storage_objects", "gauge", "Stored objects by resource.");
        for (resource, count) in objects {
            let _ = writeln!(out, "apiserver_storage_objects{{resource=\"{}\"}} {count}", escaped(resource));
        }
        out
    }
}

/// The content type of [`page`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page at `/metrics`: the requests, and how many objects of each resource are stored.
pub(crate) fn page(state: &crate::State) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for entry in state.snapshot().range("/", None) {
        let mut parts = entry.key.split('/').skip(1);
        let (group, plural) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let name = if group == "core" { plural.to_owned() } else { format!("{plural}.{group}") };
        *counts.entry(name).or_default() += 1;
    }
    state.security.metrics.render(&counts.into_iter().collect::<Vec<_>>())
}

fn count_code(series: &Series, code: u16) {
    if let Some(count) = series.codes.read().unwrap_or_else(PoisonError::into_inner).get(&code) {
        count.fetch_add(1, Ordering::Relaxed);
        return;
    }
    let mut codes = series.codes.write().unwrap_or_else(PoisonError::into_inner);
    codes.entry(code).or_default().fetch_add(1, Ordering::Relaxed);
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn render_histogram(out: &mut String, name: &str, labels: &str, series: &Series) {
    let count = series.count.load(Ordering::Relaxed);
    if count == 0 {
        return;
    }
    let mut below = 0;
    for (bound, bucket) in DURATION_BUCKETS.iter().zip(&series.buckets) {
        below += bucket.load(Ordering::Relaxed);
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
    }
    let seconds = Duration::from_micros(series.micros.load(Ordering::Relaxed)).as_secs_f64();
    let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(out, "{name}_sum{{{labels}}} {seconds}\n{name}_count{{{labels}}} {count}");
}

fn text(labels: &Labels) -> String {
    format!(
        "group=\"{}\",resource=\"{}\",scope=\"{}\",subresource=\"{}\",verb=\"{}\",version=\"{}\"",
        escaped(&labels.group),
        escaped(&labels.resource),
        labels.scope,
        escaped(&labels.subresource),
        escaped(&labels.verb),
        escaped(&labels.version)
    )
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_code_and_time() {
        let metrics = Metrics::default();
        let labels = Labels { verb: "GET".into(), resource: "pods".into(), scope: "resource", ..Labels::default() };
        metrics.finished(&labels, 200, Some(Duration::from_millis(1)));
        metrics.finished(&labels, 200, Some(Duration::from_millis(30)));
        metrics.finished(&labels, 404, None);
        let _held = metrics.begin(true);
        let text = metrics.render(&[("pods".into(), 7)]);
        let series = "group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"\",verb=\"GET\",version=\"\"";
        for line in [
            format!("apiserver_request_total{{code=\"200\",{series}}} 2"),
            format!("apiserver_request_total{{code=\"404\",{series}}} 1"),
            format!("apiserver_request_duration_seconds_bucket{{{series},le=\"0.005\"}} 1"),
            format!("apiserver_request_duration_seconds_bucket{{{series},le=\"0.05\"}} 2"),
            format!("apiserver_request_duration_seconds_count{{{series}}} 2"),
            "apiserver_current_inflight_requests{request_kind=\"mutating\"} 1".into(),
            "apiserver_storage_objects{resource=\"pods\"} 7".into(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}

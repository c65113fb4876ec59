//! Probes of a container that runs: each has its period, and tells when it changes its mind.

pub(super) mod exec;
mod grpc;
pub(super) mod http;
mod tcp;

use std::time::Duration;

use k8s_openapi::api::core::v1::Probe;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::run::Target;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whether the container has come up.
    Startup,
    /// Whether it may be sent requests.
    Readiness,
    /// Whether it still works.
    Liveness,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// What a probe thinks, after its thresholds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Success,
    /// It is not.
    Failure,
}

/// A probe changed its mind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probed {
    pub(super) kind: Kind,
    pub(super) verdict: Verdict,
}

/// Counts results until they are enough for a verdict.
#[derive(Clone, Copy, Debug)]
struct Thresholds {
    success: i32,
    failure: i32,
    last: Option<Verdict>,
    in_a_row: i32,
}

impl Thresholds {
    fn of(probe: &Probe) -> Self {
        let or = |value: Option<i32>, default: i32| value.filter(|value| *value > 0).unwrap_or(default);
        Self { success: or(probe.success_threshold, 1), failure: or(probe.failure_threshold, 3), last: None, in_a_row: 0 }
    }

    /// The verdict, once there were enough alike in a row.
    fn take(&mut self, result: Verdict) -> Option<Verdict> {
        self.in_a_row = if self.last == Some(result) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(result);
        let needed = if result == Verdict::Success { self.success } else { self.failure };
        (self.in_a_row >= needed).then_some(result)
    }
}

/// Starts the probes of a container. Readiness and liveness wait until it has started; one that ran before this agent did is taken
/// for started, and its first probe comes at a moment of its own, so that not all of a node come at once.
pub(super) fn spawn(
    target: &Target,
    adopted: bool,
    tell: impl Fn(Probed) + Send + Sync + Clone + 'static,
    tasks: &mut JoinSet<()>,
) {
    let container = &target.container;
    let (started, has_started) = watch::channel(container.startup_probe.is_none());
    let kinds = [
        (Kind::Startup, &container.startup_probe),
        (Kind::Readiness, &container.readiness_probe),
        (Kind::Liveness, &container.liveness_probe),
    ];
    for (kind, probe) in kinds {
        let Some(probe) = probe.clone() else { continue };
        let one = One { target: target.clone(), kind, probe, adopted };
        let (tell, started, mut has_started) = (tell.clone(), started.clone(), has_started.clone());
        tasks.spawn(async move {
            if kind != Kind::Startup && has_started.wait_for(|started| *started).await.is_err() {
                return;
            }
            one.run(tell, started).await;
        });
    }
}

struct One {
    target: Target,
    kind: Kind,
    probe: Probe,
    adopted: bool,
}

impl One {
    async fn run(self, tell: impl Fn(Probed), started: watch::Sender<bool>) {
        let seconds = |value: Option<i32>, least: u64| {
            Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(least).max(least))
        };
        let period = seconds(self.probe.period_seconds.or(Some(10)), 1);
        let delay = seconds(self.probe.initial_delay_seconds, 0);
        let running_for = self.target.running.started().elapsed().unwrap_or_default();
        let mut next = Instant::now() + delay.saturating_sub(running_for);
        if self.adopted {
            next += period.mul_f64(f64::from(self.target.running.pid().unsigned_abs() % 97) / 97.0);
        }
        let mut thresholds = Thresholds::of(&self.probe);
        let mut told = None;
        loop {
            wait_until(next).await;
            let result = self.once().await;
            if let Some(verdict) = thresholds.take(result)
                && told != Some(verdict)
            {
                told = Some(verdict);
                tell(Probed { kind: self.kind, verdict });
                // One success is all that a startup probe is for, and after a final failure the container goes.
                if self.kind == Kind::Startup {
                    started.send_replace(verdict == Verdict::Success);
                    return;
                }
            }
            next = (next + period).max(Instant::now());
        }
    }

    /// One attempt within its time; a failure is told as an event.
    async fn once(&self) -> Verdict {
        let seconds = self.probe.timeout_seconds.and_then(|value| u64::try_from(value).ok()).unwrap_or(1).max(1);
        let limit = Duration::from_secs(seconds);
        let why = match tokio::time::timeout(limit, self.attempt()).await {
            Ok(Ok(())) => return Verdict::Success,
            Ok(Err(why)) => why,
            Err(_) if self.probe.exec.is_some() => format!("command timed out after {seconds}s"),
            Err(_) if self.probe.tcp_socket.is_some() => "dial tcp: i/o timeout".into(),
            Err(_) if self.probe.grpc.is_some() => "timeout: failed to connect service within the time of the probe".into(),
            Err(_) => http::timed_out(&self.target, self.probe.http_get.as_ref()),
        };
        let Target { site, pod, container, .. } = &self.target;
        site.warning(pod, Some(&container.name), "Unhealthy", format!("{} probe failed: {why}", self.kind.name()));
        Verdict::Failure
    }

    async fn attempt(&self) -> Result<(), String> {
        let target = &self.target;
        if let Some(action) = &self.probe.exec {
            return match exec::run(target, action.command.clone().unwrap_or_default()).await? {
                (0, _) => Ok(()),
                (_, output) => Err(output),
            };
        }
        if let Some(action) = &self.probe.http_get {
            let answer = http::get(target, action).await?;
            return match answer.code {
                200..400 => Ok(()),
                code => Err(format!("HTTP probe failed with statuscode: {code}")),
            };
        }
        if let Some(action) = &self.probe.tcp_socket {
            return tcp::connect(target, action).await;
        }
        match &self.probe.grpc {
            Some(action) => grpc::check(target, action).await,
            None => Err("missing probe handler".into()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a probe has a period")]
async fn wait_until(at: Instant) {
    let left = at.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        tokio::time::sleep(left).await;
    }
}

/// The port that a probe names, by its number or as a port of the container.
fn port(target: &Target, port: &k8s_openapi::apimachinery::pkg::util::intstr::IntOrString) -> Result<u16, String> {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = target.container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_deref() == Some(name)).map(|port| port.container_port);
            named.or_else(|| name.parse().ok())
        }
    };
    number
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port > 0)
        .ok_or_else(|| format!("couldn't find port: {port:?}"))
}

/// The host that a probe means: the one it names, or the pod.
fn host(target: &Target, named: Option<&String>) -> String {
    named.filter(|host| !host.is_empty()).cloned().unwrap_or_else(|| target.address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_enough_alike_in_a_row() {
        use Verdict::{Failure, Success};
        let mut thresholds = Thresholds { success: 2, failure: 3, last: None, in_a_row: 0 };
        let table = [
            (Failure, None),
            (Failure, None),
            (Success, None),
            (Failure, None),
            (Failure, None),
            (Failure, Some(Failure)),
            (Success, None),
            (Success, Some(Success)),
        ];
        for (at, (result, verdict)) in table.into_iter().enumerate() {
            assert_eq!(thresholds.take(result), verdict, "result {at}");
        }
    }
}

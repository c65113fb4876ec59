//! The columns of pods: the status is a word made of many fields (`printPod` upstream).

use super::human;
use crate::document::{Value, meta};
use jiff::Timestamp;

fn restarts_always(container: &Value) -> bool {
    container.str_at(&["restartPolicy"]) == Some("Always")
}

fn statuses<'v>(pod: &'v Value, field: &str) -> &'v [Value] {
    pod.array_at(&["status", field])
}

/// The spec of an init container.
fn init_spec<'v>(pod: &'v Value, name: &str) -> Option<&'v Value> {
    pod.array_at(&["spec", "initContainers"]).iter().find(|container| container.str_at(&["name"]) == Some(name))
}

fn is_sidecar(pod: &Value, status: &Value) -> bool {
    init_spec(pod, status.str_at(&["name"]).unwrap_or_default()).is_some_and(restarts_always)
}

pub(in super::super) fn pod_ready(pod: &Value, _: Timestamp) -> Value {
    let sidecars = pod.array_at(&["spec", "initContainers"]).iter().filter(|container| restarts_always(container)).count();
    let total = pod.array_at(&["spec", "containers"]).len() + sidecars;
    let is_ready = |status: &&Value| status.bool_at(&["ready"]) == Some(true);
    let main = statuses(pod, "containerStatuses")
        .iter()
        .filter(|status| is_ready(status) && status.get(&["state", "running"]).is_some())
        .count();
    let beside =
        statuses(pod, "initContainerStatuses").iter().filter(|status| is_sidecar(pod, status) && is_ready(status)).count();
    format!("{}/{total}", main + beside).into()
}

pub(in super::super) fn pod_restarts(pod: &Value, now: Timestamp) -> Value {
    let counted = statuses(pod, "containerStatuses")
        .iter()
        .chain(statuses(pod, "initContainerStatuses").iter().filter(|status| is_sidecar(pod, status)));
    let (mut count, mut last) = (0, None);
    for status in counted {
        count += status.i64_at(&["restartCount"]).unwrap_or(0);
        let finished = status.str_at(&["lastState", "terminated", "finishedAt"]).and_then(meta::parse_time);
        last = last.max(finished);
    }
    match last.filter(|_| count > 0) {
        Some(at) => format!("{count} ({} ago)", human(now.as_second() - at.as_second())).into(),
        None => count.to_string().into(),
    }
}

pub(in super::super) fn readiness_gates(pod: &Value, _: Timestamp) -> Value {
    let gates = pod.array_at(&["spec", "readinessGates"]);
    if gates.is_empty() {
        return "<none>".into();
    }
    let holds = |gate: &&Value| {
        let conditions = pod.array_at(&["status", "conditions"]);
        conditions.iter().any(|c| c.str_at(&["type"]) == gate.str_at(&["conditionType"]) && c.str_at(&["status"]) == Some("True"))
    };
    format!("{}/{}", gates.iter().filter(holds).count(), gates.len()).into()
}

pub(in super::super) fn pod_status(pod: &Value, _: Timestamp) -> Value {
    let phase = pod.str_at(&["status", "phase"]).unwrap_or_default();
    let mut reason = pod.str_at(&["status", "reason"]).filter(|reason| !reason.is_empty()).unwrap_or(phase).to_owned();
    if let Some(gated) =
        condition(pod, "PodScheduled").filter(|condition| condition.str_at(&["reason"]) == Some("SchedulingGated"))
    {
        reason = gated.str_at(&["reason"]).unwrap_or_default().to_owned();
    }
    let initializing = initializing(pod);
    match &initializing {
        Some(word) => reason.clone_from(word),
        None => reason = running(pod, reason),
    }
    if meta::is_deleted(pod) {
        if pod.str_at(&["status", "reason"]) == Some("NodeLost") {
            return "Unknown".into();
        }
        if !matches!(phase, "Succeeded" | "Failed") {
            return "Terminating".into();
        }
    }
    reason.into()
}

fn condition<'v>(pod: &'v Value, kind: &str) -> Option<&'v Value> {
    pod.array_at(&["status", "conditions"]).iter().find(|condition| condition.str_at(&["type"]) == Some(kind))
}

/// What holds the pod up before its containers start.
fn initializing(pod: &Value) -> Option<String> {
    if condition(pod, "Initialized").is_some_and(|condition| condition.str_at(&["status"]) == Some("True")) {
        return None;
    }
    let list = statuses(pod, "initContainerStatuses");
    for (at, status) in list.iter().enumerate() {
        let terminated = status.get(&["state", "terminated"]);
        if terminated.is_some_and(|state| state.i64_at(&["exitCode"]) == Some(0)) {
            continue;
        }
        if is_sidecar(pod, status) && status.bool_at(&["started"]) == Some(true) {
            continue;
        }
        let waiting = status.str_at(&["state", "waiting", "reason"]).filter(|reason| !matches!(*reason, "" | "PodInitializing"));
        return Some(match (terminated, waiting) {
            (Some(state), _) => format!("Init:{}", ended(state)),
            (None, Some(reason)) => format!("Init:{reason}"),
            (None, None) => format!("Init:{at}/{}", pod.array_at(&["spec", "initContainers"]).len()),
        });
    }
    None
}

/// The word for a container that ended: its reason, else its signal or exit code.
fn ended(state: &Value) -> String {
    let signal = state.i64_at(&["signal"]).filter(|signal| *signal != 0);
    match (state.str_at(&["reason"]).filter(|reason| !reason.is_empty()), signal) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(signal)) => format!("Signal:{signal}"),
        (None, None) => format!("ExitCode:{}", state.i64_at(&["exitCode"]).unwrap_or(0)),
    }
}

/// The word of the containers, the first one's last: that is the one people look for.
fn running(pod: &Value, mut reason: String) -> String {
    let mut has_running = false;
    for status in statuses(pod, "containerStatuses").iter().rev() {
        let waiting = status.str_at(&["state", "waiting", "reason"]).filter(|reason| !reason.is_empty());
        if let Some(waiting) = waiting {
            waiting.clone_into(&mut reason);
        } else if let Some(state) = status.get(&["state", "terminated"]) {
            reason = ended(state);
        } else if status.bool_at(&["ready"]) == Some(true) && status.get(&["state", "running"]).is_some() {
            has_running = true;
        }
    }
    if reason == "Completed" && has_running {
        let ready = condition(pod, "Ready").is_some_and(|condition| condition.str_at(&["status"]) == Some("True"));
        reason = if ready { "Running" } else { "NotReady" }.to_owned();
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pod: &str) -> [String; 3] {
        let pod = Value::parse_json(pod.as_bytes()).unwrap().0;
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        [pod_ready(&pod, now), pod_status(&pod, now), pod_restarts(&pod, now)].map(|cell| cell.as_str().unwrap().to_owned())
    }

    #[test]
    fn the_columns_say_what_upstream_says() {
        let table = [
            (r#"{"spec":{"containers":[{}]},"status":{"phase":"Pending"}}"#, ["0/1", "Pending", "0"]),
            (
                r#"{"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Running","containerStatuses":[{"name":"a","ready":true,"restartCount":2,"state":{"running":{}},"lastState":{"terminated":{"finishedAt":"2026-01-01T00:05:00Z"}}}]}}"#,
                ["1/1", "Running", "2 (5m ago)"],
            ),
            (
                r#"{"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Running","containerStatuses":[{"name":"a","state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}"#,
                ["0/1", "CrashLoopBackOff", "0"],
            ),
            (
                r#"{"spec":{"initContainers":[{"name":"i"},{"name":"j"}],"containers":[{"name":"a"}]},"status":{"phase":"Pending","initContainerStatuses":[{"name":"i","state":{"terminated":{"exitCode":0}}},{"name":"j","state":{"running":{}}}]}}"#,
                ["0/1", "Init:1/2", "0"],
            ),
            (
                r#"{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"containers":[{"name":"a"}]},"status":{"phase":"Running"}}"#,
                ["0/1", "Terminating", "0"],
            ),
        ];
        for (pod, expected) in table {
            assert_eq!(shown(pod), expected, "{pod}");
        }
    }
}

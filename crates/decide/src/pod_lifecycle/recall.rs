//! What the API remembers of a pod whose node has forgotten it: the machine was restarted, and with it went every process and the node's
//! own notes. The status that was last written says how often each container ran and how it ended.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use super::{ContainerFacts, Exit, Facts, Run};

/// The facts that a pod's status tells of. What ran then runs no more.
pub fn recall(pod: &Pod, now: Timestamp) -> Facts {
    let Some(status) = &pod.status else { return Facts::default() };
    let all = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    let containers = all.into_iter().flatten().flatten().map(|one| (one.name.clone(), container(one, now)));
    Facts { started: status.start_time.as_ref().map(|time| time.0), containers: containers.collect(), ..Facts::default() }
}

fn container(status: &ContainerStatus, now: Timestamp) -> ContainerFacts {
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.clone().unwrap_or_default().terminated.as_ref().map(ended);
    let (run, last) = match (state.running, state.terminated) {
        (Some(running), _) => {
            let started = running.started_at.map_or(now, |time| time.0);
            (Run::Exited(Exit::lost(bare(status.container_id.as_deref()), started, now)), last)
        }
        (None, Some(terminated)) => (Run::Exited(ended(&terminated)), last),
        // One that waits to be started again shows how it ended as its last state.
        (None, None) => (last.map_or(Run::Never, Run::Exited), None),
    };
    ContainerFacts {
        run,
        last,
        restarts: status.restart_count,
        image: status.image.clone(),
        image_id: status.image_id.clone(),
        ..ContainerFacts::default()
    }
}

fn ended(state: &ContainerStateTerminated) -> Exit {
    let time = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.as_ref().map(|time| time.0);
    Exit {
        id: bare(state.container_id.as_deref()),
        code: state.exit_code,
        signal: state.signal,
        reason: state.reason.clone().unwrap_or_default(),
        message: state.message.clone().unwrap_or_default(),
        started: time(&state.started_at).unwrap_or(Timestamp::UNIX_EPOCH),
        finished: time(&state.finished_at).unwrap_or(Timestamp::UNIX_EPOCH),
    }
}

/// A container's id without its scheme.
fn bare(id: Option<&str>) -> String {
    id.and_then(|id| id.split_once("://")).map(|(_, id)| id.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_lost_and_what_had_ended_is_known() {
        let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
        let terminated = |code: i32| {
            serde_json::json!({"terminated": {"exitCode": code, "reason": "Error", "containerID": "coracle://u-b-1",
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:01:00Z"}})
        };
        let status = |name: &str, restarts: i32, state: serde_json::Value, last: serde_json::Value| {
            serde_json::json!({"name": name, "image": "i", "imageID": "d", "ready": false, "restartCount": restarts,
                "containerID": format!("coracle://u-{name}-{restarts}"), "state": state, "lastState": last})
        };
        let running = serde_json::json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let waiting = serde_json::json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let none = || serde_json::json!({});
        let pod: Pod = serde_json::from_value(serde_json::json!({"status": {
            "startTime": "2026-01-01T00:00:00Z",
            "containerStatuses": [
                status("runs", 2, running, none()), status("ended", 1, terminated(3), none()),
                status("waits", 4, waiting, terminated(5)), status("never", 0, none(), none()),
            ],
        }}))
        .unwrap();
        let facts = recall(&pod, now);
        assert_eq!(facts.started, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        let code =
            |name: &str| facts.containers[name].exit().map(|exit| (exit.code, exit.id.clone(), facts.containers[name].restarts));
        assert_eq!(code("runs"), Some((255, "u-runs-2".into(), 2)));
        assert_eq!(code("ended"), Some((3, "u-b-1".into(), 1)));
        assert_eq!(code("waits"), Some((5, "u-b-1".into(), 4)));
        assert_eq!(code("never"), None);
    }
}

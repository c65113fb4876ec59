//! The phase of a pod, from its containers.

use k8s_openapi::api::core::v1::Pod;

use super::plan::{is_over, should_restart};
use super::{Facts, Run, containers, init_containers, initialized_once, is_sidecar, spec};

/// The phase. A pod that ended is `Succeeded` or `Failed` only once nothing of it runs.
pub(super) fn phase(pod: &Pod, facts: &Facts) -> &'static str {
    if facts.ended.is_some() {
        return "Failed";
    }
    let never = spec(pod).restart_policy.as_deref() == Some("Never");
    let leaving = pod.metadata.deletion_timestamp.is_some();
    if !initialized_once(pod, facts) {
        let failed = init_containers(pod).iter().filter(|c| !is_sidecar(c)).any(|c| {
            let own = facts.container(&c.name);
            own.exit().is_some_and(|exit| exit.code != 0 && (never || !should_restart(pod, c, exit)))
        });
        if failed && !sidecar_runs(pod, facts) {
            return "Failed";
        }
        if leaving && nothing_runs(pod, facts) && facts.containers.values().any(super::ContainerFacts::ever_ran) {
            return "Failed";
        }
        return "Pending";
    }
    let runs: Vec<_> = containers(pod).iter().map(|c| (c, facts.container(&c.name).into_owned())).collect();
    if runs.iter().any(|(_, own)| own.run == Run::Never) && !leaving {
        return "Pending";
    }
    if runs.iter().any(|(_, own)| own.runs()) || sidecar_runs(pod, facts) {
        return "Running";
    }
    if !leaving && !is_over(pod, facts) {
        return "Running";
    }
    let well = runs.iter().all(|(_, own)| own.exit().is_some_and(|exit| exit.code == 0));
    if well { "Succeeded" } else { "Failed" }
}

fn sidecar_runs(pod: &Pod, facts: &Facts) -> bool {
    init_containers(pod).iter().any(|c| is_sidecar(c) && facts.container(&c.name).runs())
}

/// Whether no container of the pod has a process.
pub(super) fn nothing_runs(pod: &Pod, facts: &Facts) -> bool {
    let names = init_containers(pod).iter().chain(containers(pod)).map(|c| &c.name);
    !names.into_iter().any(|name| facts.container(name).runs())
}

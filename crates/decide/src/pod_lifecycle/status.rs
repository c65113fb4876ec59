//! How a pod is told about: facts → `PodStatus`, in upstream's words.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    EphemeralContainer, HostIP, Pod, PodIP, PodStatus, ResourceRequirements, VolumeMount, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{is_pull_failure, settles_at, should_restart};
use super::{
    ContainerFacts, Exit, Facts, Run, conditions, containers, ephemeral_containers, has_started, init_containers, is_ready,
    is_sidecar, phase, spec,
};

/// What the status says of the place where the pod runs.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The node's addresses.
    pub addresses: Vec<String>,
    /// The scheme of container ids, such as `coracle`.
    pub scheme: &'static str,
}

/// The status of a pod; what the node does not own is kept from `before`.
pub fn status(pod: &Pod, facts: &Facts, now: Timestamp, place: &Place, before: &PodStatus) -> PodStatus {
    let mut status = before.clone();
    let phase = phase::phase(pod, facts);
    let ended = facts.ended.as_ref();
    status.phase = Some(phase.into());
    status.observed_generation = pod.metadata.generation;
    if let Some(ended) = ended {
        status.reason = Some(ended.reason.clone());
        status.message = Some(ended.message.clone());
    }
    if ended.is_some_and(|ended| ended.rejected) {
        status.start_time = status.start_time.or_else(|| facts.started.map(Time));
        return status;
    }
    status.conditions = Some(conditions::conditions(pod, facts, phase, now, before));
    status.host_ip = place.addresses.first().cloned();
    status.host_ips = Some(place.addresses.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let host_network = spec(pod).host_network == Some(true);
    let own = if host_network && facts.started.is_some() { &place.addresses } else { &facts.addresses };
    if !own.is_empty() {
        status.pod_ip = own.first().cloned();
        status.pod_ips = Some(own.iter().map(|ip| PodIP { ip: ip.clone() }).collect());
    }
    status.start_time = facts.started.map(Time).or(status.start_time);
    let ground = Ground { pod, facts, now, place, over: matches!(phase, "Succeeded" | "Failed") };
    let of = |list: &[Container]| list.iter().map(|c| ground.container(c)).collect::<Vec<_>>();
    status.container_statuses = Some(of(containers(pod)));
    status.init_container_statuses = some(of(init_containers(pod)));
    let debuggers = ephemeral_containers(pod).iter().map(|c| ground.container(&as_container(c))).collect();
    status.ephemeral_container_statuses = some(debuggers);
    status
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// What a status of an ephemeral container has in common with the others.
pub(super) fn as_container(ephemeral: &EphemeralContainer) -> Container {
    Container {
        name: ephemeral.name.clone(),
        image: ephemeral.image.clone(),
        restart_policy: Some("Never".into()),
        volume_mounts: ephemeral.volume_mounts.clone(),
        ..Container::default()
    }
}

struct Ground<'a> {
    pod: &'a Pod,
    facts: &'a Facts,
    now: Timestamp,
    place: &'a Place,
    over: bool,
}

impl Ground<'_> {
    fn container(&self, container: &Container) -> ContainerStatus {
        let own = self.facts.container(&container.name);
        let (state, last) = self.states(container, &own);
        let is_init = init_containers(self.pod).iter().any(|c| c.name == container.name) && !is_sidecar(container);
        let is_ephemeral = ephemeral_containers(self.pod).iter().any(|c| c.name == container.name);
        let ready = match (is_init, is_ephemeral) {
            (true, _) => own.exit().is_some_and(|exit| exit.code == 0),
            (_, true) => false,
            _ => is_ready(container, &own) && !self.over,
        };
        let id = match &own.run {
            Run::Running { id, .. } => Some(id),
            Run::Exited(exit) => Some(&exit.id),
            Run::Never => None,
        };
        let started = if is_init || is_ephemeral { own.runs() } else { has_started(container, &own) };
        let ran = own.ever_ran();
        ContainerStatus {
            name: container.name.clone(),
            image: if own.image.is_empty() { container.image.clone().unwrap_or_default() } else { own.image.clone() },
            image_id: own.image_id.clone(),
            container_id: id.filter(|id| !id.is_empty()).map(|id| format!("{}://{id}", self.place.scheme)),
            ready,
            started: Some(started),
            restart_count: own.restarts,
            state: Some(state),
            last_state: Some(last),
            resources: ran.then(|| own.resources.clone().unwrap_or_else(|| resources(container))),
            allocated_resources: requests(container).filter(|_| ran),
            volume_mounts: some(mounts(container)),
            ..ContainerStatus::default()
        }
    }

    fn states(&self, container: &Container, own: &ContainerFacts) -> (ContainerState, ContainerState) {
        let last = own.last.as_ref().map(|exit| terminated(exit, self.place.scheme)).unwrap_or_default();
        match &own.run {
            Run::Running { since, .. } => {
                let running = Some(ContainerStateRunning { started_at: Some(Time(*since)) });
                (ContainerState { running, ..ContainerState::default() }, last)
            }
            Run::Exited(exit) => {
                let ended = terminated(exit, self.place.scheme);
                match self.waits_for_restart(container, own, exit) {
                    Some((reason, message)) => (waiting(&reason, message), ended),
                    None => (ended, last),
                }
            }
            Run::Never => (self.not_yet(container, own), last),
        }
    }

    /// The reason and message of a container that is down now and will be up again.
    fn waits_for_restart(&self, container: &Container, own: &ContainerFacts, exit: &Exit) -> Option<(String, String)> {
        let is_init = init_containers(self.pod).iter().any(|c| c.name == container.name);
        let well = is_init && !is_sidecar(container) && exit.code == 0;
        if self.over || well || self.pod.metadata.deletion_timestamp.is_some() || !should_restart(self.pod, container, exit) {
            return None;
        }
        if let Some(failure) = &own.failure {
            let settled = settles_at(failure).is_some_and(|at| at <= self.now);
            if is_pull_failure(&failure.reason) || !settled || failure.reason.starts_with("CreateContainer") {
                return Some(failed(own, container, self.now));
            }
        }
        // A restart that is in work does not wait any more.
        own.restart_wait().filter(|until| *until > self.now && !own.starting)?;
        Some(("CrashLoopBackOff".into(), back_off_message(self.pod, container, own)))
    }

    fn not_yet(&self, container: &Container, own: &ContainerFacts) -> ContainerState {
        if self.over && super::initialized_once(self.pod, self.facts) {
            let lost = ContainerStateTerminated {
                exit_code: 137,
                reason: Some("ContainerStatusUnknown".into()),
                message: Some("The container could not be located when the pod was terminated".into()),
                ..ContainerStateTerminated::default()
            };
            return ContainerState { terminated: Some(lost), ..ContainerState::default() };
        }
        if own.failure.is_some() {
            let (reason, message) = failed(own, container, self.now);
            return waiting(&reason, message);
        }
        let has_init = !init_containers(self.pod).is_empty();
        waiting(if has_init { "PodInitializing" } else { "ContainerCreating" }, String::new())
    }
}

/// `back-off 10s restarting failed container=… pod=…`, as the status of a crashing container says.
fn back_off_message(pod: &Pod, container: &Container, own: &ContainerFacts) -> String {
    let meta = &pod.metadata;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    format!(
        "back-off {} restarting failed container={} pod={}_{}({})",
        go_duration(own.restart_back_off.seconds),
        container.name,
        text(&meta.name),
        text(&meta.namespace),
        text(&meta.uid)
    )
}

fn go_duration(seconds: i64) -> String {
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}

fn failed(own: &ContainerFacts, container: &Container, now: Timestamp) -> (String, String) {
    let Some(failure) = &own.failure else { return (String::new(), String::new()) };
    let settled = settles_at(failure).is_some_and(|at| at <= now);
    if failure.reason == "ErrImagePull" && settled {
        let image = container.image.as_deref().unwrap_or_default();
        let message = format!("Back-off pulling image \"{image}\": ErrImagePull: {}", failure.message);
        return ("ImagePullBackOff".into(), message);
    }
    (failure.reason.clone(), failure.message.clone())
}

fn waiting(reason: &str, message: String) -> ContainerState {
    let message = (!message.is_empty()).then_some(message);
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(exit: &Exit, scheme: &str) -> ContainerState {
    let ended = ContainerStateTerminated {
        container_id: (!exit.id.is_empty()).then(|| format!("{scheme}://{}", exit.id)),
        exit_code: exit.code,
        signal: exit.signal.filter(|_| exit.code < 128),
        reason: Some(exit.reason.clone()),
        message: (!exit.message.is_empty()).then(|| exit.message.clone()),
        started_at: Some(Time(exit.started)),
        finished_at: Some(Time(exit.finished)),
    };
    ContainerState { terminated: Some(ended), ..ContainerState::default() }
}

fn resources(container: &Container) -> ResourceRequirements {
    let mut own = container.resources.clone().unwrap_or_default();
    own.claims = None;
    own
}

fn requests(container: &Container) -> Option<BTreeMap<String, Quantity>> {
    container.resources.as_ref()?.requests.clone().filter(|requests| !requests.is_empty())
}

fn mounts(container: &Container) -> Vec<VolumeMountStatus> {
    let told = |mount: &VolumeMount| VolumeMountStatus {
        mount_path: mount.mount_path.clone(),
        name: mount.name.clone(),
        read_only: mount.read_only.filter(|on| *on),
        recursive_read_only: match (mount.read_only, mount.recursive_read_only.as_deref()) {
            (Some(true), Some("Enabled" | "IfPossible")) => Some("Enabled".into()),
            (Some(true), _) => Some("Disabled".into()),
            _ => None,
        },
        ..VolumeMountStatus::default()
    };
    container.volume_mounts.iter().flatten().map(told).collect()
}

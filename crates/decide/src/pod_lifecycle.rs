//! A pod's life on its node: what is to be done next ([`plan`]) and how the pod is told about ([`status`]), from its spec and the facts that
//! the node holds. Pure: the node observes, asks, and carries out without choosing. Never touches a container, never reads a clock.

mod admission;
mod back_off;
mod conditions;
mod phase;
mod plan;
mod recall;
mod resize;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, EphemeralContainer, Pod, PodSpec, ResourceRequirements};
use serde::{Deserialize, Serialize};

pub use admission::admit;
pub use back_off::{BackOff, IMAGE_MAX_SECONDS, RESTART_MAX_SECONDS};
pub use plan::{Action, Plan, Stop, plan, should_restart};
pub use recall::recall;
pub use resize::{Resize, infeasible, resize};
pub use status::{Place, status};

/// How far the ground of a pod (sandbox, address, policy, volumes) is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ground {
    /// Nothing is there yet.
    #[default]
    Absent,
    /// The sandbox stands and has an address; the rest is in work.
    Sandboxed,
    /// All is there: containers may start.
    Ready,
    /// Taken away again for good.
    Released,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The container's id, without the scheme.
    pub id: String,
    /// The exit code; 128 and more for signals.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, …
    pub reason: String,
    /// The termination message.
    pub message: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

impl Exit {
    /// The reason of an end that nobody saw.
    const LOST: &str = "Unknown";

    /// The end of a run that went with its machine: nobody saw how.
    pub fn lost(id: String, started: Timestamp, now: Timestamp) -> Self {
        Self { id, code: 255, signal: None, reason: Self::LOST.into(), message: String::new(), started, finished: now }
    }
}

/// What a container is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Run {
    /// It never ran.
    #[default]
    Never,
    /// Its process runs.
    Running {
        /// Its id.
        id: String,
        /// Since when.
        since: Timestamp,
    },
    /// It ended.
    Exited(Exit),
}

/// Why a container could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `ErrImagePull`, `CreateContainerConfigError`, …
    pub reason: String,
    /// In upstream's words.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// What the probes of a container say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// Whether the startup probe has succeeded; none while unknown.
    pub startup: Option<bool>,
    /// Whether the readiness probe succeeds; none while unknown.
    pub ready: Option<bool>,
    /// Whether the liveness probe succeeds; none while unknown.
    pub live: Option<bool>,
}

/// What the node knows of one container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerFacts {
    /// What it does.
    pub run: Run,
    /// How it ended the time before.
    pub last: Option<Exit>,
    /// How often it was started again.
    pub restarts: i32,
    /// Why its last start failed; gone with the next success.
    pub failure: Option<Failure>,
    /// Waiting after crashes.
    pub restart_back_off: BackOff,
    /// Waiting after failed pulls.
    pub image_back_off: BackOff,
    /// What its probes say since it runs.
    #[serde(skip)]
    pub probed: Probed,
    /// A start is in work.
    #[serde(skip)]
    pub starting: bool,
    /// A stop is in work that kills at this time at the latest.
    #[serde(skip)]
    pub stopping: Option<Timestamp>,
    /// The postStart hook has ended well (or there is none).
    pub settled: bool,
    /// The postStart hook failed: the container is to be stopped.
    #[serde(skip)]
    pub hook_failed: bool,
    /// The image's id, once known.
    pub image_id: String,
    /// The image's name as the store knows it, once known.
    pub image: String,
    /// The resources by which it is bounded, once it ran.
    #[serde(default)]
    pub resources: Option<ResourceRequirements>,
}

impl ContainerFacts {
    /// Whether its process runs.
    pub fn runs(&self) -> bool {
        matches!(self.run, Run::Running { .. })
    }

    /// How it ended, unless it runs or never ran.
    pub fn exit(&self) -> Option<&Exit> {
        match &self.run {
            Run::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    /// Until when it waits before it is started again. Only its own failures make it wait: the end of its machine is none of them.
    pub fn restart_wait(&self) -> Option<Timestamp> {
        let exit = self.exit().filter(|exit| exit.reason != Exit::LOST)?;
        self.restart_back_off.until(exit.finished)
    }

    /// A start begins. What waits after a crash grows with the attempt, not with the crash, as upstream has it.
    pub fn note_restart(&mut self, now: Timestamp) {
        if self.failure.is_none() && self.exit().is_some_and(|exit| exit.reason != Exit::LOST) {
            self.restart_back_off = self.restart_back_off.raise(now, RESTART_MAX_SECONDS);
        }
    }

    /// Whether a process of it was ever there.
    pub fn ever_ran(&self) -> bool {
        self.run != Run::Never
    }
}

/// Why a pod ended although its containers did not ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `Evicted`, `DeadlineExceeded`, `OutOfcpu`, …
    pub reason: String,
    /// In upstream's words.
    pub message: String,
    /// Whether the node never took it in.
    pub rejected: bool,
    /// Seconds its containers still have; none: as the pod says.
    pub grace_seconds: Option<i64>,
}

/// What the node knows of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// How far sandbox, address, policy and volumes are.
    pub ground: Ground,
    /// The ground is being made or taken away.
    #[serde(skip)]
    pub ground_busy: bool,
    /// Not before this may making the ground be tried again.
    #[serde(skip)]
    pub ground_retry: Option<Timestamp>,
    /// The pod's addresses.
    pub addresses: Vec<String>,
    /// When the node took the pod in.
    pub started: Option<Timestamp>,
    /// When the node began to stop the pod.
    pub stop_began: Option<Timestamp>,
    /// Why it ended against its will.
    pub ended: Option<Ended>,
    /// Why the node cannot give the containers what they ask for now.
    #[serde(skip)]
    pub resize_refused: Option<String>,
    /// By container name, init and ephemeral ones included.
    pub containers: BTreeMap<String, ContainerFacts>,
}

impl Facts {
    /// The facts of a container; those of one that never ran when there are none.
    pub fn container(&self, name: &str) -> std::borrow::Cow<'_, ContainerFacts> {
        match self.containers.get(name) {
            Some(facts) => std::borrow::Cow::Borrowed(facts),
            None => std::borrow::Cow::Owned(ContainerFacts::default()),
        }
    }
}

/// An init container that goes on running beside the others.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The spec of a pod; every stored pod has one.
pub(crate) fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: std::sync::OnceLock<PodSpec> = std::sync::OnceLock::new();
    pod.spec.as_ref().unwrap_or_else(|| EMPTY.get_or_init(PodSpec::default))
}

/// The init containers of a pod.
pub fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

/// The main containers of a pod.
pub fn containers(pod: &Pod) -> &[Container] {
    &spec(pod).containers
}

/// The ephemeral containers of a pod.
pub fn ephemeral_containers(pod: &Pod) -> &[EphemeralContainer] {
    spec(pod).ephemeral_containers.as_deref().unwrap_or_default()
}

/// Whether any main container ever had a process: from then on regular init containers are past.
pub(crate) fn initialized_once(pod: &Pod, facts: &Facts) -> bool {
    containers(pod).iter().any(|c| facts.container(&c.name).ever_ran())
}

/// Whether a container passed its startup probe and its postStart hook.
pub(crate) fn has_started(container: &Container, facts: &ContainerFacts) -> bool {
    facts.runs() && facts.settled && (container.startup_probe.is_none() || facts.probed.startup == Some(true))
}

/// Whether a container counts as ready.
pub(crate) fn is_ready(container: &Container, facts: &ContainerFacts) -> bool {
    has_started(container, facts) && (container.readiness_probe.is_none() || facts.probed.ready == Some(true))
}

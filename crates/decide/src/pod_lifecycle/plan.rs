//! What is to be done next for a pod. Init containers in order, sidecars kept alive beside them, then the others; at the end everything stops
//! with its grace, sidecars last and backwards.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};

use super::{
    ContainerFacts, Ended, Exit, Facts, Failure, Ground, Resize, has_started, init_containers, initialized_once, is_sidecar,
    resize, spec,
};

/// How long an error that is not a crash (a missing config map, a refused user) waits before the next try, unless an event comes first.
const CONFIG_RETRY_SECONDS: i64 = 10;
/// What a sidecar has at least after the others are gone.
const SIDECAR_GRACE_SECONDS: i64 = 2;

/// One container is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Its name.
    pub container: String,
    /// When it is killed at the latest; its preStop hook counts into this time.
    pub kill_at: Timestamp,
    /// What the event says.
    pub message: String,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make sandbox, address, policy and volumes.
    Prepare,
    /// Start a container, pulling its image first when it must.
    Start(String),
    /// Stop a container, or shorten the time it still has.
    Stop(Stop),
    /// The pod ends for this reason.
    End(Ended),
    /// Take sandbox, address, policy and volumes away.
    Release,
    /// Everything is gone and was asked to go: the object may be removed.
    Finish,
}

/// What to do, and when to ask again even if nothing happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order.
    pub actions: Vec<Action>,
    /// When time alone changes the plan.
    pub wake: Option<Timestamp>,
}

impl Plan {
    fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn start(&mut self, name: &str) {
        self.actions.push(Action::Start(name.to_owned()));
    }
}

/// Decides.
pub fn plan(pod: &Pod, facts: &Facts, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    if facts.ended.is_none()
        && !is_over(pod, facts)
        && let Some(ended) = deadline(pod, facts, now, &mut plan)
    {
        plan.actions.push(Action::End(ended));
        return plan;
    }
    if pod.metadata.deletion_timestamp.is_some() || facts.ended.is_some() || is_over(pod, facts) {
        stop_all(pod, facts, now, &mut plan);
    } else if facts.ground == Ground::Ready {
        run(pod, facts, now, &mut plan);
    } else if !facts.ground_busy {
        match facts.ground_retry.filter(|at| *at > now) {
            Some(at) => plan.wake_at(at),
            None => plan.actions.push(Action::Prepare),
        }
    }
    plan
}

fn deadline(pod: &Pod, facts: &Facts, now: Timestamp, plan: &mut Plan) -> Option<Ended> {
    let seconds = spec(pod).active_deadline_seconds?;
    let at = facts.started?.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    if now < at {
        plan.wake_at(at);
        return None;
    }
    Some(Ended {
        reason: "DeadlineExceeded".into(),
        message: "Pod was active on the node longer than the specified deadline".into(),
        rejected: false,
        grace_seconds: None,
    })
}

/// Whether a container that ended is started again.
pub fn should_restart(pod: &Pod, container: &Container, exit: &Exit) -> bool {
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let among = codes.values.iter().flatten().any(|code| *code == exit.code);
        if among == (codes.operator == "In") && rule.action.starts_with("Restart") {
            return true;
        }
    }
    let own = container.restart_policy.as_deref();
    match own.or(spec(pod).restart_policy.as_deref()).unwrap_or("Always") {
        "Never" => false,
        "OnFailure" => exit.code != 0,
        _ => true,
    }
}

/// Whether a regular init container that ended runs again: only when it failed.
fn init_restarts(pod: &Pod, container: &Container, exit: &Exit) -> bool {
    exit.code != 0 && should_restart(pod, container, exit)
}

/// Whether the pod has nothing more to run: all main containers ended for good, or an init container did without success.
pub(super) fn is_over(pod: &Pod, facts: &Facts) -> bool {
    let main = super::containers(pod);
    let done = |c: &Container| facts.container(&c.name).exit().is_some_and(|exit| !should_restart(pod, c, exit));
    if !main.is_empty() && main.iter().all(done) {
        return true;
    }
    !initialized_once(pod, facts)
        && init_containers(pod).iter().filter(|c| !is_sidecar(c)).any(|c| {
            let exit = facts.container(&c.name).exit().cloned();
            exit.is_some_and(|exit| exit.code != 0 && !init_restarts(pod, c, &exit))
        })
}

fn run(pod: &Pod, facts: &Facts, now: Timestamp, plan: &mut Plan) {
    for container in super::ephemeral_containers(pod) {
        let own = facts.container(&container.name);
        if !own.ever_ran() && !own.starting && may_start(&own, now, plan) {
            plan.start(&container.name);
        }
    }
    let initialized = if initialized_once(pod, facts) {
        init_containers(pod).iter().filter(|c| is_sidecar(c)).for_each(|c| keep(pod, c, facts, now, plan));
        true
    } else {
        initialize(pod, facts, now, plan)
    };
    if initialized {
        super::containers(pod).iter().for_each(|c| keep(pod, c, facts, now, plan));
    }
}

/// Runs init containers in order; true when all are done and every sidecar has started.
fn initialize(pod: &Pod, facts: &Facts, now: Timestamp, plan: &mut Plan) -> bool {
    for container in init_containers(pod) {
        let own = facts.container(&container.name);
        if is_sidecar(container) {
            keep(pod, container, facts, now, plan);
            if !has_started(container, &own) {
                return false;
            }
            continue;
        }
        match own.exit() {
            Some(exit) if exit.code == 0 => {}
            _ => {
                keep(pod, container, facts, now, plan);
                return false;
            }
        }
    }
    true
}

/// Starts a container that should run, stops one that is to run anew.
fn keep(pod: &Pod, container: &Container, facts: &Facts, now: Timestamp, plan: &mut Plan) {
    let own = facts.container(&container.name);
    if own.starting {
        return;
    }
    if own.runs() {
        if let Some((message, grace)) = broken(pod, container, &own)
            && own.stopping.is_none()
        {
            let kill_at = after(now, grace);
            plan.actions.push(Action::Stop(Stop { container: container.name.clone(), kill_at, message }));
        }
        return;
    }
    if let Some(exit) = own.exit() {
        if !should_restart(pod, container, exit) {
            return;
        }
        if let Some(until) = own.restart_wait().filter(|until| *until > now) {
            plan.wake_at(until);
            return;
        }
    }
    if may_start(&own, now, plan) {
        plan.start(&container.name);
    }
}

/// Whether nothing from an earlier failure says to wait.
fn may_start(own: &ContainerFacts, now: Timestamp, plan: &mut Plan) -> bool {
    let Some(failure) = &own.failure else { return true };
    let Some(until) = retry_at(own, failure).filter(|until| *until > now) else { return true };
    plan.wake_at(until);
    if let Some(settled) = settles_at(failure).filter(|at| *at > now) {
        plan.wake_at(settled);
    }
    false
}

/// When a start that failed is tried again.
fn retry_at(own: &ContainerFacts, failure: &Failure) -> Option<Timestamp> {
    match failure.reason.as_str() {
        reason if is_pull_failure(reason) => own.image_back_off.until(failure.at),
        // The exit that was noted with it has its own waiting time.
        "RunContainerError" | "PostStartHookError" => None,
        _ => Some(after(failure.at, CONFIG_RETRY_SECONDS)),
    }
}

/// From when on a failure is shown as waiting instead of as what it was.
pub(super) fn settles_at(failure: &Failure) -> Option<Timestamp> {
    failure.at.checked_add(SignedDuration::from_secs(1)).ok()
}

pub(super) fn is_pull_failure(reason: &str) -> bool {
    matches!(reason, "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" | "RegistryUnavailable")
}

/// Why a running container must be stopped and run anew, and the seconds it has.
fn broken(pod: &Pod, container: &Container, own: &ContainerFacts) -> Option<(String, i64)> {
    let name = &container.name;
    let grace = |probe: Option<&k8s_openapi::api::core::v1::Probe>| {
        let own = probe.and_then(|probe| probe.termination_grace_period_seconds);
        own.or(spec(pod).termination_grace_period_seconds).unwrap_or(30)
    };
    if own.hook_failed {
        return Some(("FailedPostStartHook".into(), grace(None)));
    }
    if resize(container, own) == Resize::Restart {
        return Some((format!("Container {name} resize requires restart"), grace(None)));
    }
    if own.probed.startup == Some(false) {
        let message = format!("Container {name} failed startup probe, will be restarted");
        return Some((message, grace(container.startup_probe.as_ref())));
    }
    if own.probed.live == Some(false) {
        let message = format!("Container {name} failed liveness probe, will be restarted");
        return Some((message, grace(container.liveness_probe.as_ref())));
    }
    None
}

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The seconds that the containers of a pod have at its end; never less than one.
fn grace(pod: &Pod, facts: &Facts) -> i64 {
    let asked = pod.metadata.deletion_grace_period_seconds.filter(|_| pod.metadata.deletion_timestamp.is_some());
    let ended = facts.ended.as_ref().and_then(|ended| ended.grace_seconds);
    let shortest = [asked, ended].into_iter().flatten().min();
    shortest.or(spec(pod).termination_grace_period_seconds).unwrap_or(30).max(1)
}

fn stop_all(pod: &Pod, facts: &Facts, now: Timestamp, plan: &mut Plan) {
    let kill_at = after(facts.stop_began.unwrap_or(now), grace(pod, facts));
    let is_alive = |name: &str| {
        let own = facts.container(name);
        own.runs() || own.starting
    };
    let regular = init_containers(pod).iter().filter(|c| !is_sidecar(c)).map(|c| &c.name);
    let main = super::containers(pod).iter().map(|c| &c.name);
    let ephemeral = super::ephemeral_containers(pod).iter().map(|c| &c.name);
    let first: Vec<&String> = regular.chain(main).chain(ephemeral).filter(|name| is_alive(name)).collect();
    for name in &first {
        stop(name, kill_at, facts, plan);
    }
    if !first.is_empty() {
        return;
    }
    let last = init_containers(pod).iter().rev().filter(|c| is_sidecar(c)).find(|c| is_alive(&c.name));
    if let Some(sidecar) = last {
        stop(&sidecar.name, kill_at.max(after(now, SIDECAR_GRACE_SECONDS)), facts, plan);
        return;
    }
    let rejected = facts.ended.as_ref().is_some_and(|ended| ended.rejected);
    if facts.ground != Ground::Released && !rejected {
        if !facts.ground_busy {
            plan.actions.push(Action::Release);
        }
    } else if pod.metadata.deletion_timestamp.is_some() {
        plan.actions.push(Action::Finish);
    }
}

fn stop(name: &str, kill_at: Timestamp, facts: &Facts, plan: &mut Plan) {
    let own = facts.container(name);
    if own.stopping.is_none_or(|planned| planned > kill_at) {
        let message = format!("Stopping container {name}");
        plan.actions.push(Action::Stop(Stop { container: name.to_owned(), kill_at, message }));
    }
}

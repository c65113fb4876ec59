//! The conditions that a node keeps on its pods. Those of others stay as they are; a time changes only when its status does.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Facts, Ground, Resize, containers, has_started, init_containers, is_ready, is_sidecar, resize, spec};

struct Verdict {
    kind: &'static str,
    holds: bool,
    reason: String,
    message: String,
}

impl Verdict {
    fn yes(kind: &'static str) -> Self {
        Self { kind, holds: true, reason: String::new(), message: String::new() }
    }

    fn no(kind: &'static str, reason: &str, message: String) -> Self {
        Self { kind, holds: false, reason: reason.into(), message }
    }
}

/// Brings the conditions up to date in upstream's order.
pub(super) fn conditions(pod: &Pod, facts: &Facts, phase: &str, now: Timestamp, before: &PodStatus) -> Vec<PodCondition> {
    let ready_containers = containers_ready(pod, facts, phase);
    let ready = ready(pod, &ready_containers, before);
    let sandboxed = matches!(facts.ground, Ground::Sandboxed | Ground::Ready) && !facts.addresses.is_empty();
    let sandbox = match sandboxed {
        true => Verdict::yes("PodReadyToStartContainers"),
        false => Verdict::no("PodReadyToStartContainers", "", String::new()),
    };
    let mut ours = vec![sandbox, initialized(pod, facts, phase), ready, ready_containers, Verdict::yes("PodScheduled")];
    ours.extend(resizes(pod, facts));
    let old = before.conditions.as_deref().unwrap_or_default();
    let mut all: Vec<PodCondition> = ours.iter().map(|verdict| condition(verdict, pod, now, old)).collect();
    // Those of a resize are only there while it is under way.
    let is_others = |c: &&PodCondition| !RESIZES.contains(&c.type_.as_str()) && !ours.iter().any(|own| own.kind == c.type_);
    all.extend(old.iter().filter(is_others).cloned());
    all
}

const RESIZES: [&str; 2] = ["PodResizePending", "PodResizeInProgress"];

/// Whether containers are to be bounded otherwise than they are.
fn resizes(pod: &Pod, facts: &Facts) -> Option<Verdict> {
    let lasting = containers(pod).iter().chain(init_containers(pod).iter().filter(|c| is_sidecar(c)));
    let due = |c: &Container| {
        let own = facts.container(&c.name);
        own.runs() && resize(c, &own) != Resize::No
    };
    if !lasting.into_iter().any(due) {
        return None;
    }
    Some(match &facts.resize_refused {
        Some(why) => Verdict { reason: "Infeasible".into(), message: why.clone(), ..Verdict::yes(RESIZES[0]) },
        None => Verdict::yes(RESIZES[1]),
    })
}

fn condition(verdict: &Verdict, pod: &Pod, now: Timestamp, old: &[PodCondition]) -> PodCondition {
    let status = if verdict.holds { "True" } else { "False" };
    let same = old.iter().find(|c| c.type_ == verdict.kind && c.status == status);
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    PodCondition {
        type_: verdict.kind.into(),
        status: status.into(),
        reason: text(&verdict.reason),
        message: text(&verdict.message),
        last_probe_time: None,
        last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or(Some(Time(now))),
        observed_generation: pod.metadata.generation,
    }
}

fn names(containers: &[&Container]) -> String {
    let names: Vec<&str> = containers.iter().map(|c| c.name.as_str()).collect();
    format!("[{}]", names.join(" "))
}

fn initialized(pod: &Pod, facts: &Facts, phase: &str) -> Verdict {
    const KIND: &str = "Initialized";
    if phase == "Succeeded" {
        return Verdict { reason: "PodCompleted".into(), ..Verdict::yes(KIND) };
    }
    if super::initialized_once(pod, facts) {
        return Verdict::yes(KIND);
    }
    let is_incomplete = |c: &&Container| {
        let own = facts.container(&c.name);
        match is_sidecar(c) {
            true => !has_started(c, &own),
            false => own.exit().is_none_or(|exit| exit.code != 0),
        }
    };
    let incomplete: Vec<&Container> = init_containers(pod).iter().filter(is_incomplete).collect();
    if incomplete.is_empty() {
        return Verdict::yes(KIND);
    }
    Verdict::no(KIND, "ContainersNotInitialized", format!("containers with incomplete status: {}", names(&incomplete)))
}

fn containers_ready(pod: &Pod, facts: &Facts, phase: &str) -> Verdict {
    const KIND: &str = "ContainersReady";
    match phase {
        "Succeeded" => return Verdict::no(KIND, "PodCompleted", String::new()),
        "Failed" => return Verdict::no(KIND, "PodFailed", String::new()),
        _ => {}
    }
    let sidecars = init_containers(pod).iter().filter(|c| is_sidecar(c));
    let is_unready = |c: &&Container| !is_ready(c, &facts.container(&c.name));
    let unready: Vec<&Container> = sidecars.chain(containers(pod)).filter(is_unready).collect();
    if unready.is_empty() {
        return Verdict::yes(KIND);
    }
    Verdict::no(KIND, "ContainersNotReady", format!("containers with unready status: {}", names(&unready)))
}

fn ready(pod: &Pod, containers: &Verdict, before: &PodStatus) -> Verdict {
    const KIND: &str = "Ready";
    if !containers.holds {
        return Verdict::no(KIND, &containers.reason, containers.message.clone());
    }
    let conditions = before.conditions.as_deref().unwrap_or_default();
    let mut unmet = Vec::new();
    for gate in spec(pod).readiness_gates.iter().flatten() {
        let kind = &gate.condition_type;
        match conditions.iter().find(|c| c.type_ == *kind) {
            None => unmet.push(format!("corresponding condition of pod readiness gate \"{kind}\" does not exist.")),
            Some(c) if c.status != "True" => {
                unmet.push(format!("the status of pod readiness gate \"{kind}\" is not \"True\", but {}", c.status));
            }
            Some(_) => {}
        }
    }
    if unmet.is_empty() {
        return Verdict::yes(KIND);
    }
    Verdict::no(KIND, "ReadinessGatesNotReady", unmet.join(", "))
}

//! The Pod Security Standards, by the labels of the namespace: what `enforce` forbids is refused, what `warn` forbids is said. Workloads
//! with a pod template are only warned about; their pods are refused when they come. (`audit` has no log to go to yet.)

mod baseline;
mod restricted;

use super::{Ground, Operation, Review};
use api::document::{Value, meta};
use api::status::Status;

/// How strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Anything goes.
    Privileged,
    /// No known way to the host.
    Baseline,
    /// As little as can be.
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Level::Privileged),
            "baseline" => Some(Level::Baseline),
            "restricted" => Some(Level::Restricted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

/// What a pod does that a level forbids.
pub(super) struct Violation {
    reason: &'static str,
    detail: String,
}

impl Violation {
    fn text(&self) -> String {
        if self.detail.is_empty() {
            return self.reason.to_owned();
        }
        format!("{} ({})", self.reason, self.detail)
    }
}

/// A check: a pod's `spec` (with the pod beside it, for annotations), and what is wrong with it.
type Check = fn(&Pod<'_>) -> Option<Violation>;

/// A pod as checks look at it.
pub(super) struct Pod<'a> {
    spec: &'a Value,
}

impl<'a> Pod<'a> {
    fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(move |l| spec.array_at(&[l]))
    }

    /// Names of the containers of which something holds.
    fn where_container(&self, holds: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|c| holds(c)).map(name).collect()
    }
}

fn name(value: &Value) -> &str {
    value.str_at(&["name"]).unwrap_or_default()
}

/// `container "a"`, `containers "a", "b"`.
fn containers(names: &[&str]) -> String {
    format!("{} {}", plural("container", names.len()), quoted(names))
}

fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn quoted<T: AsRef<str>>(names: &[T]) -> String {
    names.iter().map(|n| format!("{:?}", n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Each once, in order.
fn distinct(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values.dedup();
    values
}

/// Everything that `level` forbids of this pod spec, worded as upstream words it; empty when all is well.
pub fn violations(spec: &Value, level: Level) -> Vec<String> {
    let checks: &[&[Check]] = match level {
        Level::Privileged => &[],
        Level::Baseline => &[baseline::CHECKS],
        Level::Restricted => &[baseline::CHECKS_UNDER_RESTRICTED, restricted::CHECKS],
    };
    let pod = Pod { spec };
    checks.iter().flat_map(|list| list.iter()).filter_map(|check| check(&pod)).map(|v| v.text()).collect()
}

fn level_of(namespace: &Value, mode: &str) -> (Level, String) {
    let label = |key: &str| meta::label(namespace, &format!("pod-security.kubernetes.io/{key}"));
    let version = label(&format!("{mode}-version")).unwrap_or("latest").to_owned();
    match label(mode) {
        None => (Level::Privileged, version),
        // A label that cannot be read is no licence.
        Some(text) => (Level::parse(text).unwrap_or(Level::Restricted), version),
    }
}

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !matches!(review.operation, Operation::Create | Operation::Update) || review.namespace.is_empty() {
        return Ok(());
    }
    let pod = review.group.is_empty()
        && review.resource == "pods"
        && matches!(review.subresource, "" | "ephemeralcontainers" | "resize");
    let Some(path) = spec_path(review, pod) else { return Ok(()) };
    let Some(spec) = review.object.get(path).cloned() else { return Ok(()) };
    // An update that leaves the spec alone (labels, finalizers) must not fail because the namespace became stricter.
    if review.old.and_then(|old| old.get(path)) == Some(&spec) {
        return Ok(());
    }
    let Some(namespace) = ground.objects.object("", "namespaces", "", review.namespace) else { return Ok(()) };
    let (level, version) = level_of(&namespace, "enforce");
    if pod {
        let found = violations(&spec, level);
        if !found.is_empty() {
            let level = level.as_str();
            return Err(review.forbidden(format!("violates PodSecurity \"{level}:{version}\": {}", found.join(", "))));
        }
    }
    let (level, version) = level_of(&namespace, "warn");
    let found = violations(&spec, level);
    if !found.is_empty() {
        let level = level.as_str();
        review.warnings.push(format!("would violate PodSecurity \"{level}:{version}\": {}", found.join(", ")));
    }
    Ok(())
}

fn spec_path(review: &Review<'_>, pod: bool) -> Option<&'static [&'static str]> {
    if pod {
        return Some(&["spec"]);
    }
    match (review.group, review.resource, review.subresource) {
        ("", "podtemplates", "") => Some(&["template", "spec"]),
        ("", "replicationcontrollers", "") => Some(&["spec", "template", "spec"]),
        ("apps", "deployments" | "daemonsets" | "replicasets" | "statefulsets", "") | ("batch", "jobs", "") => {
            Some(&["spec", "template", "spec"])
        }
        ("batch", "cronjobs", "") => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => None,
    }
}

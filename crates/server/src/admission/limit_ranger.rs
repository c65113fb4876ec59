//! LimitRanges of a namespace: defaults for containers that say nothing, and bounds.

use super::{Ground, Operation, Review};
use api::document::{Value, meta};
use api::quantity::Quantity;
use api::status::Status;
use std::collections::BTreeMap;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

fn ranges(review: &Review<'_>, ground: &Ground<'_>) -> Vec<Value> {
    let resize = review.resource == "pods" && review.subresource == "resize" && review.operation == Operation::Update;
    let pod = review.creates_pod() || resize;
    let claim = review.is_core("persistentvolumeclaims") && matches!(review.operation, Operation::Create | Operation::Update);
    if !review.group.is_empty() || !(pod || claim) || review.old.is_some_and(meta::is_deleted) {
        return Vec::new();
    }
    ground.objects.objects("", "limitranges", review.namespace)
}

fn limits<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    range.array_at(&["spec", "limits"]).iter().filter(move |l| l.str_at(&["type"]) == Some(kind))
}

fn amounts(value: &Value, path: &[&str]) -> Amounts {
    let map = value.object_at(path).into_iter().flat_map(|m| m.iter());
    map.filter_map(|(k, v)| Some((k.to_string(), quantity(v)?))).collect()
}

/// Quantities are texts, or numbers that nobody quoted.
pub(super) fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Int(number) => Some(Quantity::whole(*number)),
        Value::Float(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

pub(super) fn mutate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if review.resource != "pods" {
        return Ok(());
    }
    for range in ranges(review, ground) {
        let (mut requests, mut caps) = (Vec::new(), Vec::new());
        for limit in limits(&range, "Container") {
            let pairs = |field: &str| {
                let map = limit.object_at(&[field]).into_iter().flat_map(|m| m.iter());
                map.map(|(k, v)| (k.to_string(), v.clone())).collect::<Vec<_>>()
            };
            requests.extend(pairs("defaultRequest"));
            caps.extend(pairs("default"));
        }
        let mut notes = Vec::new();
        for (list, word) in [("containers", "container"), ("initContainers", "init container")] {
            let Some(containers) = review.object.get_mut(&["spec", list]).and_then(Value::as_array_mut) else {
                continue;
            };
            for container in containers {
                fill(container, "requests", "request", &requests, word, &mut notes);
                fill(container, "limits", "limit", &caps, word, &mut notes);
            }
        }
        if !notes.is_empty() {
            let text = format!("LimitRanger plugin set: {}", notes.join("; "));
            review.object.set_at(&["metadata", "annotations", ANNOTATION], text);
        }
    }
    Ok(())
}

fn fill(container: &mut Value, field: &str, noun: &str, defaults: &[(String, Value)], word: &str, notes: &mut Vec<String>) {
    let mut set = Vec::new();
    for (resource, amount) in defaults {
        let path = ["resources", field, resource.as_str()];
        if container.get(&path).is_none() {
            container.set_at(&path, amount.clone());
            set.push(resource.as_str());
        }
    }
    if !set.is_empty() {
        set.sort_unstable();
        let name = container.str_at(&["name"]).unwrap_or_default();
        notes.push(format!("{} {noun} for {word} {name}", set.join(", ")));
    }
}

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    for range in ranges(review, ground) {
        let mut errors = Vec::new();
        if review.resource == "pods" {
            check_pod(&range, review.object, &mut errors);
        } else {
            let requests = amounts(review.object, &["spec", "resources", "requests"]);
            for limit in limits(&range, "PersistentVolumeClaim") {
                let bound = Bound { kind: "PersistentVolumeClaim", requests: &requests, limits: &Amounts::new() };
                errors.extend(amounts(limit, &["min"]).iter().filter_map(|(k, v)| bound.min(k, v)));
                errors.extend(amounts(limit, &["max"]).iter().filter_map(|(k, v)| bound.max_request(k, v)));
            }
        }
        match &errors[..] {
            [] => {}
            [one] => return Err(review.forbidden(one)),
            several => return Err(review.forbidden(format!("[{}]", several.join(", ")))),
        }
    }
    Ok(())
}

fn check_pod(range: &Value, pod: &Value, errors: &mut Vec<String>) {
    for limit in limits(range, "Container") {
        for list in ["containers", "initContainers"] {
            for container in pod.array_at(&["spec", list]) {
                let requests = amounts(container, &["resources", "requests"]);
                let limits = amounts(container, &["resources", "limits"]);
                Bound { kind: "Container", requests: &requests, limits: &limits }.check(limit, errors);
            }
        }
    }
    for limit in limits(range, "Pod") {
        let requests = super::resource_quota::pod_total(pod, "requests");
        let limits = super::resource_quota::pod_total(pod, "limits");
        Bound { kind: "Pod", requests: &requests, limits: &limits }.check(limit, errors);
    }
}

/// What is asked for, against one bound.
struct Bound<'a> {
    kind: &'a str,
    requests: &'a Amounts,
    limits: &'a Amounts,
}

impl Bound<'_> {
    fn check(&self, limit: &Value, errors: &mut Vec<String>) {
        errors.extend(amounts(limit, &["min"]).iter().filter_map(|(k, v)| self.min(k, v)));
        errors.extend(amounts(limit, &["max"]).iter().filter_map(|(k, v)| self.max(k, v)));
        errors.extend(amounts(limit, &["maxLimitRequestRatio"]).iter().filter_map(|(k, v)| self.ratio(k, v)));
    }

    fn min(&self, resource: &str, bound: &Quantity) -> Option<String> {
        let start = format!("minimum {resource} usage per {} is {bound}", self.kind);
        let Some(request) = self.requests.get(resource) else {
            return Some(format!("{start}.  No request is specified"));
        };
        if request < bound {
            return Some(format!("{start}, but request is {request}"));
        }
        let limit = self.limits.get(resource).filter(|limit| *limit < bound)?;
        Some(format!("{start}, but limit is {limit}"))
    }

    fn max(&self, resource: &str, bound: &Quantity) -> Option<String> {
        let start = format!("maximum {resource} usage per {} is {bound}", self.kind);
        let Some(limit) = self.limits.get(resource) else {
            return Some(format!("{start}.  No limit is specified"));
        };
        if limit > bound {
            return Some(format!("{start}, but limit is {limit}"));
        }
        let request = self.requests.get(resource).filter(|request| *request > bound)?;
        Some(format!("{start}, but request is {request}"))
    }

    fn max_request(&self, resource: &str, bound: &Quantity) -> Option<String> {
        let start = format!("maximum {resource} usage per {} is {bound}", self.kind);
        match self.requests.get(resource) {
            None => Some(format!("{start}.  No request is specified")),
            Some(request) if request > bound => Some(format!("{start}, but request is {request}")),
            Some(_) => None,
        }
    }

    fn ratio(&self, resource: &str, bound: &Quantity) -> Option<String> {
        let start = format!("{resource} max limit to request ratio per {} is {bound}", self.kind);
        let Some(request) = self.requests.get(resource).filter(|r| !r.is_zero()) else {
            return Some(format!("{start}, but no request is specified or request is 0"));
        };
        let Some(limit) = self.limits.get(resource).filter(|l| !l.is_zero()) else {
            return Some(format!("{start}, but no limit is specified or limit is 0"));
        };
        let ratio = limit.nanos() as f64 / request.nanos() as f64;
        (ratio > bound.nanos() as f64 / 1e9).then(|| format!("{start}, but provided ratio is {ratio:.6}"))
    }
}

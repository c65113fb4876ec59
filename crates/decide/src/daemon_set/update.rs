//! How a new template reaches the nodes: old pods go while no more than so many are away, or new ones come beside them.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{ByNode, Observed, Place, Plan, is_new};
use crate::pod_facts::{is_available, is_ending};
use crate::rollout::resolve;

/// How many nodes may be without an available pod, and how many may have two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub unavailable: i32,
    pub surge: i32,
}

/// The bounds for so many nodes.
pub(super) fn bounds(set: &DaemonSet, nodes: i32) -> Bounds {
    let rolling = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let part = |value: Option<&IntOrString>, default: &str| resolve(value, default, nodes, true);
    let surge = part(rolling.and_then(|rolling| rolling.max_surge.as_ref()), "0");
    let unavailable = part(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), "1");
    Bounds { unavailable: if surge == 0 { unavailable.max(1) } else { unavailable }, surge }
}

/// A node's new pod and its old one, if there are.
type Pair<'p> = (Option<&'p Arc<Pod>>, Option<&'p Arc<Pod>>);

/// The one new and the one old pod of a node; nothing when there are more of either.
fn pair<'p>(pods: &'p [Arc<Pod>], hash: &str) -> Option<Pair<'p>> {
    let (new, old): (Vec<_>, Vec<_>) = pods.iter().filter(|pod| !is_ending(pod)).partition(|pod| is_new(pod, hash));
    (new.len() <= 1 && old.len() <= 1).then(|| (new.first().copied(), old.first().copied()))
}

/// Adds what the update does next.
pub(super) fn plan(observed: &Observed<'_>, place: &Place, by_node: &ByNode, plan: &mut Plan) {
    let strategy = observed.set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    if strategy == Some("OnDelete") {
        return;
    }
    let wanted: Vec<&str> =
        observed.nodes.iter().filter(|node| place.fit(node).runs).filter_map(|node| node.metadata.name.as_deref()).collect();
    let bounds = bounds(observed.set, i32::try_from(wanted.len()).unwrap_or(i32::MAX));
    let mut nodes: Vec<&str> = wanted.clone();
    nodes.extend(by_node.keys().map(String::as_str).filter(|name| !wanted.contains(name)));
    if bounds.surge == 0 {
        replace(observed, by_node, &nodes, bounds, plan);
    } else {
        surge(observed, by_node, &nodes, &wanted, bounds, plan);
    }
}

fn pods_of<'b>(by_node: &'b ByNode, node: &str) -> &'b [Arc<Pod>] {
    by_node.get(node).map(Vec::as_slice).unwrap_or_default()
}

fn replace(observed: &Observed<'_>, by_node: &ByNode, nodes: &[&str], bounds: Bounds, plan: &mut Plan) {
    let patience = observed.set.spec.min_ready_seconds.unwrap_or_default();
    let available = |pod: &Pod| is_available(pod, patience, observed.now);
    let mut away = 0;
    let mut candidates = Vec::new();
    for node in nodes {
        match pair(pods_of(by_node, node), observed.hash) {
            Some((None, Some(old))) if available(old) => candidates.push(Arc::clone(old)),
            // One that serves nobody is replaced whatever the bound says.
            Some((None, Some(old))) => {
                away += 1;
                plan.delete.push(Arc::clone(old));
            }
            Some((Some(new), None)) => away += i32::from(!available(new)),
            _ => away += 1,
        }
    }
    let more = usize::try_from(bounds.unavailable - away).unwrap_or_default();
    plan.delete.extend(candidates.into_iter().take(more));
}

fn surge(observed: &Observed<'_>, by_node: &ByNode, nodes: &[&str], wanted: &[&str], bounds: Bounds, plan: &mut Plan) {
    let patience = observed.set.spec.min_ready_seconds.unwrap_or_default();
    let available = |pod: &Pod| is_available(pod, patience, observed.now);
    let (mut surging, mut serving) = (0, 0);
    let (mut candidates, mut misplaced) = (Vec::new(), Vec::new());
    for node in nodes {
        let Some((new, old)) = pair(pods_of(by_node, node), observed.hash) else {
            surging += 1;
            continue;
        };
        serving += i32::from(old.or(new).is_some_and(|pod| available(pod)));
        let runs = wanted.contains(node);
        match (new, old) {
            (None, Some(old)) if !available(old) && !runs => plan.delete.push(Arc::clone(old)),
            (None, Some(old)) if !available(old) => plan.create.push((*node).to_owned()),
            (None, Some(old)) if !runs => misplaced.push(Arc::clone(old)),
            (None, Some(_)) => candidates.push((*node).to_owned()),
            (Some(new), Some(_)) if !available(new) => surging += 1,
            (Some(_), Some(old)) => plan.delete.push(Arc::clone(old)),
            (_, None) => {}
        }
    }
    let spare = usize::try_from(serving - i32::try_from(wanted.len()).unwrap_or(i32::MAX)).unwrap_or_default();
    plan.delete.extend(misplaced.into_iter().take(spare));
    let more = usize::try_from(bounds.surge - surging).unwrap_or_default();
    plan.create.extend(candidates.into_iter().take(more));
}

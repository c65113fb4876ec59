//! Which of the nodes that fit is best. `SCORES` with their weights, upstream's defaults; each gives every node 0 to 100.

use super::cluster::Cluster;
use super::node::Node;
use super::pod::Pod;
use super::resources::Resources;
use super::{pod_affinity, spread, taints};

/// The best that a node can get from one score.
const BEST: i64 = 100;
const MIB: i64 = 1024 * 1024;
/// Images smaller than this in sum do not count.
const SMALL_IMAGES: i64 = 23 * MIB;
/// An image larger than this counts as if it were that large.
const LARGE_IMAGE: i64 = 1000 * MIB;

/// A score of every node, or none where the pod does not care.
type Rate = fn(&Cluster, &Pod, &[&Node]) -> Option<Vec<i64>>;

/// The scores by name, with their weights.
pub const SCORES: &[(&str, i64, Rate)] = &[
    ("TaintToleration", 3, tolerance),
    ("NodeAffinity", 2, preference),
    ("PodTopologySpread", 2, evenness),
    ("InterPodAffinity", 2, attraction),
    ("NodeResourcesFit", 1, free_room),
    ("NodeResourcesBalancedAllocation", 1, balance),
    ("ImageLocality", 1, images),
];

/// The sum of the weighted scores of each node.
#[must_use]
pub fn totals(cluster: &Cluster, pod: &Pod, nodes: &[&Node]) -> Vec<i64> {
    let mut totals = vec![0; nodes.len()];
    for (_, weight, rate) in SCORES {
        for (total, score) in totals.iter_mut().zip(rate(cluster, pod, nodes).into_iter().flatten()) {
            *total += weight * score;
        }
    }
    totals
}

/// The largest becomes the best; reversed, the smallest does.
fn normalize(scores: Vec<i64>, reverse: bool) -> Vec<i64> {
    let largest = scores.iter().copied().max().unwrap_or_default();
    let normal = |score: i64| if largest == 0 { 0 } else { BEST * score / largest };
    scores.into_iter().map(|score| if reverse { BEST - normal(score) } else { normal(score) }).collect()
}

fn tolerance(_: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<i64>> {
    let counts = nodes.iter().map(|node| taints::discouraging(&node.taints, &pod.tolerations)).collect();
    Some(normalize(counts, true))
}

fn preference(_: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<i64>> {
    let weigh = |node: &&Node| pod.node_affinity.preference(&node.name, &node.labels);
    pod.node_affinity.has_preferences().then(|| normalize(nodes.iter().map(weigh).collect(), false))
}

fn evenness(cluster: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<i64>> {
    let crowding = spread::crowding(cluster, pod, nodes)?;
    let most = crowding.iter().flatten().copied().max().unwrap_or_default();
    let least = crowding.iter().flatten().copied().min().unwrap_or_default();
    let score = |crowd: Option<i64>| match crowd {
        None => 0,
        Some(_) if most == 0 => BEST,
        Some(crowd) => BEST * (most + least - crowd) / most,
    };
    Some(crowding.into_iter().map(score).collect())
}

fn attraction(cluster: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<i64>> {
    let counts = pod_affinity::attraction(cluster, pod);
    if counts.is_empty() {
        return None;
    }
    let sums: Vec<i64> = nodes.iter().map(|node| pod_affinity::attraction_of(&counts, node)).collect();
    let (least, most) = (sums.iter().min()?, sums.iter().max()?);
    let range = most - least;
    Some(sums.iter().map(|sum| if range == 0 { 0 } else { BEST * (sum - least) / range }).collect())
}

/// Processor and memory as (wanted, there is).
fn pairs(used: &Resources, pod: &Resources, all: &Resources) -> [(i64, i64); 2] {
    [(used.milli_cpu + pod.milli_cpu, all.milli_cpu), (used.memory + pod.memory, all.memory)]
}

fn free_room(_: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<i64>> {
    let score = |node: &&Node| {
        let known = pairs(node.assumed(), &pod.assumed_requests, &node.allocatable).into_iter().filter(|(_, all)| *all > 0);
        let scores: Vec<i64> = known.map(|(wanted, all)| if wanted > all { 0 } else { (all - wanted) * BEST / all }).collect();
        if scores.is_empty() { 0 } else { scores.iter().sum::<i64>() / scores.len() as i64 }
    };
    Some(nodes.iter().map(score).collect())
}

fn balance(_: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<i64>> {
    if pod.requests.milli_cpu == 0 && pod.requests.memory == 0 {
        return None;
    }
    let score = |node: &&Node| {
        let with = evenness_of(pairs(node.requested(), &pod.requests, &node.allocatable));
        let without = evenness_of(pairs(node.requested(), &Resources::default(), &node.allocatable));
        BEST / 2 + (BEST / 2 + with - without) / 2
    };
    Some(nodes.iter().map(score).collect())
}

/// How close the used fractions are to each other.
fn evenness_of(pairs: [(i64, i64); 2]) -> i64 {
    let known = pairs.into_iter().filter(|(_, all)| *all > 0);
    let fractions: Vec<f64> = known.map(|(wanted, all)| (wanted as f64 / all as f64).min(1.0)).collect();
    let deviation = if let [first, second] = fractions[..] { (first - second).abs() / 2.0 } else { 0.0 };
    ((1.0 - deviation) * BEST as f64) as i64
}

fn images(cluster: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<i64>> {
    if pod.images.is_empty() || cluster.node_count() == 0 {
        return None;
    }
    let most = LARGE_IMAGE * pod.images.len() as i64;
    let score = |node: &&Node| {
        let found = pod.images.iter().filter_map(|image| {
            let size = node.images.get(image)?;
            let spread = cluster.image_spread(image) as f64 / cluster.node_count() as f64;
            Some((*size as f64 * spread) as i64)
        });
        BEST * (found.sum::<i64>().clamp(SMALL_IMAGES, most) - SMALL_IMAGES) / (most - SMALL_IMAGES)
    };
    Some(nodes.iter().map(score).collect())
}

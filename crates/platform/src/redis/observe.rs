//! A cluster as it is: what the caches hold of its claims and pods, what its servers answer. Changes nothing.

use std::{collections::BTreeMap, sync::Arc};

use client::Key;
use decide::redis_slots::{Berth, Disk, Member, Nodes, Pod as PodState, Seat, Seen, Snapshot};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;

use super::{
    Operator,
    client::Address,
    kinds::{MemberStatus, RedisCluster},
    objects,
};
use crate::apply;

/// How long a node may take to become ready the first time and is counted on meanwhile, in seconds.
const YOUNG_SECONDS: i64 = 60;

/// What was found.
pub struct Observed {
    /// Of each seat: claim and pod.
    pub claims: BTreeMap<Seat, Arc<PersistentVolumeClaim>>,
    /// The pods.
    pub pods: BTreeMap<Seat, Arc<Pod>>,
    /// For the plan of what Redis is to do.
    pub snapshot: Snapshot,
    /// For the plan of disks and pods.
    pub berths: BTreeMap<Seat, Berth>,
}

/// Looks at everything of a cluster.
pub async fn observe(operator: &Operator, key: &Key, cluster: &RedisCluster, password: &str) -> Observed {
    let value = format!("{}/{}", key.namespace(), key.name());
    let claims: BTreeMap<_, _> =
        operator.claims.get(&value).into_iter().filter_map(|claim| Some((objects::seat(&*claim)?, claim))).collect();
    let pods: BTreeMap<_, _> =
        operator.pods.get(&value).into_iter().filter_map(|pod| Some((objects::seat(&*pod)?, pod))).collect();
    let asked =
        join_all(pods.iter().map(|(seat, pod)| async move { (*seat, ask(operator, key, *seat, pod, password).await) })).await;
    let mut answers: BTreeMap<Seat, Seen> = asked.into_iter().filter_map(|(seat, seen)| Some((seat, seen?))).collect();
    let now = Timestamp::now();
    let known = cluster.status.as_ref().map(|status| status.members.as_slice()).unwrap_or_default();
    let mut members = Vec::new();
    let mut berths = BTreeMap::new();
    for seat in cluster_seats(cluster, &claims, &pods) {
        let claim = claims.get(&seat);
        let pod = pods.get(&seat);
        let disk = claim.map(|claim| Disk { node: node_of(claim), ending: claim.metadata.deletion_timestamp.is_some() });
        let state = pod.map(|pod| pod_state(cluster, seat, pod, disk.as_ref()));
        berths.insert(seat, Berth { disk: disk.clone(), pod: state, answers: answers.contains_key(&seat) });
        let Some(disk) = disk else { continue };
        let seen = answers.remove(&seat);
        let away_since = operator.memory(key, |memory| memory.away(seat, seen.is_some(), now));
        let last_id = last_id(known, cluster, seat, claim);
        members.push(Member { seat, node: disk.node, last_id, seen, away_since });
    }
    Observed {
        claims,
        pods,
        snapshot: Snapshot { shape: cluster.shape(), members, now, told: operator.memory(key, |memory| memory.told) },
        berths,
    }
}

/// The seats of the shape, and those that something was found of.
fn cluster_seats(
    cluster: &RedisCluster,
    claims: &BTreeMap<Seat, Arc<PersistentVolumeClaim>>,
    pods: &BTreeMap<Seat, Arc<Pod>>,
) -> Vec<Seat> {
    let shape = cluster.shape();
    let fits = |seat: &&Seat| seat.shard >= 1 && seat.shard <= shape.shards && seat.index <= shape.replicas;
    let mut seats: Vec<Seat> = claims.keys().chain(pods.keys()).filter(fits).copied().collect();
    seats.sort_unstable();
    seats.dedup();
    seats
}

/// The identity that was last seen on this very disk.
fn last_id(
    known: &[MemberStatus],
    cluster: &RedisCluster,
    seat: Seat,
    claim: Option<&Arc<PersistentVolumeClaim>>,
) -> Option<String> {
    let name = seat.name(&cluster.name_any());
    let member = known.iter().find(|member| member.name == name)?;
    let same_disk = claim.and_then(|claim| claim.uid()).is_some_and(|uid| uid == member.disk);
    (same_disk && !member.id.is_empty()).then(|| member.id.clone())
}

async fn ask(operator: &Operator, key: &Key, seat: Seat, pod: &Pod, password: &str) -> Option<Seen> {
    if has_ended(pod) {
        return None;
    }
    let address = address(seat, pod)?;
    let (queue, waker) = (operator.queue.clone(), key.clone());
    let patience = operator.memory(key, |memory| memory.patience(seat));
    let asked = operator.servers.ask(&address, password, patience, move || queue.add(waker.clone())).await;
    if let Err(error) = &asked {
        let loading = error.is_loading();
        tracing::debug!(cluster = %key, member = %seat, loading, error = error as &dyn std::error::Error, "a member does not answer");
    }
    asked.ok()
}

/// Where a member listens, once its pod has an address.
pub fn address(seat: Seat, pod: &Pod) -> Option<Address> {
    let ip = pod.status.as_ref()?.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    Some(Address { ip, port: seat.port() })
}

fn node_of(claim: &PersistentVolumeClaim) -> String {
    claim.annotations().get(objects::NODE).cloned().unwrap_or_default()
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Failed" | "Succeeded"))
}

fn pod_state(cluster: &RedisCluster, seat: Seat, pod: &Pod, disk: Option<&Disk>) -> PodState {
    let wanted = disk.map(|disk| objects::pod(cluster, seat, &disk.node));
    let wanted = wanted.as_ref().and_then(|pod| pod["metadata"]["annotations"][apply::HASH].as_str());
    let written = pod.annotations().get(apply::HASH).map(String::as_str);
    PodState {
        ending: pod.metadata.deletion_timestamp.is_some(),
        ended: has_ended(pod),
        outdated: wanted.is_some() && wanted != written,
    }
}

/// The nodes: which exist, and which take new members.
pub fn nodes(all: &[Arc<Node>], now: Timestamp) -> Nodes {
    Nodes {
        all: all.iter().map(|node| node.name_any()).collect(),
        open: all.iter().filter(|node| is_open(node, now)).map(|node| node.name_any()).collect(),
    }
}

fn is_open(node: &Node, now: Timestamp) -> bool {
    let spec = node.spec.as_ref();
    let closed = spec.and_then(|spec| spec.unschedulable).unwrap_or(false) || node.metadata.deletion_timestamp.is_some();
    let own = |key: &str| matches!(key, "node.kubernetes.io/not-ready" | "node.kubernetes.io/unreachable");
    let mut taints = spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let repels = taints.any(|taint| taint.effect != "PreferNoSchedule" && !own(&taint.key));
    let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let created = node.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    !closed && !repels && (ready || now.as_second() - created < YOUNG_SECONDS)
}

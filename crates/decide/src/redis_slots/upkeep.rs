//! Which disks and pods a cluster needs: made where they are missing, made anew where they failed, moved only when a node is gone for good
//! and the data lives elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use super::{Seat, Shape, Wait, place};

/// The nodes of the Kubernetes cluster.
#[derive(Debug, Clone, Default)]
pub struct Nodes {
    /// Every one that exists, whatever its state.
    pub all: BTreeSet<String>,
    /// Those that may take a new member.
    pub open: Vec<String>,
}

/// A seat as the Kubernetes API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Berth {
    /// The disk, if there is one.
    pub disk: Option<Disk>,
    /// The pod, if there is one.
    pub pod: Option<Pod>,
    /// Whether the server on it answers.
    pub answers: bool,
}

/// A claim on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The node that it lies on.
    pub node: String,
    /// Whether it is about to go.
    pub ending: bool,
}

/// A pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pod {
    /// Whether it is about to go.
    pub ending: bool,
    /// Whether it ended and will not start again.
    pub ended: bool,
    /// Whether it was made from another specification than the present one.
    pub outdated: bool,
}

/// One thing to make or to take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upkeep {
    /// A disk for this seat on this node.
    MakeDisk(Seat, String),
    /// A pod on the disk of this seat, which lies on this node.
    MakePod(Seat, String),
    /// The pod of this seat goes; at once, without its node's word, when the node is gone.
    DeletePod(Seat, bool),
    /// The disk of this seat goes: its node is gone for good.
    DropDisk(Seat),
}

/// What is to be made and taken away, and what is waited for. `calm`: the cluster is as it should be, so that a pod may be replaced.
#[must_use]
pub fn upkeep(shape: Shape, nodes: &Nodes, berths: &BTreeMap<Seat, Berth>, calm: bool) -> (Vec<Upkeep>, Vec<Wait>) {
    let bound: BTreeMap<Seat, String> = berths
        .iter()
        .filter_map(|(seat, berth)| Some((*seat, berth.disk.as_ref()?)))
        .filter(|(_, disk)| nodes.all.contains(&disk.node))
        .map(|(seat, disk)| (seat, disk.node.clone()))
        .collect();
    let placement = place(shape, &nodes.open, &bound);
    let mut work = Vec::new();
    let mut waits: Vec<Wait> = placement
        .unplaced
        .iter()
        .map(|unplaced| Wait { reason: "Unplaced", message: format!("member {} has no node: {}", unplaced.seat, unplaced.why) })
        .collect();
    for seat in shape.seats() {
        let berth = berths.get(&seat);
        let pod = berth.and_then(|berth| berth.pod);
        let Some(disk) = berth.and_then(|berth| berth.disk.as_ref()) else {
            if let Some(node) = placement.seats.get(&seat) {
                work.push(Upkeep::MakeDisk(seat, node.clone()));
                if pod.is_none() {
                    work.push(Upkeep::MakePod(seat, node.clone()));
                }
            }
            continue;
        };
        let gone = !nodes.all.contains(&disk.node);
        match pod {
            Some(pod) if gone || (pod.ended && !pod.ending) => work.push(Upkeep::DeletePod(seat, gone)),
            None if !gone && !disk.ending => work.push(Upkeep::MakePod(seat, disk.node.clone())),
            _ => {}
        }
        if gone && !disk.ending && placement.seats.contains_key(&seat) {
            let copied = berths.iter().any(|(other, berth)| *other != seat && other.shard == seat.shard && berth.answers);
            if copied {
                work.push(Upkeep::DropDisk(seat));
            } else {
                let message =
                    format!("the node {} of member {seat} is gone, but no other member holds shard {}", disk.node, seat.shard);
                waits.push(Wait { reason: "OnlyCopy", message });
            }
        }
    }
    if calm && work.is_empty() {
        let outdated = |seat: &Seat| berths.get(seat).and_then(|berth| berth.pod).is_some_and(|pod| pod.outdated && !pod.ending);
        // Replicas first, so that a master is replaced once.
        work.extend(shape.seats().filter(outdated).last().map(|seat| Upkeep::DeletePod(seat, false)));
    }
    (work, waits)
}

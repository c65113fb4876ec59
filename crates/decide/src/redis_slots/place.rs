//! On which node each seat belongs. A seat that has a disk stays where the disk is; only a seat without one is placed.

use std::collections::BTreeMap;

use super::{Seat, Shape};

/// Where every seat belongs, and what could not be placed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Seat → node.
    pub seats: BTreeMap<Seat, String>,
    /// Seats without a node, and why.
    pub unplaced: Vec<Unplaced>,
}

/// A seat for which there is no node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unplaced {
    /// The seat.
    pub seat: Seat,
    /// Why.
    pub why: String,
}

/// Places what has no disk yet. `nodes` are those that may take a new member, `bound` the seats that have a disk on a node that still exists.
///
/// With as many nodes as shards, and one replica, the master of shard *s* comes to node *s* and its replica to the next one, the last
/// shard's replica to the first node. In general: never two members of a shard on a node, masters as even as can be, then members as even
/// as can be, then as in that picture.
#[must_use]
pub fn place(shape: Shape, nodes: &[String], bound: &BTreeMap<Seat, String>) -> Placement {
    let mut nodes: Vec<&String> = nodes.iter().collect();
    nodes.sort_by_cached_key(|name| natural(name));
    let mut placement = Placement { seats: bound.clone(), unplaced: Vec::new() };
    for seat in shape.seats() {
        if placement.seats.contains_key(&seat) {
            continue;
        }
        let seats = &placement.seats;
        let has_shard = |node: &str| seats.iter().any(|(other, place)| other.shard == seat.shard && place == node);
        let load = |node: &str, masters: bool| {
            seats.iter().filter(|(other, at)| *at == node && (!masters || other.is_masters())).count()
        };
        let best = (0..nodes.len()).filter(|at| !has_shard(nodes[*at])).min_by_key(|at| {
            let masters = if seat.is_masters() { load(nodes[*at], true) } else { 0 };
            let away = (at + nodes.len() - ideal(seat, nodes.len())) % nodes.len();
            (masters, load(nodes[*at], false), away)
        });
        match best {
            Some(at) => drop(placement.seats.insert(seat, nodes[at].clone())),
            None => placement.unplaced.push(Unplaced { seat, why: why_not(seat, nodes.len()) }),
        }
    }
    placement
}

/// The node of a seat in the ideal picture, by its place in order: a shard's members lie on different nodes, and the replicas of the
/// masters of one node on different others, so that its loss is shared by all.
fn ideal(seat: Seat, nodes: usize) -> usize {
    let shard = usize::from(seat.shard - 1);
    if seat.is_masters() || nodes < 2 {
        return shard % nodes;
    }
    let step = 1 + (usize::from(seat.index - 1) + shard / nodes) % (nodes - 1);
    (shard + step) % nodes
}

fn why_not(seat: Seat, nodes: usize) -> String {
    if nodes == 0 {
        return "there is no node that takes members".to_owned();
    }
    format!("every one of the {nodes} nodes that take members holds a member of shard {} already", seat.shard)
}

/// Order of names with numbers in them as people read them: `node-2` before `node-10`.
fn natural(name: &str) -> Vec<(bool, String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.starts_with(|c: char| c.is_ascii_digit());
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        let number = if digits { part.parse().unwrap_or(u64::MAX) } else { 0 };
        parts.push((!digits, if digits { String::new() } else { part.to_owned() }, number));
        rest = tail;
    }
    parts
}

//! Which member of each shard shall be its master, so that masters are spread evenly over the nodes that are there now.

use std::collections::{BTreeMap, VecDeque};

use super::{Seat, facts::Facts};

/// The seat that shall be master, for each shard whose master answers.
///
/// It is the seat made for it when it is there, else whoever is master now; then as few changes as make the nodes even: no node has two
/// masters more than another that could take one.
pub(super) fn targets(facts: &Facts<'_>) -> BTreeMap<u16, Seat> {
    let choices = choices(facts);
    let mut chosen: BTreeMap<u16, usize> = BTreeMap::new();
    for (shard, seats) in &choices {
        let holder = facts.holder(*shard).and_then(|id| facts.by_id(id)).map(|(member, _)| member.seat);
        let own = seats.iter().position(|(seat, _)| seat.is_masters());
        let present = seats.iter().position(|(seat, _)| Some(*seat) == holder);
        chosen.insert(*shard, own.or(present).unwrap_or(0));
    }
    while let Some(moves) = relief(&choices, &chosen) {
        chosen.extend(moves);
    }
    chosen.into_iter().map(|(shard, at)| (shard, choices[&shard][at].0)).collect()
}

type Choices = BTreeMap<u16, Vec<(Seat, String)>>;

/// The members that may be master: those that answered, of shards whose master did.
fn choices(facts: &Facts<'_>) -> Choices {
    let mut choices = Choices::new();
    for shard in 1..=facts.snapshot.shape.shards {
        if facts.holder(shard).and_then(|id| facts.by_id(id)).is_some_and(|(member, _)| member.seat.shard == shard) {
            let seats = facts.of_shard(shard);
            choices.insert(shard, seats.map(|(member, _)| (member.seat, member.node.clone())).collect());
        }
    }
    choices.retain(|_, seats| !seats.is_empty());
    choices
}

/// The shortest chain of changes that takes a master from a node to one that has at least two fewer.
fn relief(choices: &Choices, chosen: &BTreeMap<u16, usize>) -> Option<Vec<(u16, usize)>> {
    let node = |shard: u16, at: usize| choices[&shard][at].1.as_str();
    let mut load: BTreeMap<&str, usize> = choices.values().flatten().map(|(_, node)| (node.as_str(), 0)).collect();
    chosen.iter().for_each(|(shard, at)| *load.entry(node(*shard, *at)).or_default() += 1);
    let mut starts: Vec<&str> = load.keys().copied().collect();
    starts.sort_by_key(|name| std::cmp::Reverse(load[name]));
    for start in starts {
        let mut came_by: BTreeMap<&str, (u16, usize)> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(from) = next.pop_front() {
            if load[from] + 2 <= load[start] {
                return Some(chain(choices, chosen, &came_by, start, from));
            }
            for (shard, at) in chosen.iter().filter(|(shard, at)| node(**shard, **at) == from) {
                for other in (0..choices[shard].len()).filter(|other| other != at) {
                    let to = node(*shard, other);
                    if to != start && !came_by.contains_key(to) {
                        came_by.insert(to, (*shard, other));
                        next.push_back(to);
                    }
                }
            }
        }
    }
    None
}

fn chain<'a>(
    choices: &'a Choices,
    chosen: &BTreeMap<u16, usize>,
    came_by: &BTreeMap<&'a str, (u16, usize)>,
    start: &str,
    end: &'a str,
) -> Vec<(u16, usize)> {
    let mut moves = Vec::new();
    let mut at = end;
    while at != start {
        let (shard, to) = came_by[at];
        moves.push((shard, to));
        at = &choices[&shard][chosen[&shard]].1;
    }
    moves
}

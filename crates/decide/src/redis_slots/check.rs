//! What every placement and every plan must obey, whoever made it. Runs in each test and in debug builds before a plan is carried out.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, How, Placement, Plan, Role, Seat, Shape, Snapshot,
    facts::Facts,
    plan::{Step, is_caught_up},
};

/// What is wrong with a placement; nothing if it is right.
#[must_use]
pub fn check_placement(shape: Shape, nodes: &[String], bound: &BTreeMap<Seat, String>, placement: &Placement) -> Vec<String> {
    let mut wrong = Vec::new();
    let unplaced: BTreeSet<Seat> = placement.unplaced.iter().map(|unplaced| unplaced.seat).collect();
    for seat in shape.seats() {
        if placement.seats.contains_key(&seat) == unplaced.contains(&seat) {
            wrong.push(format!("{seat} is neither placed nor refused, or both"));
        }
    }
    for (seat, node) in bound {
        if placement.seats.get(seat) != Some(node) {
            wrong.push(format!("{seat} has its disk on {node} and was moved"));
        }
    }
    for (seat, node) in placement.seats.iter().filter(|(seat, _)| !bound.contains_key(seat)) {
        if !nodes.contains(node) {
            wrong.push(format!("{seat} was placed on {node}, which takes no members"));
        }
        if placement.seats.iter().any(|(other, at)| other != seat && other.shard == seat.shard && at == node) {
            wrong.push(format!("two members of shard {} lie on {node}", seat.shard));
        }
    }
    if bound.is_empty() {
        let masters = |node: &String| placement.seats.iter().filter(|(seat, at)| seat.is_masters() && *at == node).count();
        let (most, fewest) = (nodes.iter().map(masters).max().unwrap_or(0), nodes.iter().map(masters).min().unwrap_or(0));
        if most > fewest + 1 {
            wrong.push(format!("one node has {most} masters, another {fewest}"));
        }
    }
    wrong
}

/// What is wrong with a plan; nothing if it is right.
#[must_use]
pub fn check_plan(snapshot: &Snapshot, plan: &Plan) -> Vec<String> {
    let facts = Facts::of(snapshot);
    let mut wrong: Vec<String> = plan.steps.iter().filter_map(|step| check_step(&facts, plan, step)).collect();
    let failovers = plan.steps.iter().filter(|step| step.action == Action::Failover(How::HandOver)).count();
    if failovers > 1 || (failovers == 1 && plan.steps.len() > 1) {
        wrong.push("a hand-over is not alone".to_owned());
    }
    wrong
}

fn check_step(facts: &Facts<'_>, plan: &Plan, step: &Step) -> Option<String> {
    let Some((_, seen)) = facts.present.iter().find(|(member, _)| member.seat == step.at) else {
        return Some(format!("{} gets a command and did not answer", step.at));
    };
    let problem = match &step.action {
        Action::SetEpoch(epoch) => (!seen.is_fresh() || *epoch == 0).then_some("it has an epoch already"),
        Action::AddSlots(ranges) => {
            let owned = ranges.iter().flat_map(|range| range.first..=range.last).any(|slot| facts.owner(slot).is_some());
            let may_be_owned = !facts.all_present();
            (owned || may_be_owned || seen.role() != Role::Master).then_some("the slots are or may be somebody's")
        }
        Action::Meet(ip, port) => {
            let ours = facts.present.iter().any(|(_, other)| other.ip == *ip && other.port == *port && other.id != seen.id);
            (!ours).then_some("whoever is at that address is not one of ours")
        }
        Action::Empty => {
            let copies = |other: &Step| other.at == step.at && matches!(other.action, Action::Replicate(_));
            (!facts.shards_of(&seen.id).is_empty() || !plan.steps.iter().any(copies))
                .then_some("it owns slots, or would stay empty")
        }
        Action::Replicate(master) => {
            let alive = facts.by_id(master).is_some_and(|(member, _)| member.seat.shard == step.at.shard);
            (!alive || !facts.shards_of(&seen.id).is_empty()).then_some("it owns slots, or its master is none")
        }
        Action::Failover(How::HandOver) => {
            let master = facts.holder(step.at.shard).and_then(|id| facts.by_id(id));
            let ready = master.is_some_and(|(_, master)| is_caught_up(master, seen));
            (!ready).then_some("it has not caught up")
        }
        Action::Failover(_) => {
            let alive = facts.holder(step.at.shard).is_none_or(|id| facts.by_id(id).is_some());
            (alive || seen.role() == Role::Master).then_some("the master lives")
        }
        Action::Forget(id) => (!facts.is_gone(id) || facts.has_replica(id)).then_some("that identity may live or is copied from"),
    };
    problem.map(|problem| format!("{:?} at {}: {problem}", step.action, step.at))
}

//! From what was observed to what is to be done next. Each stage looks at the same snapshot; the next plan sees what came of it.
//!
//! The order is: give unowned slots to masters, make members known to each other, attach replicas, take over for dead masters when Redis
//! cannot, forget identities that are gone for good; and when nothing of that is left, hand masters back, one at a time.

use std::collections::BTreeSet;

use super::{Range, Role, Seat, facts::Facts, facts::Member, facts::Seen, facts::Snapshot, masters};

/// A replica may be this far behind when masters are handed over; the hand-over itself waits for the rest while writes pause.
pub const CATCH_UP_SLACK_BYTES: u64 = 64 * 1024;
/// A dead master's replica is made master by force after so long, when Redis's own election cannot do it.
pub const TAKE_OVER_AFTER_SECONDS: i64 = 10;

/// Why a plan waits while a shard has no master but may soon have one.
const FAILING_OVER: &str = "FailingOver";
/// A replica whose link broke longer before its master's death than this may lack writes.
const FRESH_SECONDS: i64 = 10;

/// Masters are spread without those who are away once these are away for so long.
pub const SETTLED_SECONDS: i64 = 60;

/// One command to one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Give a server that knows nobody its first epoch, so that no two masters start with the same.
    SetEpoch(u64),
    /// Give a master slots that nobody owns.
    AddSlots(Vec<Range>),
    /// Get to know the member at this address and port.
    Meet(String, u16),
    /// Drop the stale data of a member that owns no slot, so that it may copy.
    Empty,
    /// Copy from the master with this id.
    Replicate(String),
    /// Become master.
    Failover(How),
    /// Strike an identity that is gone for good off the list.
    Forget(String),
}

/// How a replica becomes master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The master pauses writes, the replica copies the rest, the masters agree: nothing is lost.
    HandOver,
    /// The master is dead; the other masters agree.
    Force,
    /// The master is dead and there is no majority to agree.
    TakeOver,
}

/// An action, where, and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The member that gets the command.
    pub at: Seat,
    /// The command.
    pub action: Action,
    /// Why.
    pub why: String,
}

/// Something that only time or somebody else can bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// In one word, for conditions.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

/// What to do, in this order, and what is waited for. With neither the cluster is as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do.
    pub steps: Vec<Step>,
    /// What is waited for.
    pub waits: Vec<Wait>,
}

impl Plan {
    /// Whether the cluster is as it should be.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.steps.is_empty() && self.waits.is_empty()
    }

    /// Whether writes fail until somebody becomes master: every moment counts.
    #[must_use]
    pub fn is_failing_over(&self) -> bool {
        self.waits.iter().any(|wait| wait.reason == FAILING_OVER)
    }

    pub(super) fn step(&mut self, at: Seat, action: Action, why: impl Into<String>) {
        self.steps.push(Step { at, action, why: why.into() });
    }

    pub(super) fn wait(&mut self, reason: &'static str, message: impl Into<String>) {
        self.waits.push(Wait { reason, message: message.into() });
    }
}

/// In order; each adds to the plan.
const STAGES: &[fn(&Facts<'_>, &mut Plan)] = &[notice, assign, meet, attach, take_over, forget, agree, hand_over];

/// What to do next.
#[must_use]
pub fn plan(snapshot: &Snapshot) -> Plan {
    let facts = Facts::of(snapshot);
    let mut plan = Plan::default();
    for stage in STAGES {
        stage(&facts, &mut plan);
    }
    plan
}

fn notice(facts: &Facts<'_>, plan: &mut Plan) {
    for member in facts.away() {
        plan.wait("MemberAway", format!("member {} on {} does not answer", member.seat, member.node));
    }
}

/// Slots are given away only while everybody is there to say that nobody owns them.
fn assign(facts: &Facts<'_>, plan: &mut Plan) {
    let mut given: BTreeSet<Seat> = BTreeSet::new();
    for shard in 1..=facts.snapshot.shape.shards {
        let unowned = facts.unowned(shard);
        if unowned.is_empty() {
            continue;
        }
        if !facts.all_present() {
            plan.wait("SlotsUnowned", format!("slots {unowned} are nobody's; a member that is away may know whose they are"));
            continue;
        }
        let holder = facts.holder(shard).and_then(|id| facts.by_id(id));
        let empty = |(member, seen): &(&Member, &Seen)| {
            seen.role() == Role::Master && facts.shards_of(&seen.id).is_empty() && !given.contains(&member.seat)
        };
        let Some((member, seen)) = holder.or_else(|| facts.of_shard(shard).find(empty)) else {
            plan.wait("SlotsUnowned", format!("slots {unowned} are nobody's, and shard {shard} has no master for them"));
            continue;
        };
        given.insert(member.seat);
        if seen.is_fresh() && seen.epoch() == 0 && seen.view.0.len() == 1 {
            plan.step(member.seat, Action::SetEpoch(u64::from(shard)), "masters begin with different epochs");
        }
        let ranges = unowned.ranges();
        plan.step(member.seat, Action::AddSlots(ranges), format!("all members say that nobody owns the slots {unowned}"));
    }
}

/// Every member shall know every other one at the address that it has now.
fn meet(facts: &Facts<'_>, plan: &mut Plan) {
    for (number, (a_member, a)) in facts.present.iter().enumerate() {
        for (b_member, b) in &facts.present[number + 1..] {
            let knows = |one: &Seen, other: &Seen| {
                one.view.get(&other.id).is_some_and(|known| known.linked || (known.ip == other.ip && known.port == other.port))
            };
            if knows(a, b) && knows(b, a) {
                continue;
            }
            if let Some(why) = strangers(facts, a, b) {
                plan.wait("Strangers", format!("members {} and {} are not joined: {why}", a_member.seat, b_member.seat));
                continue;
            }
            let why = format!("{} and {} do not know each other at their addresses", a_member.seat, b_member.seat);
            plan.step(a_member.seat, Action::Meet(b.ip.clone(), b.port), why);
        }
    }
}

/// Why two servers must not be joined: both come from a cluster of their own, and both claim the same slots.
fn strangers(facts: &Facts<'_>, a: &Seen, b: &Seen) -> Option<String> {
    let ids = |seen: &Seen| -> BTreeSet<String> { seen.view.0.iter().map(|known| known.id.clone()).collect() };
    if !ids(a).is_disjoint(&ids(b)) {
        return None;
    }
    let claims = |seen: &Seen| {
        let mut all = super::SlotSet::default();
        seen.view.0.iter().for_each(|known| all.extend(&known.slots));
        all
    };
    let both = claims(a).within(&claims(b)).first()?;
    let owner = facts.owner(both).unwrap_or("nobody");
    Some(format!("they come from two clusters which both hold data of slot {both} (newest owner {owner})"))
}

/// Whoever sits in a shard and is not its master copies from its master.
fn attach(facts: &Facts<'_>, plan: &mut Plan) {
    for shard in 1..=facts.snapshot.shape.shards {
        let Some((holder_member, holder)) = facts.holder(shard).and_then(|id| facts.by_id(id)) else { continue };
        for (member, seen) in facts.of_shard(shard).filter(|(_, seen)| seen.id != holder.id) {
            if seen.role() == Role::Replica(holder.id.clone()) {
                continue;
            }
            let knows_holder = seen.view.get(&holder.id).is_some_and(|known| known.role == Role::Master);
            if !knows_holder {
                plan.wait("Joining", format!("member {} does not know the master of its shard yet", member.seat));
                continue;
            }
            if !seen.slots().is_empty() {
                plan.wait("Agreeing", format!("member {} still claims slots {}", member.seat, seen.slots()));
                continue;
            }
            if seen.role() == Role::Master && seen.keys > 0 {
                let why = format!("its data is stale: {} owns the slots of shard {shard}", holder_member.seat);
                plan.step(member.seat, Action::Empty, why);
            }
            let why = format!("{} is the master of shard {shard}", holder_member.seat);
            plan.step(member.seat, Action::Replicate(holder.id.clone()), why);
        }
    }
}

/// A dead master's best replica is told to become master as soon as most masters miss it: Redis would first spread the word, and then
/// wait for up to a second more. When most masters are dead, or the replica may lack writes, Redis and those away are given time.
fn take_over(facts: &Facts<'_>, plan: &mut Plan) {
    let owners = facts.owner_ids();
    let alive = owners.iter().filter(|id| facts.by_id(id).is_some()).count();
    for shard in 1..=facts.snapshot.shape.shards {
        let Some(dead) = facts.holder(shard).filter(|id| facts.by_id(id).is_none()) else { continue };
        let copies = |(_, seen): &(&Member, &Seen)| seen.role() == Role::Replica(dead.to_owned());
        let best = facts
            .present
            .iter()
            .copied()
            .filter(copies)
            .max_by_key(|(member, seen)| (seen.offset, std::cmp::Reverse(member.seat)));
        let Some((member, seen)) = best else {
            plan.wait("ShardDown", format!("the master of shard {shard} is away, and no replica of it answers"));
            continue;
        };
        let how = if alive * 2 > owners.len() { How::Force } else { How::TakeOver };
        // Another replica that is away may hold more: it is waited for longer.
        let all_told = facts.all_of_shard_told(shard, dead);
        let is_fresh = all_told && seen.cut_off_seconds.is_some_and(|seconds| seconds <= FRESH_SECONDS);
        let (patience, reason) = match how {
            How::TakeOver => (TAKE_OVER_AFTER_SECONDS, "too few masters are left to elect one"),
            _ if is_fresh && facts.is_suspect(dead) => (0, "most masters miss it"),
            _ => (2 * TAKE_OVER_AFTER_SECONDS, "Redis elected nobody"),
        };
        let patience = if all_told { patience } else { 3 * patience };
        if !facts.was_told(member.seat) && facts.away_seconds(dead).is_some_and(|seconds| seconds >= patience) {
            plan.step(member.seat, Action::Failover(how), format!("the master of shard {shard} is dead, and {reason}"));
        } else {
            plan.wait(FAILING_OVER, format!("the master of shard {shard} is away; its replica {} is to follow", member.seat));
        }
    }
}

/// Identities that no disk bears any more are struck off everywhere, but never while someone copies from them.
fn forget(facts: &Facts<'_>, plan: &mut Plan) {
    for id in facts.absent_ids() {
        if !facts.is_gone(id) || facts.has_replica(id) {
            continue;
        }
        let shards = facts.shards_of(id);
        if !shards.iter().all(|shard| facts.all_of_shard_present(*shard)) {
            continue;
        }
        let lost = if shards.is_empty() { "" } else { "; the data of its slots went with its disk and those of its replicas" };
        for (member, _) in facts.present.iter().filter(|(_, seen)| seen.view.get(id).is_some()) {
            plan.step(member.seat, Action::Forget(id.to_owned()), format!("no disk bears this identity any more{lost}"));
        }
    }
}

/// Waits until all who are here tell the same story.
fn agree(facts: &Facts<'_>, plan: &mut Plan) {
    for (member, seen) in &facts.present {
        let unlinked =
            facts.present.iter().find(|(_, other)| seen.view.get(&other.id).is_none_or(|known| !known.linked || known.failed));
        if let Some((other, _)) = unlinked {
            plan.wait("Joining", format!("member {} has no link to {} yet", member.seat, other.seat));
            continue;
        }
        let none = super::SlotSet::default();
        let strange = |known: &&super::Known| known.slots != *facts.slots_of(&known.id).unwrap_or(&none);
        if let Some(known) = seen.view.0.iter().find(strange) {
            plan.wait("Agreeing", format!("member {} believes that {} owns the slots {}", member.seat, known.id, known.slots));
        } else if seen.role() != Role::Master && !seen.synced {
            plan.wait("Syncing", format!("replica {} copies from its master", member.seat));
        }
    }
}

/// Masters go back to where they belong, one at a time, each to a replica that has caught up.
fn hand_over(facts: &Facts<'_>, plan: &mut Plan) {
    let shape = facts.snapshot.shape;
    let calm = plan.steps.is_empty() && plan.waits.iter().all(|wait| matches!(wait.reason, "MemberAway" | "Syncing"));
    // Who left a moment ago will be back, and his place with him: others do not move for it.
    let unsettled = facts
        .away()
        .any(|member| member.last_id.as_deref().and_then(|id| facts.away_seconds(id)).is_none_or(|s| s < SETTLED_SECONDS));
    if !calm || unsettled || !(1..=shape.shards).all(|shard| facts.holder(shard).is_some_and(|id| facts.by_id(id).is_some())) {
        return;
    }
    for (shard, target) in masters::targets(facts) {
        let Some((holder_member, holder)) = facts.holder(shard).and_then(|id| facts.by_id(id)) else { continue };
        let Some((_, seen)) = facts.of_shard(shard).find(|(member, _)| member.seat == target) else { continue };
        if holder_member.seat == target {
            continue;
        }
        if facts.was_told(target) {
            plan.wait("HandingOver", format!("{target} is about to become master of shard {shard}"));
            return;
        }
        if is_caught_up(holder, seen) {
            let why = format!("masters are to be even: shard {shard} goes from {} to {target}", holder_member.seat);
            plan.step(target, Action::Failover(How::HandOver), why);
            return;
        }
        plan.wait("CatchingUp", format!("{target} shall be master of shard {shard}, and has not caught up yet"));
    }
}

/// Whether a replica has what its master has. An online state and a link that is up do not say so; offsets do.
pub(super) fn is_caught_up(master: &Seen, replica: &Seen) -> bool {
    let follows = replica.role() == Role::Replica(master.id.clone());
    follows && replica.synced && replica.offset + CATCH_UP_SLACK_BYTES >= master.offset && replica.offset > 0
}

//! What was observed, and what follows from it at once: which identity sits where, who owns each slot, which identity is gone for good.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Known, Role, Seat, Shape, SlotSet, View};

/// How long a hand-over may take: Redis gives up after as long.
const HAND_OVER_SECONDS: i64 = 5;

/// What was observed of one cluster at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// What the user asked for.
    pub shape: Shape,
    /// Every seat that has a disk or is about to have one.
    pub members: Vec<Member>,
    /// When.
    pub now: Timestamp,
    /// The seat that was last told to become master, and when: it needs a moment, and a second command would begin anew.
    pub told: Option<(Seat, Timestamp)>,
}

/// One seat.
#[derive(Debug, Clone)]
pub struct Member {
    /// Which.
    pub seat: Seat,
    /// The Kubernetes node that its disk is bound to.
    pub node: String,
    /// The identity that was last seen on its disk; `None` when there was none yet, or the disk was replaced since.
    pub last_id: Option<String>,
    /// What its server answered; `None` when it could not be asked.
    pub seen: Option<Seen>,
    /// Since when it cannot be asked.
    pub away_since: Option<Timestamp>,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its identity.
    pub id: String,
    /// The address at which it was asked.
    pub ip: String,
    /// Its port.
    pub port: u16,
    /// Its `CLUSTER NODES`.
    pub view: View,
    /// How far it has written (a master) or copied (a replica).
    pub offset: u64,
    /// A replica: whether the link to its master is up and no first copy is under way.
    pub synced: bool,
    /// A replica: for how long it has had no link to its master, in seconds; `None` when it had none since it started.
    pub cut_off_seconds: Option<i64>,
    /// How many keys it holds.
    pub keys: u64,
}

impl Seen {
    /// Master or replica, as it says itself.
    #[must_use]
    pub fn role(&self) -> Role {
        self.view.myself().map_or(Role::Master, |myself| myself.role.clone())
    }

    /// The slots that it says it owns.
    #[must_use]
    pub fn slots(&self) -> SlotSet {
        self.view.myself().map(|myself| myself.slots.clone()).unwrap_or_default()
    }

    /// Its configuration epoch.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.view.myself().map_or(0, |myself| myself.epoch)
    }

    /// Whether it knows nobody and owns nothing: a server on an empty disk.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.view.0.iter().all(|known| known.myself || known.handshake) && self.slots().is_empty()
    }
}

/// A snapshot with what follows from it.
pub(super) struct Facts<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// The members that answered, in order of their seats.
    pub(super) present: Vec<(&'a Member, &'a Seen)>,
    /// Who owns which slots: of all who claim one, the one with the highest epoch.
    owned: BTreeMap<String, SlotSet>,
}

fn owned(present: &[(&Member, &Seen)]) -> BTreeMap<String, SlotSet> {
    let here: BTreeSet<&str> = present.iter().map(|(_, seen)| seen.id.as_str()).collect();
    let mut claims: BTreeMap<&str, (u64, SlotSet)> = BTreeMap::new();
    for (_, seen) in present {
        // Of itself each speaks with authority; of one that cannot be asked the others speak.
        for known in seen.view.0.iter().filter(|known| known.myself || !here.contains(known.id.as_str())) {
            let claim = claims.entry(&known.id).or_default();
            claim.0 = claim.0.max(known.epoch);
            claim.1.extend(&known.slots);
        }
    }
    let mut order: Vec<_> = claims.into_iter().collect();
    order.sort_by_key(|(id, (epoch, _))| (std::cmp::Reverse(*epoch), *id));
    let mut taken = SlotSet::default();
    let mut owned = BTreeMap::new();
    for (id, (_, slots)) in order {
        let won = slots.without(&taken);
        taken.extend(&won);
        if !won.is_empty() {
            owned.insert(id.to_owned(), won);
        }
    }
    owned
}

impl<'a> Facts<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut present: Vec<_> = snapshot.members.iter().filter_map(|member| Some((member, member.seen.as_ref()?))).collect();
        present.sort_by_key(|(member, _)| member.seat);
        let owned = owned(&present);
        Self { snapshot, present, owned }
    }

    /// Who owns a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        self.owned.iter().find(|(_, slots)| slots.contains(slot)).map(|(id, _)| id.as_str())
    }

    /// The slots that an id owns; nothing when it owns none.
    pub(super) fn slots_of(&self, id: &str) -> Option<&SlotSet> {
        self.owned.get(id)
    }

    /// Every id that owns a slot.
    pub(super) fn owner_ids(&self) -> BTreeSet<&str> {
        self.owned.keys().map(String::as_str).collect()
    }

    /// The shards that an id owns slots of.
    pub(super) fn shards_of(&self, id: &str) -> Vec<u16> {
        let Some(slots) = self.owned.get(id) else { return Vec::new() };
        let shape = self.snapshot.shape;
        (1..=shape.shards).filter(|shard| !slots.within(&SlotSet::of([shape.slots(*shard)])).is_empty()).collect()
    }

    /// The slots of a shard that nobody owns.
    pub(super) fn unowned(&self, shard: u16) -> SlotSet {
        let all = SlotSet::of([self.snapshot.shape.slots(shard)]);
        self.owned.values().fold(all, |left, slots| left.without(slots))
    }

    /// The id that owns most slots of a shard: its master.
    pub(super) fn holder(&self, shard: u16) -> Option<&str> {
        let all = SlotSet::of([self.snapshot.shape.slots(shard)]);
        let counts = self.owned.iter().map(|(id, slots)| (slots.within(&all).len(), id)).filter(|(count, _)| *count > 0);
        counts.max_by_key(|(count, id)| (*count, std::cmp::Reverse(*id))).map(|(_, id)| id.as_str())
    }

    /// The member that bears an id and answered.
    pub(super) fn by_id(&self, id: &str) -> Option<(&'a Member, &'a Seen)> {
        self.present.iter().find(|(_, seen)| seen.id == id).copied()
    }

    /// The members of a shard that answered.
    pub(super) fn of_shard(&self, shard: u16) -> impl Iterator<Item = (&'a Member, &'a Seen)> {
        self.present.iter().copied().filter(move |(member, _)| member.seat.shard == shard)
    }

    /// Members that did not answer.
    pub(super) fn away(&self) -> impl Iterator<Item = &'a Member> {
        self.snapshot.members.iter().filter(|member| member.seen.is_none())
    }

    /// Whether every member answered.
    pub(super) fn all_present(&self) -> bool {
        self.away().next().is_none()
    }

    /// Whether every member of a shard answered.
    pub(super) fn all_of_shard_present(&self, shard: u16) -> bool {
        self.away().all(|member| member.seat.shard != shard)
    }

    /// Whether no disk can bear this identity any more: each disk is known to bear another.
    pub(super) fn is_gone(&self, id: &str) -> bool {
        let lives_elsewhere = |member: &Member| member.last_id.as_deref().is_some_and(|last| last != id);
        self.by_id(id).is_none() && self.away().all(lives_elsewhere)
    }

    /// Since when the bearer of an id cannot be asked, in seconds; `None` when it is not known who bears it.
    pub(super) fn away_seconds(&self, id: &str) -> Option<i64> {
        if self.is_gone(id) {
            return Some(i64::MAX);
        }
        let member = self.away().find(|member| member.last_id.as_deref() == Some(id))?;
        member.away_since.map(|since| self.snapshot.now.as_second() - since.as_second())
    }

    /// Whether most of those who own slots do not reach `dead`: what makes Redis declare it failed, once each has told the others.
    pub(super) fn is_suspect(&self, dead: &str) -> bool {
        let owners = self.owner_ids();
        let suspects = |seen: &Seen| seen.view.get(dead).is_some_and(|known| known.failed || known.suspect);
        owners.iter().filter(|id| self.by_id(id).is_some_and(|(_, seen)| suspects(seen))).count() * 2 > owners.len()
    }

    /// Whether this seat was told to become master a moment ago.
    pub(super) fn was_told(&self, seat: Seat) -> bool {
        let moment = |since: Timestamp| self.snapshot.now.as_second() - since.as_second() < HAND_OVER_SECONDS;
        self.snapshot.told.is_some_and(|(told, since)| told == seat && moment(since))
    }

    /// Whether every member of a shard was heard, but the bearer of `dead`: none that might hold more of its data is missing.
    pub(super) fn all_of_shard_told(&self, shard: u16, dead: &str) -> bool {
        let others = self.away().filter(|member| member.seat.shard == shard && member.last_id.as_deref() != Some(dead));
        others.count() == 0 || self.is_gone(dead)
    }

    /// Ids that some present member knows and nobody present bears.
    pub(super) fn absent_ids(&self) -> BTreeSet<&'a str> {
        let known = self.present.iter().flat_map(|(_, seen)| seen.view.0.iter()).filter(|known| !known.handshake);
        known.map(|known| known.id.as_str()).filter(|id| self.by_id(id).is_none()).collect()
    }

    /// Whether anyone, as anyone tells it, copies from this id and may live.
    pub(super) fn has_replica(&self, id: &str) -> bool {
        let copies = |known: &Known| matches!(&known.role, Role::Replica(master) if master == id);
        let told = self.present.iter().flat_map(|(_, seen)| seen.view.0.iter());
        told.filter(|known| !known.handshake && copies(known)).any(|known| match self.by_id(&known.id) {
            Some((_, seen)) => seen.role() == known.role,
            None => !self.is_gone(&known.id),
        })
    }
}

//! Which pod is next, and which wait for what. Owns the order (priority, then time), the growing pause between attempts and the choice
//! of the events that are worth another one. Pure: time comes in as an argument, and `next_due` says when to look again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::pod::{Pod, Uid};
use super::reason::Filter;

/// The pause after the first failed attempt; it doubles with each.
pub const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// The longest pause.
pub const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
/// How long a pod waits for an event before it is tried again without one.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);

/// What happened that may make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node came.
    NodeAdded,
    /// A node has other resources.
    NodeAllocatable,
    /// A node has other labels.
    NodeLabels,
    /// A node has other taints, or takes pods again.
    NodeTaints,
    /// A pod left its node, or asks for less.
    PodLeft,
    /// A pod got a node, or other labels.
    PodPlaced,
    /// A claim, volume or class changed.
    Storage,
}

impl Event {
    /// Whether it can change a filter's mind.
    #[must_use]
    pub fn helps(self, filter: Filter) -> bool {
        match filter {
            Filter::NodeUnschedulable | Filter::TaintToleration => matches!(self, Self::NodeAdded | Self::NodeTaints),
            Filter::NodeName => self == Self::NodeAdded,
            Filter::NodeAffinity => matches!(self, Self::NodeAdded | Self::NodeLabels),
            Filter::NodePorts => matches!(self, Self::NodeAdded | Self::PodLeft),
            Filter::NodeResourcesFit => matches!(self, Self::NodeAdded | Self::NodeAllocatable | Self::PodLeft),
            Filter::VolumeRestrictions => matches!(self, Self::PodLeft | Self::Storage),
            Filter::VolumeBinding => matches!(self, Self::NodeAdded | Self::NodeLabels | Self::Storage),
            Filter::PodTopologySpread => !matches!(self, Self::NodeAllocatable | Self::Storage),
            Filter::InterPodAffinity => !matches!(self, Self::NodeAllocatable | Self::NodeTaints | Self::Storage),
        }
    }
}

/// Higher priority first, then who waits longest.
type Rank = (Reverse<i32>, Timestamp, u64);

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    since: Timestamp,
    number: u64,
    attempts: u32,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Active,
    Pausing(Timestamp),
    /// Refused by these; `until` is when it is tried again anyhow, `ready` when its pause is over.
    Waiting {
        filters: BTreeSet<Filter>,
        until: Timestamp,
        ready: Timestamp,
    },
    Gated,
    /// Taken out to be decided about; events that help meanwhile are remembered.
    Taken {
        helped: Vec<Event>,
    },
}

/// The pods that have no node.
#[derive(Debug, Default)]
pub struct Queue {
    entries: HashMap<Uid, Entry>,
    active: BTreeMap<Rank, Uid>,
    /// When pauses and waits end.
    due: BTreeSet<(Timestamp, Uid)>,
    counter: u64,
}

impl Queue {
    /// How many pods have no node.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every pod has a node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A pod without a node came or changed. A changed one is tried again at once, if it is not just being decided about.
    pub fn put(&mut self, pod: Arc<Pod>, now: Timestamp) {
        let uid = pod.uid.clone();
        let gated = !pod.gates.is_empty();
        if let Some(entry) = self.entries.get_mut(&uid) {
            let same = !relevant_change(&entry.pod, &pod);
            entry.pod = pod;
            if same || matches!(entry.place, Place::Taken { .. }) {
                return;
            }
            self.leave(&uid);
        } else {
            self.counter += 1;
            let entry = Entry { pod, since: now, number: self.counter, attempts: 0, place: Place::Gated };
            self.entries.insert(uid.clone(), entry);
        }
        if !gated {
            self.activate(&uid);
        }
    }

    /// A pod is gone, or has its node.
    pub fn remove(&mut self, uid: &str) {
        self.leave(uid);
        self.entries.remove(uid);
    }

    /// The next pod to decide about.
    pub fn take(&mut self, now: Timestamp) -> Option<Arc<Pod>> {
        self.wake(now);
        let (_, uid) = self.active.pop_first()?;
        let entry = self.entries.get_mut(&uid)?;
        entry.attempts += 1;
        entry.place = Place::Taken { helped: Vec::new() };
        Some(entry.pod.clone())
    }

    /// A pod that was taken got no node; it waits for what may change the mind of those who refused it.
    pub fn refused(&mut self, uid: &str, filters: BTreeSet<Filter>, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        let Place::Taken { helped } = &entry.place else { return };
        let ready = now + pause(entry.attempts);
        let retry = helped.iter().any(|event| helps(*event, &filters));
        let until = if retry { ready } else { now + LONGEST_WAIT };
        entry.place = if retry { Place::Pausing(ready) } else { Place::Waiting { filters, until, ready } };
        let uid = entry.pod.uid.clone();
        self.due.insert((until, uid));
    }

    /// A pod that was taken could not be bound for a reason that may pass; it is tried again after a pause.
    pub fn failed(&mut self, uid: &str, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        if matches!(entry.place, Place::Taken { .. }) {
            let ready = now + pause(entry.attempts);
            entry.place = Place::Pausing(ready);
            let uid = entry.pod.uid.clone();
            self.due.insert((ready, uid));
        }
    }

    /// Something happened: pods that it may help are tried again, once their pause is over.
    pub fn happened(&mut self, event: Event, now: Timestamp) {
        let mut ready_now = Vec::new();
        for (uid, entry) in &mut self.entries {
            match &mut entry.place {
                Place::Taken { helped } => helped.push(event),
                Place::Waiting { filters, until, ready } if helps(event, filters) => {
                    self.due.remove(&(*until, uid.clone()));
                    if *ready <= now {
                        ready_now.push(uid.clone());
                    } else {
                        let ready = *ready;
                        self.due.insert((ready, uid.clone()));
                        entry.place = Place::Pausing(ready);
                    }
                }
                _ => {}
            }
        }
        for uid in ready_now {
            self.activate(&uid);
        }
    }

    /// When `take` may have something new to give without anything happening.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(time, _)| *time)
    }

    fn wake(&mut self, now: Timestamp) {
        while let Some((time, uid)) = self.due.first().cloned() {
            if time > now {
                return;
            }
            self.due.pop_first();
            self.activate(&uid);
        }
    }

    fn activate(&mut self, uid: &str) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.place = Place::Active;
        self.active.insert(rank(entry), entry.pod.uid.clone());
    }

    fn leave(&mut self, uid: &str) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        match &entry.place {
            Place::Active => {
                // Its priority may just have changed, so it is looked for by name.
                self.active.retain(|_, other| **other != *uid);
            }
            Place::Pausing(until) | Place::Waiting { until, .. } => {
                self.due.remove(&(*until, entry.pod.uid.clone()));
            }
            Place::Gated | Place::Taken { .. } => {}
        }
        entry.place = Place::Gated;
    }
}

fn rank(entry: &Entry) -> Rank {
    (Reverse(entry.pod.priority), entry.since, entry.number)
}

fn helps(event: Event, filters: &BTreeSet<Filter>) -> bool {
    filters.is_empty() || filters.iter().any(|filter| event.helps(*filter))
}

fn pause(attempts: u32) -> SignedDuration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(6));
    doubled.min(LONGEST_PAUSE)
}

/// Whether the change of a pod may let it be placed.
fn relevant_change(old: &Pod, new: &Pod) -> bool {
    old.gates != new.gates
        || old.labels != new.labels
        || old.tolerations != new.tolerations
        || old.requests != new.requests
        || old.node_affinity != new.node_affinity
        || old.priority != new.priority
}

//! Which objects go because their owners went: a graph of uids, fed by events, and a verdict for each object that may be concerned.
//!
//! The graph remembers of most objects no more than that they are there. What it does not know to be there may still be: whoever acts on a
//! verdict asks the API for an owner that the graph misses before it counts as gone, and for the object itself before it is touched.

use std::collections::{HashMap, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// An owner that is being deleted, and waits for its dependents.
pub const FOREGROUND: &str = "foregroundDeletion";
/// An owner that is being deleted, and whose dependents are to lose it first.
pub const ORPHAN: &str = "orphan";

/// A uid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Uid(u128);

impl Uid {
    /// A uid from its text.
    pub fn parse(text: &str) -> Self {
        // All are UUIDs; for whatever is not, the bytes are mixed (FNV-1a).
        let mix = || {
            text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
                (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
            })
        };
        let hex: String = text.chars().filter(|letter| *letter != '-').collect();
        Self(if hex.len() == 32 { u128::from_str_radix(&hex, 16).unwrap_or_else(|_| mix()) } else { mix() })
    }
}

/// Where an object is found: its kind, by a number that the caller gave, its namespace and its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The number of its kind.
    pub kind: u16,
    /// Its namespace, empty at cluster scope.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

struct Node {
    kind: u16,
    /// Only of objects that have owners or are being deleted.
    detail: Option<Box<Detail>>,
}

struct Detail {
    place: Place,
    owners: Vec<(Uid, bool)>,
    ending: bool,
    foreground: bool,
    orphan: bool,
}

/// What is known of all objects.
#[derive(Default)]
pub struct Graph {
    nodes: HashMap<Uid, Node>,
    dependents: HashMap<Uid, HashSet<Uid>>,
}

/// What is to be done about an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing.
    Keep,
    /// Look at these first: they keep it from going.
    LookAt(Vec<Uid>),
    /// Take a finalizer away: what it waited for is done.
    Release(&'static str),
    /// Take this owner away from these objects, then take the finalizer [`ORPHAN`] from it.
    Orphan(Vec<(Uid, Place)>),
    /// Let its owner references be these.
    KeepOwners(Vec<OwnerReference>),
    /// Delete it, with this policy; `unblock` if it must not keep its owner waiting, since the two wait for each other.
    Delete {
        /// `Background`, `Foreground` or `Orphan`.
        policy: &'static str,
        /// Whether its owner must no longer wait for it.
        unblock: bool,
    },
}

impl Graph {
    /// An object is there, or changed. Returns what is to be judged now.
    pub fn put(&mut self, kind: u16, meta: &ObjectMeta) -> Vec<Uid> {
        let Some(uid) = meta.uid.as_deref().map(Uid::parse) else { return Vec::new() };
        let owners: Vec<_> = meta
            .owner_references
            .iter()
            .flatten()
            .map(|owner| (Uid::parse(&owner.uid), owner.block_owner_deletion == Some(true)))
            .collect();
        let ending = meta.deletion_timestamp.is_some();
        let has = |name: &str| meta.finalizers.iter().flatten().any(|finalizer| finalizer == name);
        let detail = (ending || !owners.is_empty()).then(|| {
            Box::new(Detail {
                place: Place {
                    kind,
                    namespace: meta.namespace.as_deref().unwrap_or_default().into(),
                    name: meta.name.as_deref().unwrap_or_default().into(),
                },
                owners,
                ending,
                foreground: ending && has(FOREGROUND),
                orphan: ending && has(ORPHAN),
            })
        });
        let mut judge = Vec::new();
        let old = self.nodes.remove(&uid).and_then(|node| node.detail);
        if let Some(old) = &old {
            self.unlink(uid, old);
            let kept = |owner: &Uid| detail.as_ref().is_some_and(|new| new.owners.iter().any(|(kept, _)| kept == owner));
            // An owner that waits may have lost what it waited for.
            judge.extend(old.owners.iter().map(|(owner, _)| *owner).filter(|owner| !kept(owner)));
        }
        if let Some(new) = &detail {
            for (owner, _) in &new.owners {
                self.dependents.entry(*owner).or_default().insert(uid);
            }
            let waits = |owner: &Uid| self.detail(*owner).is_some_and(|owner| owner.foreground);
            if new.foreground || new.orphan || new.owners.iter().any(|(owner, _)| !self.nodes.contains_key(owner) || waits(owner))
            {
                judge.push(uid);
            }
            judge.extend(new.owners.iter().map(|(owner, _)| *owner).filter(waits));
        }
        self.nodes.insert(uid, Node { kind, detail });
        judge
    }

    /// An object is gone. Returns what is to be judged now: what it owned, and who waited for it.
    pub fn remove(&mut self, uid: Uid) -> Vec<Uid> {
        let Some(node) = self.nodes.remove(&uid) else { return Vec::new() };
        let mut judge: Vec<_> = self.dependents.get(&uid).into_iter().flatten().copied().collect();
        if let Some(detail) = &node.detail {
            self.unlink(uid, detail);
            judge.extend(
                detail.owners.iter().map(|(owner, _)| *owner).filter(|owner| self.detail(*owner).is_some_and(|o| o.foreground)),
            );
        }
        judge
    }

    /// All objects of a kind.
    pub fn of_kind(&self, kind: u16) -> Vec<Uid> {
        self.nodes.iter().filter(|(_, node)| node.kind == kind).map(|(uid, _)| *uid).collect()
    }

    /// Where an object is, if it can be concerned at all.
    pub fn place(&self, uid: Uid) -> Option<&Place> {
        self.detail(uid).map(|detail| &detail.place)
    }

    /// Whether an object is known to be there.
    pub fn knows(&self, uid: Uid) -> bool {
        self.nodes.contains_key(&uid)
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What is to be done about the object whose metadata, read just now, is `meta`. `gone` says of an owner that the graph does not know whether the API
    /// does not either.
    pub fn judge(&self, meta: &ObjectMeta, gone: impl Fn(&OwnerReference) -> bool) -> Verdict {
        let Some(uid) = meta.uid.as_deref().map(Uid::parse) else { return Verdict::Keep };
        let has = |name: &str| meta.finalizers.iter().flatten().any(|finalizer| finalizer == name);
        if meta.deletion_timestamp.is_some() {
            return if has(ORPHAN) {
                self.orphan(uid)
            } else if has(FOREGROUND) {
                self.wait(uid)
            } else {
                Verdict::Keep
            };
        }
        let owners = meta.owner_references.as_deref().unwrap_or_default();
        let waits = |owner: &OwnerReference| self.detail(Uid::parse(&owner.uid)).is_some_and(|owner| owner.foreground);
        let (solid, lost): (Vec<_>, Vec<_>) = owners.iter().partition(|owner| !gone(owner) && !waits(owner));
        if lost.is_empty() {
            return Verdict::Keep;
        }
        if !solid.is_empty() {
            return Verdict::KeepOwners(solid.into_iter().cloned().collect());
        }
        let below: Vec<_> = self.dependents.get(&uid).into_iter().flatten().copied().collect();
        if lost.iter().any(|owner| waits(owner)) && !below.is_empty() {
            let circle = below.iter().any(|uid| self.detail(*uid).is_some_and(|dependent| dependent.foreground));
            return Verdict::Delete { policy: "Foreground", unblock: circle };
        }
        let policy = if has(ORPHAN) {
            "Orphan"
        } else if has(FOREGROUND) {
            "Foreground"
        } else {
            "Background"
        };
        Verdict::Delete { policy, unblock: false }
    }

    fn orphan(&self, uid: Uid) -> Verdict {
        let below = self.dependents.get(&uid).into_iter().flatten();
        Verdict::Orphan(below.filter_map(|uid| Some((*uid, self.place(*uid)?.clone()))).collect())
    }

    /// An owner in foreground deletion: waits for those that block it.
    fn wait(&self, uid: Uid) -> Verdict {
        let below = self.dependents.get(&uid).into_iter().flatten();
        let blocks = |dependent: &Uid| {
            let detail = self.detail(*dependent);
            detail.is_some_and(|detail| detail.owners.iter().any(|(owner, blocks)| *owner == uid && *blocks))
        };
        let blocking: Vec<_> = below.filter(|uid| blocks(uid)).copied().collect();
        if blocking.is_empty() {
            return Verdict::Release(FOREGROUND);
        }
        Verdict::LookAt(blocking.into_iter().filter(|uid| self.detail(*uid).is_some_and(|detail| !detail.ending)).collect())
    }

    fn detail(&self, uid: Uid) -> Option<&Detail> {
        self.nodes.get(&uid)?.detail.as_deref()
    }

    fn unlink(&mut self, uid: Uid, detail: &Detail) {
        for (owner, _) in &detail.owners {
            if let Some(dependents) = self.dependents.get_mut(owner) {
                dependents.remove(&uid);
                if dependents.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn meta(name: &str, owners: &[(&str, bool)]) -> ObjectMeta {
        let reference = |(uid, blocks): &(&str, bool)| OwnerReference {
            uid: (*uid).into(),
            name: (*uid).into(),
            block_owner_deletion: Some(*blocks),
            ..OwnerReference::default()
        };
        ObjectMeta {
            name: Some(name.into()),
            uid: Some(name.into()),
            owner_references: Some(owners.iter().map(reference).collect()),
            ..ObjectMeta::default()
        }
    }

    fn ending(meta: ObjectMeta, finalizer: &str) -> ObjectMeta {
        ObjectMeta {
            deletion_timestamp: Some(Time(jiff::Timestamp::UNIX_EPOCH)),
            finalizers: Some(vec![finalizer.into()]),
            ..meta
        }
    }

    fn judge(graph: &Graph, meta: &ObjectMeta) -> Verdict {
        graph.judge(meta, |owner| !graph.knows(Uid::parse(&owner.uid)))
    }

    #[test]
    fn what_is_owned_goes_after_its_owner_and_what_has_another_owner_stays() {
        let mut graph = Graph::default();
        graph.put(0, &meta("a", &[]));
        graph.put(0, &meta("b", &[]));
        assert!(graph.put(1, &meta("one", &[("a", false)])).is_empty());
        graph.put(1, &meta("two", &[("a", false), ("b", false)]));
        assert_eq!(judge(&graph, &meta("one", &[("a", false)])), Verdict::Keep);
        let mut told = graph.remove(Uid::parse("a"));
        told.sort();
        let mut expected = vec![Uid::parse("one"), Uid::parse("two")];
        expected.sort();
        assert_eq!(told, expected);
        let background = Verdict::Delete { policy: "Background", unblock: false };
        assert_eq!(judge(&graph, &meta("one", &[("a", false)])), background);
        let both = meta("two", &[("a", false), ("b", false)]);
        assert_eq!(judge(&graph, &both), Verdict::KeepOwners(vec![both.owner_references.as_ref().unwrap()[1].clone()]));
    }

    #[test]
    fn an_object_whose_owner_never_was_is_judged_at_once() {
        let mut graph = Graph::default();
        assert_eq!(graph.put(1, &meta("one", &[("a", false)])), [Uid::parse("one")]);
    }

    #[test]
    fn a_foreground_deletion_waits_for_those_that_block_it_alone() {
        let mut graph = Graph::default();
        graph.put(0, &meta("a", &[]));
        graph.put(1, &meta("blocks", &[("a", true)]));
        graph.put(1, &meta("does not", &[("a", false)]));
        let owner = ending(meta("a", &[]), FOREGROUND);
        assert_eq!(graph.put(0, &owner), [Uid::parse("a")]);
        assert_eq!(judge(&graph, &owner), Verdict::LookAt(vec![Uid::parse("blocks")]));
        assert!(matches!(judge(&graph, &meta("blocks", &[("a", true)])), Verdict::Delete { policy: "Background", .. }));
        assert!(graph.remove(Uid::parse("blocks")).contains(&Uid::parse("a")));
        assert_eq!(judge(&graph, &owner), Verdict::Release(FOREGROUND));
    }

    #[test]
    fn a_circle_of_foreground_deletions_is_broken() {
        let mut graph = Graph::default();
        let (a, b) = (meta("a", &[("b", true)]), meta("b", &[("a", true)]));
        graph.put(0, &a);
        graph.put(0, &b);
        graph.put(0, &ending(a, FOREGROUND));
        assert_eq!(judge(&graph, &b), Verdict::Delete { policy: "Foreground", unblock: true });
    }

    #[test]
    fn orphans_lose_their_owner_before_it_goes() {
        let mut graph = Graph::default();
        graph.put(0, &meta("a", &[]));
        graph.put(1, &meta("one", &[("a", true)]));
        let owner = ending(meta("a", &[]), ORPHAN);
        graph.put(0, &owner);
        let Verdict::Orphan(objects) = judge(&graph, &owner) else { panic!() };
        assert_eq!((objects.len(), &*objects[0].1.name), (1, "one"));
    }
}

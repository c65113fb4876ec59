//! The index: every live key in memory, read without locks, and the recent changes by which it can be seen as it was.
//!
//! A snapshot is a persistent map that was current when it was taken. An older one is made by undoing the recent changes on a copy, so that
//! nothing is kept twice for readers that may never come.

use std::{
    collections::VecDeque,
    ops::Bound,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use imbl::OrdMap;

use thiserror::Error;

use crate::{Entry, Project, Revision, watch::Event};

type Map<F> = OrdMap<Arc<str>, Arc<Entry<F>>>;

/// Most events that are kept for watchers and older snapshots.
pub const HISTORY_EVENTS_MAX: usize = 16_384;
/// Most bytes of values that are kept only for them.
pub const HISTORY_BYTES_MAX: usize = 16 << 20;

/// The revision that was asked for is no longer kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("revision {asked} is compacted: the oldest that is kept is {oldest}")]
pub struct Compacted {
    /// The revision that was asked for.
    pub asked: Revision,
    /// The oldest that can be seen.
    pub oldest: Revision,
}

/// The keys as they were at one revision. Cheap to take and to keep.
pub struct Snapshot<F> {
    map: Map<F>,
    revision: Revision,
}

impl<F> Clone for Snapshot<F> {
    fn clone(&self) -> Self {
        Self { map: self.map.clone(), revision: self.revision }
    }
}

impl<F> Snapshot<F> {
    /// The revision that this shows.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The entry of a key.
    pub fn get(&self, key: &str) -> Option<&Arc<Entry<F>>> {
        self.map.get(key)
    }

    /// The entries whose keys begin with `prefix`, in order; those after `start_after` alone, if it is given.
    pub fn range<'s>(&'s self, prefix: &'s str, start_after: Option<&'s str>) -> impl Iterator<Item = &'s Arc<Entry<F>>> {
        let start = match start_after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        self.map
            .range::<_, str>((start, Bound::Unbounded))
            .map(|(_, entry)| entry)
            .take_while(move |entry| entry.key.starts_with(prefix))
    }

    /// How many keys begin with `prefix`. Walks them.
    pub fn count(&self, prefix: &str) -> usize {
        self.range(prefix, None).count()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
}

/// A change as the backend made it.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The key.
    pub key: Arc<str>,
    /// The new value; `None` when the key was removed.
    pub value: Option<bytes::Bytes>,
    /// The revision of the key's creation.
    pub created: Revision,
    /// The revision of this change.
    pub revision: Revision,
}

/// Hears of events that are no longer kept.
pub(crate) type Lost<'l, F> = &'l dyn Fn(&[Arc<Event<F>>]);

/// The recent changes, oldest first.
pub(crate) struct History<F> {
    pub(crate) events: VecDeque<Arc<Event<F>>>,
    bytes: usize,
    /// Everything after this revision is in `events`.
    pub(crate) floor: Revision,
    /// The last revision that was applied.
    pub(crate) last: Revision,
}

impl<F> History<F> {
    /// The events after `from`, oldest first.
    pub(crate) fn after(&self, from: Revision) -> impl DoubleEndedIterator<Item = &Arc<Event<F>>> {
        let start = self.events.partition_point(|event| event.revision <= from);
        self.events.range(start..)
    }

    fn push(&mut self, event: Arc<Event<F>>) {
        self.bytes += kept_bytes(&event);
        self.events.push_back(event);
    }

    /// Drops the oldest events over the bounds, all of one revision together.
    fn trim(&mut self, lost: Lost<'_, F>) {
        while self.events.len() > HISTORY_EVENTS_MAX || self.bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.events.front().map(|event| event.revision) else { return };
            self.drop_through(oldest, lost);
        }
    }

    fn drop_through(&mut self, revision: Revision, lost: Lost<'_, F>) {
        let count = self.events.partition_point(|event| event.revision <= revision);
        let dropped: Vec<Arc<Event<F>>> = self.events.drain(..count).collect();
        self.bytes -= dropped.iter().map(|event| kept_bytes(event)).sum::<usize>();
        // Told before the floor is raised: whoever finds the floor above its place knows whether that concerns it.
        if !dropped.is_empty() {
            lost(&dropped);
        }
        self.floor = self.floor.max(revision);
    }
}

/// What an event keeps alive that the index has let go: the value from before.
fn kept_bytes<F>(event: &Event<F>) -> usize {
    event.previous.as_ref().map_or(0, |entry| entry.value.len())
}

/// The live keys and the recent changes. Applied to by the backend alone, in order.
pub struct Index<P: Project> {
    project: P,
    current: ArcSwap<Snapshot<P::Fields>>,
    history: Mutex<History<P::Fields>>,
}

impl<P: Project> Index<P> {
    /// The index of what was loaded, at `revision`.
    pub(crate) fn new(project: P, loaded: Vec<Applied>, revision: Revision) -> Self {
        let mut map = Map::new();
        for change in loaded {
            if let Some(entry) = entry(&project, &change) {
                map.insert(change.key, entry);
            }
        }
        let current = ArcSwap::from_pointee(Snapshot { map, revision });
        let history = History { events: VecDeque::new(), bytes: 0, floor: revision, last: revision };
        Self { project, current, history: Mutex::new(history) }
    }

    /// The keys as they are.
    pub fn snapshot(&self) -> Snapshot<P::Fields> {
        Snapshot::clone(&self.current.load())
    }

    /// The keys as they were at `revision`. A revision of the future shows the present.
    ///
    /// # Errors
    /// When that is no longer kept.
    pub fn snapshot_at(&self, revision: Revision) -> Result<Snapshot<P::Fields>, Compacted> {
        let history = self.lock();
        let mut snapshot = Snapshot::clone(&self.current.load());
        if revision >= snapshot.revision {
            return Ok(snapshot);
        }
        if revision < history.floor {
            return Err(Compacted { asked: revision, oldest: history.floor });
        }
        let later: Vec<Arc<Event<P::Fields>>> = history.after(revision).rev().cloned().collect();
        drop(history);
        for event in later {
            match &event.previous {
                Some(previous) => snapshot.map.insert(Arc::clone(&previous.key), Arc::clone(previous)),
                None => snapshot.map.remove(&event.entry.key),
            };
        }
        snapshot.revision = revision;
        Ok(snapshot)
    }

    /// Makes changes visible, to readers and then to watchers. Returns their events.
    pub(crate) fn apply(&self, changes: Vec<Applied>, lost: Lost<'_, P::Fields>) -> Vec<Arc<Event<P::Fields>>> {
        let mut snapshot = self.snapshot();
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            let revision = change.revision;
            assert!(revision >= snapshot.revision, "the backend applies changes in order");
            snapshot.revision = revision;
            let event = match entry(&self.project, &change) {
                Some(entry) => {
                    let previous = snapshot.map.insert(change.key, Arc::clone(&entry));
                    Event { entry, previous, revision, deleted: false }
                }
                None => match snapshot.map.remove(&change.key) {
                    Some(previous) => Event { entry: Arc::clone(&previous), previous: Some(previous), revision, deleted: true },
                    None => continue,
                },
            };
            events.push(Arc::new(event));
        }
        let mut history = self.lock();
        history.last = snapshot.revision;
        self.current.store(Arc::new(snapshot));
        for event in &events {
            history.push(Arc::clone(event));
        }
        history.trim(lost);
        events
    }

    /// Forgets what was before `revision`; watches and snapshots from before it are refused from now on.
    pub(crate) fn compact(&self, revision: Revision, lost: Lost<'_, P::Fields>) {
        let mut history = self.lock();
        let revision = revision.min(history.last);
        history.drop_through(revision, lost);
    }

    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, History<P::Fields>> {
        self.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn entry<P: Project>(project: &P, change: &Applied) -> Option<Arc<Entry<P::Fields>>> {
    let value = change.value.clone()?;
    let fields = project.project(&change.key, &value);
    Some(Arc::new(Entry { key: Arc::clone(&change.key), value, fields, created: change.created, modified: change.revision }))
}

//! Watches: readers of the recent changes, each with its own place. Nothing is queued for one, so a slow one costs nothing and stalls
//! nobody; when the history moves past its place it is told so.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use thiserror::Error;
use tokio::sync::Notify;

use crate::{Compacted, Entry, Project, Revision, index::Index};

/// Most events that one [`Batch`] carries, so that a reader far behind does not hold the history for long.
const BATCH_MAX: usize = 512;

/// A change, as watchers see it.
#[derive(Debug)]
pub struct Event<F> {
    /// The entry after the change; the last one when the key was removed.
    pub entry: Arc<Entry<F>>,
    /// The entry before it; `None` when the key was created.
    pub previous: Option<Arc<Entry<F>>>,
    /// The revision of the change. A removal has one of its own, which no entry bears.
    pub revision: Revision,
    /// Whether the key was removed.
    pub deleted: bool,
}

/// Some events in order.
#[derive(Debug)]
pub struct Batch<F> {
    /// The events under the prefix; may be empty.
    pub events: Vec<Arc<Event<F>>>,
    /// Everything up to here has been seen, also what did not concern the prefix.
    pub progress: Revision,
}

/// Why a watch cannot go on.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum WatchError {
    /// The changes after the place of the watch are no longer kept: list again.
    #[error("the watch fell behind")]
    Compacted(#[source] Compacted),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// A reader of the changes under a prefix.
pub struct Watch<P: Project> {
    prefix: Arc<str>,
    place: Revision,
    index: Weak<Index<P>>,
    bell: Arc<Bell>,
}

/// Wakes the watches of one prefix.
pub(crate) struct Bell {
    rung: Notify,
    /// The last change that concerned them and is no longer kept.
    lost: AtomicU64,
}

impl<P: Project> Watch<P> {
    /// Waits for events. May be dropped and called again without loss.
    ///
    /// # Errors
    /// When the watch fell behind what is kept, or the store was closed.
    pub async fn next(&mut self) -> Result<Batch<P::Fields>, WatchError> {
        loop {
            let bell = Arc::clone(&self.bell);
            let mut rung = pin!(bell.rung.notified());
            // Listen first, look second: a change between the two rings the bell that is already heard.
            rung.as_mut().enable();
            let batch = self.poll()?;
            if !batch.events.is_empty() {
                return Ok(batch);
            }
            rung.await;
        }
    }

    /// What has happened since the last call, without waiting; the events may be none.
    ///
    /// # Errors
    /// As [`Watch::next`].
    pub fn poll(&mut self) -> Result<Batch<P::Fields>, WatchError> {
        let index = self.index.upgrade().ok_or(WatchError::Closed)?;
        let history = index.lock();
        // What is no longer kept concerns those alone under whose prefix it was.
        if self.place < history.floor && self.bell.lost.load(Ordering::Acquire) <= self.place {
            self.place = history.floor;
        }
        if self.place < history.floor {
            return Err(WatchError::Compacted(Compacted { asked: self.place, oldest: history.floor }));
        }
        let mut events: Vec<Arc<Event<P::Fields>>> = Vec::new();
        let mut progress = history.last;
        for event in history.after(self.place).filter(|event| event.entry.key.starts_with(&*self.prefix)) {
            // Events of one revision are never parted: the place between them has no number.
            if events.len() >= BATCH_MAX && events.last().is_some_and(|last| last.revision < event.revision) {
                progress = event.revision - 1;
                break;
            }
            events.push(Arc::clone(event));
        }
        self.place = progress;
        Ok(Batch { events, progress })
    }

    /// Everything up to here has been seen.
    pub fn progress(&self) -> Revision {
        self.place
    }
}

/// The bells of all watches, one a prefix: a change wakes only those whom it concerns.
#[derive(Default)]
pub(crate) struct Bells {
    by_prefix: Mutex<BTreeMap<Arc<str>, Weak<Bell>>>,
}

impl Bells {
    /// A watch of the changes under `prefix` after `from`.
    pub(crate) fn watch<P: Project>(&self, index: &Arc<Index<P>>, prefix: &str, from: Revision) -> Result<Watch<P>, Compacted> {
        // Held until the bell hangs, so that it hears of everything that is dropped from now on.
        let history = index.lock();
        if from < history.floor {
            return Err(Compacted { asked: from, oldest: history.floor });
        }
        let mut bells = self.lock();
        let prefix: Arc<str> = prefix.into();
        let fresh = || Arc::new(Bell { rung: Notify::new(), lost: AtomicU64::new(0) });
        let bell = bells.get(&prefix).and_then(Weak::upgrade).unwrap_or_else(fresh);
        bells.insert(Arc::clone(&prefix), Arc::downgrade(&bell));
        Ok(Watch { prefix, place: from, index: Arc::downgrade(index), bell })
    }

    /// Notes whom the events concern that are no longer kept.
    pub(crate) fn lose<F>(&self, dropped: &[Arc<Event<F>>]) {
        for (prefix, bell) in self.lock().iter() {
            let concerned = dropped.iter().rev().find(|event| event.entry.key.starts_with(&**prefix));
            if let (Some(event), Some(bell)) = (concerned, bell.upgrade()) {
                bell.lost.fetch_max(event.revision, Ordering::AcqRel);
            }
        }
    }

    /// Wakes the watches that these keys concern, and forgets prefixes that nobody watches.
    pub(crate) fn ring<'k>(&self, keys: impl Iterator<Item = &'k str> + Clone) {
        self.lock().retain(|prefix, bell| {
            let Some(bell) = bell.upgrade() else { return false };
            if keys.clone().any(|key| key.starts_with(&**prefix)) {
                bell.rung.notify_waiters();
            }
            true
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Weak<Bell>>> {
        self.by_prefix.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bells {
    fn drop(&mut self) {
        self.ring_all();
    }
}

impl Bells {
    fn ring_all(&self) {
        for bell in self.lock().values().filter_map(Weak::upgrade) {
            bell.rung.notify_waiters();
        }
    }
}

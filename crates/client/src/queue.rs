//! Keys that wait for work: each waits once, is worked on by one worker at a time, and comes back later or after failures.
//!
//! The one place that may let time pass: [`pause`] and delayed keys wait here and nowhere else.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::RngExt as _;
use tokio::{sync::Notify, time::Instant};

/// The delay after the first failure of a key, and the longest.
const FAILED: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(300));

/// A queue of keys; clones are the same queue. Keys are served in the order in which they came.
pub struct Queue<K>(Arc<Shared<K>>);

struct Shared<K> {
    state: Mutex<State<K>>,
    woken: Notify,
}

struct State<K> {
    ready: VecDeque<K>,
    /// Waits in `ready`, or is worked on and has changed since.
    dirty: HashSet<K>,
    running: HashSet<K>,
    failures: HashMap<K, u32>,
    delayed: BTreeMap<(Instant, u64), K>,
    due: HashMap<K, (Instant, u64)>,
    sequence: u64,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Clone + Eq + Hash> Default for Queue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            running: HashSet::new(),
            failures: HashMap::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            sequence: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), woken: Notify::new() }))
    }

    /// Adds a key, unless it waits already. One that is being worked on waits until that is done.
    pub fn add(&self, key: K) {
        if self.state().add(key) {
            self.0.woken.notify_one();
        }
    }

    /// Adds a key after a while; when it is delayed already, the earlier time holds.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state().delay(key, Instant::now() + delay);
        self.0.woken.notify_one();
    }

    /// Adds a key after a failure: later with each one in a row. Returns the delay.
    pub fn retry(&self, key: K) -> Duration {
        let delay = {
            let mut state = self.state();
            let failures = state.failures.entry(key.clone()).or_insert(0);
            *failures = failures.saturating_add(1);
            doubled(FAILED.0, FAILED.1, *failures - 1)
        };
        self.add_after(key, delay);
        delay
    }

    /// Forgets the failures of a key.
    pub fn succeeded(&self, key: &K) {
        self.state().failures.remove(key);
    }

    /// The next key, which is then being worked on until [`Queue::done`].
    pub async fn next(&self) -> K {
        loop {
            let due = {
                let mut state = self.state();
                state.release(Instant::now());
                if let Some(key) = state.take() {
                    if !state.ready.is_empty() {
                        self.0.woken.notify_one();
                    }
                    return key;
                }
                state.delayed.first_key_value().map(|((at, _), _)| *at)
            };
            let woken = self.0.woken.notified();
            match due {
                Some(due) => drop(tokio::time::timeout_at(due, woken).await),
                None => woken.await,
            }
        }
    }

    /// Ends the work on a key. If it was added meanwhile, it waits again.
    pub fn done(&self, key: &K) {
        if self.state().done(key) {
            self.0.woken.notify_one();
        }
    }

    /// How many keys wait or are worked on, delayed ones aside.
    pub fn len(&self) -> usize {
        let state = self.state();
        state.ready.len() + state.running.len()
    }

    /// Whether nothing waits and nothing is worked on, delayed keys aside.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn add(&mut self, key: K) -> bool {
        if !self.dirty.insert(key.clone()) || self.running.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn delay(&mut self, key: K, at: Instant) {
        if let Some(earlier) = self.due.get(&key) {
            if earlier.0 <= at {
                return;
            }
            self.delayed.remove(earlier);
        }
        self.sequence += 1;
        self.due.insert(key.clone(), (at, self.sequence));
        self.delayed.insert((at, self.sequence), key);
    }

    fn release(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry().filter(|entry| entry.key().0 <= now) {
            let key = entry.remove();
            self.due.remove(&key);
            self.add(key);
        }
    }

    fn take(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.dirty.remove(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    fn done(&mut self, key: &K) -> bool {
        self.running.remove(key);
        let again = self.dirty.contains(key);
        if again {
            self.ready.push_back(key.clone());
        }
        again
    }
}

/// Lets time pass before something that failed is tried again.
#[expect(clippy::disallowed_methods, reason = "the one place where time may pass")]
pub async fn pause(delay: Duration) {
    tokio::time::sleep(delay).await;
}

/// Delays that double, with some chance in them so that many do not come back at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl Backoff {
    /// Delays from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0 }
    }

    /// The next delay.
    #[expect(clippy::should_implement_trait, reason = "delays never end; an iterator would say that they may")]
    pub fn next(&mut self) -> Duration {
        let delay = doubled(self.first, self.longest, self.tries);
        self.tries = self.tries.saturating_add(1);
        delay.mul_f64(rand::rng().random_range(0.75..1.25))
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

fn doubled(first: Duration, longest: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(30)).min(longest)
}

#[cfg(test)]
mod tests;

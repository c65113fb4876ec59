//! Which events become which writes: equal ones count up, many alike become one, storms are damped. Pure but for what it remembers.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Happened, Severity};

/// How many alike within [`ALIKE_SECONDS`] stand for themselves; later ones are combined.
const ALIKE_MAX: u32 = 10;
const ALIKE_SECONDS: i64 = 600;
/// An object's events at once, and the seconds until one more is granted.
const BURST: f64 = 25.0;
const REFILL_SECONDS: f64 = 300.0;
/// What is remembered at most; beyond, the older half is forgotten.
const REMEMBERED_MAX: usize = 4096;

#[derive(Clone, PartialEq, Eq, Hash)]
struct AlikeKey {
    about: String,
    severity: Severity,
    reason: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct EventKey(AlikeKey, String);

struct Alike {
    count: u32,
    last: Timestamp,
}

struct Known {
    name: Option<String>,
    count: i32,
    last: Timestamp,
}

struct Budget {
    tokens: f64,
    last: Timestamp,
}

/// What is remembered of events.
#[derive(Default)]
pub struct Aggregator {
    alike: HashMap<AlikeKey, Alike>,
    known: HashMap<EventKey, Known>,
    budgets: HashMap<String, Budget>,
    sequence: u32,
}

/// A write.
pub struct Step {
    /// The event.
    pub happened: Happened,
    /// How often it happened so far.
    pub count: i32,
    /// The name under which it was written already.
    pub written: Option<String>,
    /// Tells apart what happens in one moment.
    pub sequence: u32,
    key: EventKey,
}

impl Aggregator {
    /// The writes for a batch of events, at most one for each that differs.
    pub fn take(&mut self, batch: impl Iterator<Item = Happened>, now: Timestamp) -> Vec<Step> {
        self.forget();
        let mut steps: Vec<Step> = Vec::new();
        let mut places: HashMap<EventKey, usize> = HashMap::new();
        for mut happened in batch {
            let about = about(&happened);
            let alike = AlikeKey { about: about.clone(), severity: happened.severity, reason: happened.reason };
            let combined = self.combine(&alike, now);
            if combined {
                happened.message = format!("(combined from similar events): {}", happened.message);
            }
            if !self.grant(about, now) {
                continue;
            }
            let key = EventKey(alike, if combined { String::new() } else { happened.message.clone() });
            let known = self.known.entry(key.clone()).or_insert(Known { name: None, count: 0, last: now });
            known.count += 1;
            known.last = now;
            match places.get(&key) {
                Some(place) => {
                    steps[*place].count = known.count;
                    steps[*place].happened = happened;
                }
                None => {
                    self.sequence = self.sequence.wrapping_add(1) % 4096;
                    places.insert(key.clone(), steps.len());
                    steps.push(Step { happened, count: known.count, written: known.name.clone(), sequence: self.sequence, key });
                }
            }
        }
        steps
    }

    /// Remembers under which name an event was written.
    pub fn written(&mut self, step: &Step, name: String) {
        if let Some(known) = self.known.get_mut(&step.key) {
            known.name = Some(name);
        }
    }

    fn combine(&mut self, key: &AlikeKey, now: Timestamp) -> bool {
        let alike = self.alike.entry(key.clone()).or_insert(Alike { count: 0, last: now });
        if now.duration_since(alike.last).as_secs() > ALIKE_SECONDS {
            alike.count = 0;
        }
        alike.count += 1;
        alike.last = now;
        alike.count > ALIKE_MAX
    }

    fn grant(&mut self, about: String, now: Timestamp) -> bool {
        let budget = self.budgets.entry(about).or_insert(Budget { tokens: BURST, last: now });
        let refilled = now.duration_since(budget.last).as_secs_f64() / REFILL_SECONDS;
        budget.tokens = (budget.tokens + refilled).min(BURST);
        budget.last = now;
        let granted = budget.tokens >= 1.0;
        if granted {
            budget.tokens -= 1.0;
        }
        granted
    }

    fn forget(&mut self) {
        fn halve<K: Clone + Eq + std::hash::Hash, V>(map: &mut HashMap<K, V>, last: impl Fn(&V) -> Timestamp) {
            if map.len() <= REMEMBERED_MAX {
                return;
            }
            let mut times: Vec<_> = map.values().map(&last).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            map.retain(|_, value| last(value) > middle);
        }
        halve(&mut self.alike, |alike| alike.last);
        halve(&mut self.known, |known| known.last);
        halve(&mut self.budgets, |budget| budget.last);
    }
}

fn about(happened: &Happened) -> String {
    let about = &happened.about;
    let parts = [&about.kind, &about.namespace, &about.name, &about.uid, &about.field_path];
    parts.map(|part| part.as_deref().unwrap_or_default()).join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(message: &str) -> Happened {
        Happened { about: Default::default(), severity: Severity::Normal, reason: "Pulled", message: message.into() }
    }

    #[test]
    fn the_same_event_counts_up_and_is_written_once_a_batch() {
        let mut aggregator = Aggregator::default();
        let steps = aggregator.take(vec![happened("a"); 3].into_iter(), Timestamp::UNIX_EPOCH);
        assert_eq!((steps.len(), steps[0].count, steps[0].written.as_deref()), (1, 3, None));
        aggregator.written(&steps[0], "x.1".into());
        let steps = aggregator.take([happened("a")].into_iter(), Timestamp::UNIX_EPOCH);
        assert_eq!((steps[0].count, steps[0].written.as_deref()), (4, Some("x.1")));
    }

    #[test]
    fn many_alike_are_combined_and_a_storm_is_damped() {
        let mut aggregator = Aggregator::default();
        let batch = (0..100).map(|number| happened(&format!("pod {number}")));
        let steps = aggregator.take(batch, Timestamp::UNIX_EPOCH);
        assert_eq!(steps.len(), 11);
        assert_eq!(steps[10].happened.message, "(combined from similar events): pod 24");
        assert_eq!(steps[10].count, 15);
    }
}

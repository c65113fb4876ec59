//! What others said, for as long as they said that it holds, but never long. Bounded; the oldest goes first.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

/// Answers that are kept at once.
const ENTRIES_MAX: usize = 4096;
/// An answer is forgotten after this, in seconds, however long it may be kept.
const TTL_SECONDS_MAX: u32 = 30;

pub(super) type Key = (String, RecordType);

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Key, Entry>,
    order: VecDeque<(Key, Instant)>,
}

#[derive(Debug)]
struct Entry {
    said: Arc<Message>,
    kept: Instant,
    lifetime: Duration,
}

impl Cache {
    /// What was said, with the time that it still holds.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Arc<Message>> {
        let entry = self.entries.get(key)?;
        let age = now.saturating_duration_since(entry.kept);
        if age >= entry.lifetime {
            return None;
        }
        let seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        if seconds == 0 {
            return Some(Arc::clone(&entry.said));
        }
        let mut said = Message::clone(&entry.said);
        for record in said.answers.iter_mut().chain(&mut said.authorities).chain(&mut said.additionals) {
            record.ttl = record.ttl.saturating_sub(seconds);
        }
        Some(Arc::new(said))
    }

    pub(super) fn put(&mut self, key: Key, said: Arc<Message>, now: Instant) {
        let Some(lifetime) = lifetime(&said) else { return };
        while self.entries.len() >= ENTRIES_MAX
            && let Some((oldest, kept)) = self.order.pop_front()
        {
            // One that was kept anew since stands further back as well.
            if self.entries.get(&oldest).is_some_and(|entry| entry.kept == kept) {
                self.entries.remove(&oldest);
            }
        }
        // Names that are asked for again and again must not fill the order.
        if self.order.len() >= 2 * ENTRIES_MAX {
            self.order.retain(|(key, kept)| self.entries.get(key).is_some_and(|entry| entry.kept == *kept));
        }
        self.order.push_back((key.clone(), now));
        self.entries.insert(key, Entry { said, kept: now, lifetime });
    }
}

/// How long it holds; not at all, if it is a failure or does not say.
fn lifetime(said: &Message) -> Option<Duration> {
    let seconds = match said.metadata.response_code {
        ResponseCode::NoError if !said.answers.is_empty() => said.answers.iter().map(|record| record.ttl).min()?,
        ResponseCode::NoError | ResponseCode::NXDomain => said.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        })?,
        _ => return None,
    };
    (seconds > 0).then(|| Duration::from_secs(u64::from(seconds.min(TTL_SECONDS_MAX))))
}

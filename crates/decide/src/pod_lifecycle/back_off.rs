//! Waiting after failures: 10 s, doubled each time up to a bound, forgotten after a long good time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest wait between restarts.
pub const RESTART_MAX_SECONDS: i64 = 300;
/// The longest wait between pulls.
pub const IMAGE_MAX_SECONDS: i64 = 300;
const FIRST_SECONDS: i64 = 10;

/// How long to wait, and since when. The first restart is free, as upstream's is: its wait begins with the second failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackOff {
    /// The current wait; zero when there was no failure.
    pub seconds: i64,
    /// When the wait was last lengthened.
    pub raised: Option<Timestamp>,
}

impl BackOff {
    /// Whether `since + wait` still lies ahead, and until when.
    pub fn until(&self, since: Timestamp) -> Option<Timestamp> {
        if self.seconds == 0 {
            return None;
        }
        since.checked_add(SignedDuration::from_secs(self.seconds)).ok()
    }

    /// After one more attempt at `now`, bounded by `max` seconds; an old failure is forgotten.
    #[must_use]
    pub fn raise(self, now: Timestamp, max: i64) -> Self {
        let forgotten = self.raised.is_some_and(|raised| now.duration_since(raised).as_secs() > 2 * max);
        let seconds = if forgotten || self.seconds == 0 { FIRST_SECONDS } else { (self.seconds * 2).min(max) };
        Self { seconds, raised: Some(now) }
    }
}

//! Table: every bound of the server, with its unit and reason.

use std::time::Duration;

/// Largest request body in bytes: upstream's limit for a JSON body (`MaxRequestBodyBytes`).
pub const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// How often a write is tried again when another came first, as upstream's `GuaranteedUpdate` does a few times.
pub const WRITE_TRIES: usize = 8;
/// How often a name is generated before giving up (KEP-4420).
pub const NAME_TRIES: usize = 8;
/// A watch that allows bookmarks gets one at least this often.
pub const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Shortest lifetime of a watch that names none; the longest is twice that (`--min-request-timeout`).
pub const WATCH_SECONDS_MIN: u64 = 1800;
/// Size of one piece of a list's body in bytes: lists are written piece by piece, so that a long one needs no long buffer.
pub const LIST_PIECE_BYTES: usize = 64 * 1024;
/// Longest name that is generated, without its random suffix.
pub const GENERATED_NAME_BASE_MAX: usize = 58;
/// How long the past is kept for lists and watches that go on from it, at least.
pub const HISTORY_KEPT: Duration = Duration::from_secs(300);

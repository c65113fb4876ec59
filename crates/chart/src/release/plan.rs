//! What to do with a history: which revisions to forget, and how to go on after an interruption. It never acts.

use super::record::{Release, Status};

/// A revision that someone began and never ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// Which one.
    pub revision: i64,
    /// What was going on.
    pub status: Status,
}

/// How to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing is pending.
    None,
    /// Somebody is at work: its lease is held.
    InProgress(Interrupted),
    /// Its worker is gone: the pending revision is marked as failed, and the wish goes on from the revision in force.
    Resume {
        /// What is marked as failed.
        failed: Interrupted,
        /// What is in force, which the next revision replaces.
        from: Option<i64>,
    },
}

/// Looks for an interruption at the end of a history. `held` tells whether the worker of a revision still holds its
/// lease.
#[must_use]
pub fn recovery(history: &[Release], held: impl Fn(i64) -> bool) -> Recovery {
    let Some(last) = history.iter().max_by_key(|release| release.version) else { return Recovery::None };
    let status = last.info.status;
    if !status.is_pending() && status != Status::Uninstalling {
        return Recovery::None;
    }
    let interrupted = Interrupted { revision: last.version, status };
    if held(last.version) {
        return Recovery::InProgress(interrupted);
    }
    let in_force = |release: &&Release| release.info.status == Status::Deployed;
    let from = history.iter().filter(in_force).map(|release| release.version).max();
    Recovery::Resume { failed: interrupted, from }
}

/// Which revisions go so that one more fits under `limit`: the oldest, never the one in force. Zero is no limit.
#[must_use]
pub fn pruned(history: &[Release], limit: usize) -> Vec<i64> {
    if limit == 0 || history.len() < limit {
        return Vec::new();
    }
    let in_force = history.iter().filter(|release| release.info.status == Status::Deployed);
    let kept = in_force.map(|release| release.version).max();
    let mut revisions: Vec<i64> = history.iter().map(|release| release.version).collect();
    revisions.sort_unstable();
    let count = history.len() - (limit - 1);
    revisions.into_iter().filter(|revision| Some(*revision) != kept).take(count).collect()
}

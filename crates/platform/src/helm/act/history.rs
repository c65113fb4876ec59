//! What a release's history says: what is in force, what was interrupted, and whose objects may still lie about.

use chart::release::{self, Recovery, Release, Status};
use serde_json::Value as Json;

use super::super::HelmError;
use super::super::cluster::Cluster;
use super::super::lease::Left;
use super::super::store::Store;
use super::objects::objects;

/// A pending record of Helm's names no worker; its worker counts as there for so long.
const HELD: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// A release as it was found.
pub(super) struct Past {
    /// Oldest first; an interrupted end is marked as failed.
    pub(super) history: Vec<Release>,
    /// The newest.
    pub(super) last: Release,
    /// What the next revision replaces, if there is such.
    pub(super) current: Option<Release>,
}

/// Whether somebody may still be at work on a pending revision. The caller holds the lease, so that it is nobody who
/// takes leases.
pub(super) fn is_held(release: &Release, left: Left) -> bool {
    let begun = release.info.last_deployed.parse::<jiff::Timestamp>();
    begun.is_ok_and(|begun| !left.is_of(begun) && jiff::Timestamp::now().duration_since(begun) < HELD)
}

/// Reads a history, and marks an interrupted end of it as failed; nothing where there is none. `insist` goes on from a
/// pending revision whoever made it.
pub(super) async fn open(cluster: &Cluster, name: &str, left: Left, insist: bool) -> Result<Option<Past>, HelmError> {
    let store = Store::new(cluster);
    let mut history = store.history(name).await?;
    let Some(held) = history.last().map(|last| !insist && is_held(last, left)) else { return Ok(None) };
    match release::recovery(&history, |_| held) {
        Recovery::None => {}
        Recovery::InProgress(interrupted) if interrupted.status == Status::Uninstalling => {}
        Recovery::InProgress(_) => return Err(HelmError::InProgress),
        Recovery::Resume { failed, .. } => {
            for release in history.iter_mut().filter(|it| it.version == failed.revision) {
                release.info.status = Status::Failed;
                release.info.description = format!("Interrupted: {} was never ended", failed.status.name());
                store.update(release).await?;
            }
        }
    }
    Ok(Past::of(history))
}

impl Past {
    /// What a history says; nothing where there is none.
    pub(super) fn of(history: Vec<Release>) -> Option<Self> {
        let last = history.last().cloned()?;
        let in_force = history.iter().rev().find(|it| it.info.status == Status::Deployed).cloned();
        let usable = matches!(last.info.status, Status::Failed | Status::Superseded);
        let current = in_force.or_else(|| usable.then(|| last.clone()));
        Some(Self { history, last, current })
    }

    /// The objects that may be there: those of the revision in force, then those of later ones that came to no end.
    pub(super) fn objects(&self, current: &Release) -> Result<(Vec<Json>, Vec<Json>), HelmError> {
        let old = objects(&current.manifest)?;
        let later = |it: &&Release| it.info.status == Status::Failed && it.version != current.version;
        let since = if current.info.status == Status::Deployed { current.version } else { 0 };
        let unended = self.history.iter().filter(later).filter(|it| it.version > since);
        // A manifest that cannot be read never became objects.
        let left = unended.flat_map(|release| objects(&release.manifest).unwrap_or_default()).collect();
        Ok((old, left))
    }
}

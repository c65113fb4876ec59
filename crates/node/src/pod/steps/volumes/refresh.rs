//! Keeps written volumes like the objects that they are made of: woken by a change of an object or of the pod, or when a token grows old.

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use futures::StreamExt as _;
use futures::stream::{BoxStream, SelectAll};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Volume};
use tokio::sync::{Notify, watch};

use super::payload::{Maker, fs_group};
use super::{Volumes, atomic};
use crate::pod::steps::Ground;
use crate::site::{Held, Site};

/// How long a volume that could not be written waits for the next try, unless something changes.
const RETRY: SignedDuration = SignedDuration::from_secs(10);

/// What comes next for the volumes.
pub(super) enum Wait {
    /// Write at once.
    Now,
    /// Until a change, or until this time; the objects are watched meanwhile.
    For(Option<Timestamp>, Vec<Held>),
}

/// Writes the volumes of one pod.
pub(super) struct Refresher {
    site: Arc<Site>,
    pod: watch::Receiver<Arc<Pod>>,
    volumes: Weak<Volumes>,
    changed: Arc<Notify>,
    written: Vec<(Volume, PathBuf)>,
}

impl Refresher {
    pub(super) fn new(ground: &Ground, written: Vec<Volume>) -> Self {
        let places = written.into_iter().map(|volume| {
            let folder = super::folder(ground, &volume);
            (volume, folder)
        });
        Self {
            site: Arc::clone(&ground.site),
            pod: ground.seen.clone(),
            volumes: Arc::downgrade(&ground.volumes),
            changed: Arc::clone(&ground.volumes.changed),
            written: places.collect(),
        }
    }

    /// Writes all volumes; an object that is missing is told with its volume.
    pub(super) async fn write(&self) -> Result<Wait, (Volume, String)> {
        let Some(volumes) = self.volumes.upgrade() else { return Ok(Wait::For(None, Vec::new())) };
        let pod = Arc::clone(&self.pod.borrow());
        let mut maker = Maker { site: &self.site, pod: &pod, volumes: &volumes, held: Vec::new(), renew_at: None };
        let group = fs_group(&pod);
        for (volume, folder) in &self.written {
            let payload = maker.payload(volume).await.map_err(|why| (volume.clone(), why))?;
            let written = prepare(folder).and_then(|()| atomic::write(folder, &payload, group));
            written.map_err(|error| (volume.clone(), error.to_string()))?;
        }
        Ok(Wait::For(maker.renew_at, maker.held))
    }

    /// Follows the objects until it is dropped.
    pub(super) async fn run(self, mut wait: Wait) {
        let mut followed: Vec<Held> = Vec::new();
        let mut changes = SelectAll::new();
        loop {
            if let Wait::For(until, held) = wait {
                for one in held {
                    if !followed.iter().any(|other| other.is(&one)) {
                        changes.push(one.changes());
                        followed.push(one);
                    }
                }
                self.wait(until, &mut changes).await;
            }
            wait = match self.write().await {
                Ok(wait) => wait,
                Err((volume, why)) => {
                    tracing::debug!(volume = volume.name, why, "a volume stays as it was");
                    Wait::For(Timestamp::now().checked_add(RETRY).ok(), Vec::new())
                }
            };
        }
    }

    async fn wait(&self, until: Option<Timestamp>, changes: &mut SelectAll<BoxStream<'static, ()>>) {
        let left = until.map(|at| at.duration_since(Timestamp::now()));
        let left = left.map_or(std::time::Duration::MAX, |left| left.try_into().unwrap_or_default());
        let any = async {
            tokio::select! {
                () = self.changed.notified() => {}
                Some(()) = changes.next() => {}
                else => std::future::pending().await,
            }
        };
        let _ = tokio::time::timeout(left, any).await;
    }
}

fn prepare(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if folder.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o1777))
}

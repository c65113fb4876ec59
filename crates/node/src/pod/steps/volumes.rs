//! The volumes of a pod: each is a path on the node before a container starts. Those made of objects follow their objects while the pod lives.

mod atomic;
mod certificates;
mod claim;
mod empty_dir;
mod host_path;
mod image;
mod payload;
mod refresh;
mod tokens;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Pod, Volume};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{Done, Ground, Step, StepError};
use crate::site::{Held, Site};
use payload::Maker;
pub(crate) use payload::{fs_group, is_written};
use tokens::Tokens;

/// The volumes of a pod that stand.
#[derive(Default)]
pub(crate) struct Volumes {
    paths: Mutex<BTreeMap<String, PathBuf>>,
    tokens: Tokens,
    certificates: certificates::Certificates,
    /// Something that written volumes are made of has changed.
    changed: Arc<Notify>,
    /// Objects that are watched ahead of the first write.
    ahead: Mutex<Vec<Held>>,
    refreshing: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Volumes {
    /// Where a volume stands.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn put(&self, name: &str, path: PathBuf) {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), path);
    }

    /// Asks for what written volumes are made of while the sandbox is made: the step then finds it.
    pub(crate) async fn warm(self: Arc<Self>, site: Arc<Site>, pod: Arc<Pod>) {
        let mut maker = Maker { site: &site, pod: &pod, volumes: &self, held: Vec::new(), renew_at: None };
        for volume in wanted(&pod).iter().filter(|volume| is_written(volume)) {
            // What fails is told by the step.
            let _ = maker.payload(volume).await;
        }
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = maker.held;
    }

    /// Has written volumes looked at again: the pod's own labels or annotations changed.
    pub(crate) fn touch(&self) {
        self.changed.notify_one();
    }
}

/// What a source needs to know.
pub(super) struct Place<'a> {
    pub(super) site: &'a Site,
    pub(super) pod: &'a Pod,
    /// The folder that the volume may have for itself.
    pub(super) folder: &'a Path,
}

/// One kind of volume.
pub(super) trait Source: Sync {
    /// Whether a volume is of this kind.
    fn takes(&self, volume: &Volume) -> bool;
    /// Makes it; says where it stands, or why not in upstream's words.
    fn make<'a>(&'a self, place: Place<'a>, volume: &'a Volume) -> BoxFuture<'a, Result<PathBuf, String>>;
}

/// All kinds but those that are written.
const SOURCES: &[&dyn Source] = &[&empty_dir::EmptyDir, &host_path::HostPath, &claim::Claim, &image::ImageVolume];

/// The folder of a pod's volume: those that are written hold secrets, and stand in memory; those that a pod may fill stand on disk.
fn folder(ground: &Ground, volume: &Volume) -> PathBuf {
    if volume.empty_dir.is_some() {
        return ground.site.empty_dirs(&ground.uid).join(&volume.name);
    }
    let kind = if is_written(volume) { "written" } else { "volumes" };
    ground.folder.join(kind).join(&volume.name)
}

pub(super) struct VolumesStep;

fn failed(volume: &Volume, why: &str) -> StepError {
    StepError::new("FailedMount", format!("MountVolume.SetUp failed for volume \"{}\" : {why}", volume.name))
}

async fn make(ground: &Ground, volume: &Volume) -> Result<PathBuf, String> {
    let folder = folder(ground, volume);
    if is_written(volume) {
        return Ok(folder);
    }
    let Some(source) = SOURCES.iter().find(|source| source.takes(volume)) else {
        return Err("no volume plugin matched".into());
    };
    source.make(Place { site: &ground.site, pod: &ground.pod, folder: &folder }, volume).await
}

fn wanted(pod: &Pod) -> &[Volume] {
    pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default()
}

impl Step for VolumesStep {
    fn name(&self) -> &'static str {
        "volumes"
    }

    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let pod = Arc::clone(&ground.pod);
            for volume in wanted(&pod) {
                let path = make(ground, volume).await.map_err(|why| failed(volume, &why))?;
                ground.volumes.put(&volume.name, path);
            }
            let written: Vec<Volume> = wanted(&pod).iter().filter(|volume| is_written(volume)).cloned().collect();
            if written.is_empty() {
                return Ok(());
            }
            let refresher = refresh::Refresher::new(ground, written);
            let first = refresher.write().await.map_err(|(volume, why)| failed(&volume, &why))?;
            ground.volumes.ahead.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let task = AbortOnDropHandle::new(tokio::spawn(refresher.run(first)));
            *ground.volumes.refreshing.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
            Ok(())
        })
    }

    fn stop<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            drop(ground.volumes.refreshing.lock().unwrap_or_else(PoisonError::into_inner).take());
            ground.volumes.paths.lock().unwrap_or_else(PoisonError::into_inner).clear();
            let on_disk = ground.site.empty_dirs(&ground.uid);
            unmount_below(&[&ground.folder, &on_disk]);
            for kind in ["written", "volumes", "subpaths"] {
                remove(&ground.folder.join(kind))?;
            }
            remove(&on_disk)
        })
    }

    /// Volumes outlive the agent as they are; what changed meanwhile is written now.
    fn adopt<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let pod = Arc::clone(&ground.pod);
            for volume in wanted(&pod) {
                let path = match is_written(volume) || volume.empty_dir.is_some() {
                    true => folder(ground, volume),
                    false => make(ground, volume).await.map_err(|why| failed(volume, &why))?,
                };
                ground.volumes.put(&volume.name, path);
            }
            let written: Vec<Volume> = wanted(&pod).iter().filter(|volume| is_written(volume)).cloned().collect();
            if !written.is_empty() {
                let refresher = refresh::Refresher::new(ground, written);
                let task = AbortOnDropHandle::new(tokio::spawn(refresher.run(refresh::Wait::Now)));
                *ground.volumes.refreshing.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
            }
            Ok(())
        })
    }
}

fn remove(folder: &Path) -> Result<(), StepError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StepError::caused("FailedUnmount", &format!("cannot remove {}", folder.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Takes every mount below the folders away, deepest first; what is busy goes when its last user does.
fn unmount_below(folders: &[&Path; 2]) {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let paths = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped).map(PathBuf::from);
    let is_below = |path: &PathBuf| folders.iter().any(|folder| path.starts_with(folder) && path != folder);
    // What the sandbox mounts is its own to take away.
    let mut ours: Vec<PathBuf> = paths.filter(is_below).filter(|path| !path.starts_with(folders[0].join("sandbox"))).collect();
    ours.sort();
    for path in ours.iter().rev() {
        if let Err(error) = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH) {
            tracing::warn!(path = %path.display(), %error, "a mount of a pod stays");
        }
    }
}

/// A path of mountinfo, where blanks are written as octal numbers.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

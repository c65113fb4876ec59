//! Claims that are bound to folders of this node: persistent volumes of `local` or `hostPath`. Claims of a pod's own (`ephemeral`) too.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Volume};
use kube::api::Api;

use super::{Place, Source, fs_group, host_path};
use crate::pod::steps::chain;

pub(super) struct Claim;

impl Source for Claim {
    fn takes(&self, volume: &Volume) -> bool {
        volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
    }

    fn make<'a>(&'a self, place: Place<'a>, volume: &'a Volume) -> BoxFuture<'a, Result<PathBuf, String>> {
        Box::pin(async move {
            let name = match &volume.persistent_volume_claim {
                Some(source) => source.claim_name.clone(),
                None => format!("{}-{}", place.pod.metadata.name.as_deref().unwrap_or_default(), volume.name),
            };
            let path = path_of(&place, &name).await?;
            if let Some(group) = fs_group(place.pod) {
                give_to_group(&path, group).map_err(|error| format!("cannot set the group of the volume: {error}"))?;
            }
            Ok(path)
        })
    }
}

async fn path_of(place: &Place<'_>, name: &str) -> Result<PathBuf, String> {
    let namespace = place.pod.metadata.namespace.as_deref().unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(place.site.client.clone(), namespace);
    let claim = claims.get(name).await;
    let claim = claim.map_err(|error| format!("error getting PVC \"{namespace}\"/\"{name}\": {}", chain(&error)))?;
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let volume = claim.spec.and_then(|spec| spec.volume_name).filter(|name| !name.is_empty());
    let Some(volume) = volume.filter(|_| phase == "Bound") else {
        return Err(format!("PVC {namespace}/{name} has non-bound phase (\"{phase}\") or empty pvc.Spec.VolumeName (\"\")"));
    };
    let volumes: Api<PersistentVolume> = Api::all(place.site.client.clone());
    let volume = volumes.get(&volume).await.map_err(|error| chain(&error))?;
    let spec = volume.spec.unwrap_or_default();
    if let Some(local) = spec.local {
        let path = PathBuf::from(local.path);
        if path.starts_with(place.site.folder.join("volumes")) && !path.exists() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o777).create(&path);
            made.and_then(|()| open_to_all(&path)).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
        }
        return match path.exists() {
            true => Ok(path),
            false => Err(format!("path \"{}\" does not exist", path.display())),
        };
    }
    if let Some(host) = spec.host_path {
        let path = PathBuf::from(host.path);
        host_path::check(&path, host.type_.as_deref().unwrap_or_default())?;
        return Ok(path);
    }
    Err("no volume plugin matched name: this node takes local and hostPath volumes".into())
}

/// As the folders of a provisioner are: whoever runs in the pod may write.
fn open_to_all(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777))
}

fn give_to_group(path: &std::path::Path, group: u32) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let meta = std::fs::metadata(path)?;
    if meta.gid() != group {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(meta.mode() & 0o7777 | 0o2770))
}

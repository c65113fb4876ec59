//! A folder that lives as long as its pod: on the node's disk, or in memory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use api::quantity::Quantity;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Volume;
use rustix::mount::{MountFlags, mount};

use super::{Place, Source, fs_group};

pub(super) struct EmptyDir;

impl Source for EmptyDir {
    fn takes(&self, volume: &Volume) -> bool {
        volume.empty_dir.is_some()
    }

    fn make<'a>(&'a self, place: Place<'a>, volume: &'a Volume) -> BoxFuture<'a, Result<PathBuf, String>> {
        Box::pin(async move {
            let made = make(&place, volume);
            made.map_err(|error| format!("cannot make the folder: {error}"))?;
            Ok(place.folder.to_owned())
        })
    }
}

fn make(place: &Place<'_>, volume: &Volume) -> std::io::Result<()> {
    if place.folder.exists() && is_mounted_or_plain(place.folder, volume) {
        return Ok(());
    }
    std::fs::create_dir_all(place.folder)?;
    let source = volume.empty_dir.as_ref();
    if source.and_then(|source| source.medium.as_deref()) == Some("Memory") {
        let limit = source.and_then(|source| source.size_limit.as_ref());
        let bytes = limit.and_then(|limit| limit.0.parse::<Quantity>().ok()).map(Quantity::value).filter(|bytes| *bytes > 0);
        let options = bytes.map(|bytes| format!("size={bytes}")).unwrap_or_default();
        let options = std::ffi::CString::new(options)?;
        mount("tmpfs", place.folder, "tmpfs", MountFlags::empty(), options.as_c_str())?;
    }
    if let Some(group) = fs_group(place.pod) {
        std::os::unix::fs::chown(place.folder, None, Some(group))?;
        return std::fs::set_permissions(place.folder, std::fs::Permissions::from_mode(0o2777));
    }
    std::fs::set_permissions(place.folder, std::fs::Permissions::from_mode(0o777))
}

/// Whether an earlier attempt got as far as needed: a folder in memory is one only when it is mounted.
fn is_mounted_or_plain(folder: &Path, volume: &Volume) -> bool {
    let in_memory = volume.empty_dir.as_ref().and_then(|source| source.medium.as_deref()) == Some("Memory");
    let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev).ok();
    !in_memory || folder.parent().is_some_and(|parent| device(parent) != device(folder))
}

//! The files of an image as a read-only volume.

use std::path::PathBuf;

use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Volume;
use rustix::mount::{MountFlags, mount};

use super::{Place, Source};
use crate::pod::images;

pub(super) struct ImageVolume;

impl Source for ImageVolume {
    fn takes(&self, volume: &Volume) -> bool {
        volume.image.is_some()
    }

    fn make<'a>(&'a self, place: Place<'a>, volume: &'a Volume) -> BoxFuture<'a, Result<PathBuf, String>> {
        Box::pin(async move {
            let source = volume.image.as_ref().ok_or("no image")?;
            let name = source.reference.clone().unwrap_or_default();
            let policy = source.pull_policy.clone().unwrap_or_else(|| images::default_policy(&name).to_owned());
            let image = images::ensure(place.site, place.pod, None, &name, &policy).await.map_err(|failed| failed.message)?;
            match image.layers.as_slice() {
                [] => {
                    std::fs::create_dir_all(place.folder).map_err(|error| error.to_string())?;
                    Ok(place.folder.to_owned())
                }
                [only] => Ok(only.clone()),
                layers => stack(&place, layers),
            }
        })
    }
}

/// The layers over each other, without one to write to.
fn stack(place: &Place<'_>, layers: &[PathBuf]) -> Result<PathBuf, String> {
    std::fs::create_dir_all(place.folder).map_err(|error| error.to_string())?;
    let lower: Vec<String> = layers.iter().rev().map(|layer| layer.display().to_string()).collect();
    let options = std::ffi::CString::new(format!("lowerdir={}", lower.join(":"))).map_err(|error| error.to_string())?;
    let mounted = mount("overlay", place.folder, "overlay", MountFlags::RDONLY, options.as_c_str());
    mounted.map_err(|error| format!("cannot mount the image: {error}"))?;
    Ok(place.folder.to_owned())
}

//! Images that are not here yet are fetched while the rest of the pod is prepared; a container that starts then finds its own or joins the pull.

use std::sync::Arc;

use super::{Done, Ground, Step};
use crate::pod::images;

pub(super) struct Images;

impl Step for Images {
    fn name(&self) -> &'static str {
        "images"
    }

    /// Only begins: what fails is told by the container that needs it.
    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let Some(spec) = &ground.pod.spec else { return Ok(()) };
            // The first containers ask for theirs at once.
            for container in spec.containers.iter().skip(usize::from(spec.init_containers.is_none())) {
                let image = container.image.clone().unwrap_or_default();
                let policy = container.image_pull_policy.as_deref().unwrap_or_else(|| images::default_policy(&image));
                if policy == "IfNotPresent" && ground.site.images.find(&image).is_none() {
                    let (site, pod) = (Arc::clone(&ground.site), Arc::clone(&ground.pod));
                    tokio::spawn(async move { images::ensure(&site, &pod, None, &image, "IfNotPresent").await.map(drop) });
                }
            }
            Ok(())
        })
    }

    /// Images are the node's, not the pod's.
    fn stop<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }

    fn adopt<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

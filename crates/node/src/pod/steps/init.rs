//! The folders of the containers: `/etc/hosts`, the name servers, and where termination messages are written. Init containers need them first.

use super::{Done, Ground, Step, StepError};
use crate::pod::container::files;

pub(super) struct Init;

impl Step for Init {
    fn name(&self) -> &'static str {
        "init"
    }

    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let addresses = ground.record.attached.as_ref().map(|attached| attached.addresses.clone()).unwrap_or_default();
            let written = files::write(&ground.site, &ground.pod, &ground.folder, &addresses);
            written.map_err(|error| StepError::caused("FailedCreatePodContainer", "cannot write the files of the pod", &error))
        })
    }

    fn stop<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let _ = std::fs::remove_dir_all(ground.folder.join("etc"));
            let _ = std::fs::remove_dir_all(ground.folder.join("containers"));
            Ok(())
        })
    }

    fn adopt<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

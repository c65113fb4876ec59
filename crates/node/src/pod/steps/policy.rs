//! The network rules that concern the pod are in force before its first process runs.

use super::address::is_of_host;
use super::{Done, Ground, Step, StepError, chain};

pub(super) struct Policy;

impl Step for Policy {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            if is_of_host(&ground.pod) {
                return Ok(());
            }
            let protected = ground.site.network.protect(&ground.pod).await;
            protected.map_err(|error| StepError::new("FailedCreatePodSandBox", chain(error.as_ref())))
        })
    }

    /// The rules follow the pod: they go when it does.
    fn stop<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }

    fn adopt<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        self.start(ground)
    }
}

//! The containers: started one by one as the plan says, once everything before them stands. Here only what is left of them is ended.

use super::{Done, Ground, Step};

pub(super) struct Containers;

impl Step for Containers {
    fn name(&self) -> &'static str {
        "containers"
    }

    fn start<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }

    /// The plan stopped them with their grace; whatever still runs belongs to no container that we know, and goes with the sandbox.
    fn stop<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let Some(sandbox) = &ground.sandbox else { return Ok(()) };
            for container in sandbox.containers().into_iter().filter(|container| container.exit().is_none()) {
                let _ = container.signal(9).await;
            }
            Ok(())
        })
    }

    fn adopt<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

//! Probes run beside their containers and end with them; the worker starts one set a container that runs.

use super::{Done, Ground, Step};

pub(super) struct Probes;

impl Step for Probes {
    fn name(&self) -> &'static str {
        "probes"
    }

    fn start<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }

    fn stop<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }

    fn adopt<'a>(&'a self, _: &'a mut Ground) -> Done<'a> {
        Box::pin(async { Ok(()) })
    }
}

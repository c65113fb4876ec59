//! Slices that say what Endpoints of Services without a selector say, so that readers need to look at slices alone.

use std::sync::Arc;

use client::{Key, Queue, reconcile::Next};
use decide::endpoints;
use k8s_openapi::api::core::v1::{Endpoints, Service};

use super::{Slices, selector};
use crate::{
    apply::ApplyError,
    wiring::{Wiring, Work},
};

const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (services, all) = (wiring.cache::<Service>(), wiring.cache::<Endpoints>());
        let slices = Slices::new(&wiring, MANAGER);
        let queue = Queue::new();
        wiring.enqueue_changes(&services, &queue);
        wiring.enqueue_changes(&all, &queue);
        slices.enqueue_services(&queue);
        let reconcile = move |key: Key| {
            let (services, all, slices) = (Arc::clone(&services), Arc::clone(&all), slices.clone());
            async move {
                let open = services.get(&key).is_some_and(|service| selector(&service).is_none());
                let found = all.get(&key).filter(|found| open && endpoints::is_mirrored(found));
                let existing = slices.of(&key);
                let steps = match found {
                    Some(found) => {
                        let frame = endpoints::mirror_frame(&found, MANAGER);
                        endpoints::reconcile(&frame, endpoints::mirrored(&found), &existing)
                    }
                    None => {
                        existing.iter().filter_map(|slice| slice.metadata.name.clone()).map(endpoints::Step::Delete).collect()
                    }
                };
                slices.carry_out(key.namespace(), steps).await?;
                Ok::<_, ApplyError>(Next::OnChange)
            }
        };
        wiring.work(queue, 4, reconcile).await;
    })
}

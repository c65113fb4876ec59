//! The Endpoints of Services with a selector. Nobody else writes them; those of other Services are left alone.

use std::sync::Arc;

use client::{Key, Queue, reconcile::Next};
use decide::endpoints;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};

use super::{chosen, enqueue_services_of_pods, selector};
use crate::{
    apply::{self, ApplyError},
    wiring::{Wiring, Work},
};

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (services, pods, all) = (wiring.cache::<Service>(), wiring.pods(), wiring.cache::<Endpoints>());
        let queue = Queue::new();
        wiring.enqueue_changes(&services, &queue);
        wiring.enqueue_changes(&all, &queue);
        enqueue_services_of_pods(&pods, &services, &queue);
        let client = wiring.client.clone();
        let reconcile = move |key: Key| {
            let (services, pods, all, client) = (Arc::clone(&services), Arc::clone(&pods), Arc::clone(&all), client.clone());
            async move {
                let api: Api<Endpoints> = Api::namespaced(client, key.namespace());
                let Some(service) = services.get(&key) else {
                    if all.get(&key).is_some_and(|found| is_derived(&found)) {
                        remove(&api, key.name()).await?;
                    }
                    return Ok(Next::OnChange);
                };
                let Some(selector) = selector(&service) else { return Ok(Next::OnChange) };
                let existing = all.get(&key);
                let chosen = chosen(&pods, key.namespace(), selector);
                let Some(wanted) = endpoints::legacy(&service, &chosen, existing.as_deref()) else { return Ok(Next::OnChange) };
                let written = match existing {
                    Some(_) => api.replace(key.name(), &PostParams::default(), &wanted).await,
                    None => api.create(&PostParams::default(), &wanted).await,
                };
                match written {
                    Ok(written) => all.caught_up(&written).await?,
                    Err(error) if apply::namespace_is_ending(&error) => {}
                    Err(error) => return Err(ApplyError::write("endpoints")(error)),
                }
                Ok::<_, ApplyError>(Next::OnChange)
            }
        };
        wiring.work(queue, 8, reconcile).await;
    })
}

fn is_derived(endpoints: &Endpoints) -> bool {
    endpoints.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(endpoints::LEGACY_MANAGED_BY))
}

async fn remove(api: &Api<Endpoints>, name: &str) -> Result<(), ApplyError> {
    match api.delete(name, &DeleteParams::default()).await {
        Err(error) if !apply::is_not_found(&error) => Err(ApplyError::write("endpoints")(error)),
        _ => Ok(()),
    }
}

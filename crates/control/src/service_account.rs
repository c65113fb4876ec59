//! Every namespace has a service account named `default`.

use std::sync::Arc;

use client::{Key, Options, Queue, reconcile::Next};
use k8s_openapi::{
    api::core::v1::{Namespace, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, api::PostParams};

use crate::{
    apply::{self, ApplyError},
    wiring::{Wiring, Work},
};

const NAME: &str = "default";

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let queue = Queue::new();
        let namespaces = wiring.cache::<Namespace>();
        wiring.enqueue_changes(&namespaces, &queue);
        let named = Options { fields: format!("metadata.name={NAME}"), ..Options::default() };
        let accounts = wiring.caches.part::<ServiceAccount>(named);
        let missed = queue.clone();
        accounts.on_change(move |change| {
            if change.new.is_none() {
                missed.add(Key::cluster(change.key.namespace()));
            }
        });
        accounts.synced().await;
        let client = wiring.client.clone();
        let reconcile = move |key: Key| {
            let (client, namespaces, accounts) = (client.clone(), Arc::clone(&namespaces), Arc::clone(&accounts));
            async move {
                let open = namespaces.get(&key).is_some_and(|namespace| apply::takes_objects(&namespace));
                if open && accounts.find(key.name(), NAME).is_none() {
                    create(&client, key.name()).await?;
                }
                Ok::<_, ApplyError>(Next::OnChange)
            }
        };
        wiring.work(queue, 4, reconcile).await;
    })
}

async fn create(client: &kube::Client, namespace: &str) -> Result<(), ApplyError> {
    let account = ServiceAccount {
        metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
        ..ServiceAccount::default()
    };
    match Api::<ServiceAccount>::namespaced(client.clone(), namespace).create(&PostParams::default(), &account).await {
        Err(error) if !apply::is_there_already(&error) && !apply::namespace_is_ending(&error) && !apply::is_not_found(&error) => {
            Err(ApplyError::write("a service account")(error))
        }
        _ => Ok(()),
    }
}

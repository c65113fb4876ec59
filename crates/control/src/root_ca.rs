//! Every namespace has a ConfigMap `kube-root-ca.crt` with the certificate by which pods know the API server.

use std::{collections::BTreeMap, sync::Arc};

use client::{Key, Options, Queue, reconcile::Next};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, api::PostParams};

use crate::{
    apply::{self, ApplyError},
    wiring::{Wiring, Work},
};

const NAME: &str = "kube-root-ca.crt";
const FIELD: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service \
     IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.",
);

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let queue = Queue::new();
        let namespaces = wiring.cache::<Namespace>();
        wiring.enqueue_changes(&namespaces, &queue);
        let named = Options { fields: format!("metadata.name={NAME}"), ..Options::default() };
        let maps = wiring.caches.part::<ConfigMap>(named);
        let changed = queue.clone();
        maps.on_change(move |change| changed.add(Key::cluster(change.key.namespace())));
        maps.synced().await;
        let data: BTreeMap<String, String> = [(FIELD.to_owned(), wiring.settings.root_ca_pem.clone())].into();
        let (client, data) = (wiring.client.clone(), Arc::new(data));
        let reconcile = move |key: Key| {
            let (client, data) = (client.clone(), Arc::clone(&data));
            let open = namespaces.get(&key).is_some_and(|namespace| apply::takes_objects(&namespace));
            let found = maps.find(key.name(), NAME);
            async move {
                let right = found.as_ref().is_some_and(|map| map.data.as_ref() == Some(&*data));
                if open && !right {
                    write(&client, key.name(), found.as_deref(), &data).await?;
                }
                Ok::<_, ApplyError>(Next::OnChange)
            }
        };
        wiring.work(queue, 4, reconcile).await;
    })
}

async fn write(
    client: &kube::Client,
    namespace: &str,
    found: Option<&ConfigMap>,
    data: &BTreeMap<String, String>,
) -> Result<(), ApplyError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let annotations = [(DESCRIPTION.0.to_owned(), DESCRIPTION.1.to_owned())].into();
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), annotations: Some(annotations), ..ObjectMeta::default() };
    let wanted = match found {
        Some(found) => ConfigMap { data: Some(data.clone()), binary_data: None, ..found.clone() },
        None => ConfigMap { metadata, data: Some(data.clone()), ..ConfigMap::default() },
    };
    let written = match found {
        Some(_) => api.replace(NAME, &PostParams::default(), &wanted).await,
        None => api.create(&PostParams::default(), &wanted).await,
    };
    match written {
        Err(error) if !apply::is_there_already(&error) && !apply::namespace_is_ending(&error) && !apply::is_not_found(&error) => {
            Err(ApplyError::write("the root certificate")(error))
        }
        _ => Ok(()),
    }
}

//! Config maps and secrets that pods refer to. Each is watched by its name, since a node may see no others, for as long as someone holds it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ::client::Cache;
use ::client::cache::{Cached, Options};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::certificates::v1::ClusterTrustBundle;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

/// The data of a config map or secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// By key.
    pub(crate) data: BTreeMap<String, Vec<u8>>,
    /// The type of a secret.
    pub(crate) kind: String,
}

type Watched<K> = Mutex<HashMap<(String, String), Weak<Cache<K>>>>;

/// The objects that are watched.
pub(crate) struct Objects {
    client: kube::Client,
    config_maps: Watched<ConfigMap>,
    secrets: Watched<Secret>,
    /// All trust bundles at once: who selects by signer needs to see which there are.
    bundles: Mutex<Weak<Cache<ClusterTrustBundle>>>,
}

/// One object that is watched while this is held.
#[derive(Clone)]
pub(crate) enum Held {
    ConfigMap(Arc<Cache<ConfigMap>>, String, String),
    Secret(Arc<Cache<Secret>>, String, String),
    Bundles(Arc<Cache<ClusterTrustBundle>>),
}

impl Objects {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { client, config_maps: Mutex::default(), secrets: Mutex::default(), bundles: Mutex::default() }
    }

    /// Watches a config map; returns once it is known whether it is there.
    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Held {
        let cache = self.cache(&self.config_maps, namespace, name);
        cache.synced().await;
        Held::ConfigMap(cache, namespace.into(), name.into())
    }

    /// Watches a secret; returns once it is known whether it is there.
    pub(crate) async fn secret(&self, namespace: &str, name: &str) -> Held {
        let cache = self.cache(&self.secrets, namespace, name);
        cache.synced().await;
        Held::Secret(cache, namespace.into(), name.into())
    }

    /// Watches the trust bundles; returns once it is known which there are.
    pub(crate) async fn bundles(&self) -> Arc<Cache<ClusterTrustBundle>> {
        let cache = {
            let mut known = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
            known.upgrade().unwrap_or_else(|| {
                let cache = Cache::start(self.client.clone(), Options::default());
                *known = Arc::downgrade(&cache);
                cache
            })
        };
        cache.synced().await;
        cache
    }

    fn cache<K: Cached>(&self, all: &Watched<K>, namespace: &str, name: &str) -> Arc<Cache<K>> {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(cache) = all.get(&key).and_then(Weak::upgrade) {
            return cache;
        }
        all.retain(|_, cache| cache.strong_count() > 0);
        let options =
            Options { namespace: Some(namespace.into()), fields: format!("metadata.name={name}"), ..Options::default() };
        let cache = Cache::start(self.client.clone(), options);
        all.insert(key, Arc::downgrade(&cache));
        cache
    }
}

impl Held {
    /// What it holds now; none when it is not there.
    pub(crate) fn get(&self) -> Option<Found> {
        match self {
            Self::ConfigMap(cache, namespace, name) => cache.find(namespace, name).map(|map| of_config_map(&map)),
            Self::Secret(cache, namespace, name) => cache.find(namespace, name).map(|secret| of_secret(&secret)),
            Self::Bundles(_) => None,
        }
    }

    /// Its state now, then every change.
    pub(crate) fn changes(&self) -> BoxStream<'static, ()> {
        match self {
            Self::ConfigMap(cache, ..) => Box::pin(cache.changes().map(drop)),
            Self::Secret(cache, ..) => Box::pin(cache.changes().map(drop)),
            Self::Bundles(cache) => Box::pin(cache.changes().map(drop)),
        }
    }
}

fn of_config_map(map: &ConfigMap) -> Found {
    let text = map.data.iter().flatten().map(|(key, text)| (key.clone(), text.clone().into_bytes()));
    let bytes = map.binary_data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
    Found { data: text.chain(bytes).collect(), kind: String::new() }
}

fn of_secret(secret: &Secret) -> Found {
    let data = secret.data.iter().flatten().map(|(key, bytes)| (key.clone(), bytes.0.clone()));
    Found { data: data.collect(), kind: secret.type_.clone().unwrap_or_default() }
}

impl Held {
    /// Whether both are the same watch.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ConfigMap(own, ..), Self::ConfigMap(other, ..)) => Arc::ptr_eq(own, other),
            (Self::Secret(own, ..), Self::Secret(other, ..)) => Arc::ptr_eq(own, other),
            (Self::Bundles(own), Self::Bundles(other)) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

//! One cache a kind and process: whoever needs a kind shares what there is.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::future::{BoxFuture, join_all};

use super::{Cache, Cached, Options};

/// The caches of a process, begun when they are first asked for. Clones are the same caches.
#[derive(Clone)]
pub struct Caches(Arc<Inner>);

struct Inner {
    client: kube::Client,
    caches: Mutex<HashMap<TypeId, Entry>>,
}

struct Entry {
    cache: Arc<dyn Any + Send + Sync>,
    synced: fn(Arc<dyn Any + Send + Sync>) -> BoxFuture<'static, ()>,
}

impl Caches {
    /// No caches yet; `client` will list and watch for them.
    pub fn new(client: kube::Client) -> Self {
        Self(Arc::new(Inner { client, caches: Mutex::new(HashMap::new()) }))
    }

    /// The cache of all objects of a kind.
    pub fn get<K: Cached>(&self) -> Arc<Cache<K>> {
        self.get_with(Options::default())
    }

    /// The cache of a kind; `options` hold if it is not there yet.
    pub fn get_with<K: Cached>(&self, options: Options<K>) -> Arc<Cache<K>> {
        let mut caches = self.caches();
        let entry = caches.entry(TypeId::of::<K>()).or_insert_with(|| Entry {
            cache: Cache::start(self.0.client.clone(), options),
            synced: |cache| {
                Box::pin(async move {
                    if let Ok(cache) = cache.downcast::<Cache<K>>() {
                        cache.synced().await;
                    }
                })
            },
        });
        let cache = Arc::clone(&entry.cache);
        drop(caches);
        cache.downcast().unwrap_or_else(|_| unreachable!("a cache stands under its own type"))
    }

    /// A cache of some objects of a kind, for one who needs no others: listed under the same name, shared with nobody.
    pub fn part<K: Cached>(&self, options: Options<K>) -> Arc<Cache<K>> {
        Cache::start(self.0.client.clone(), options)
    }

    /// Waits until the first list of every cache is in.
    pub async fn synced(&self) {
        let waiting: Vec<_> = self.caches().values().map(|entry| (entry.synced)(Arc::clone(&entry.cache))).collect();
        join_all(waiting).await;
    }

    fn caches(&self) -> MutexGuard<'_, HashMap<TypeId, Entry>> {
        self.0.caches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

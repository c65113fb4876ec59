//! What the API holds of a kind, kept up to date by its events. Owns shared snapshots of objects, their indexes, and how far they reach.
//!
//! Never writes to the API, and never hands out an object that someone may change.

mod contents;
mod registry;

use std::{
    any::type_name,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use futures::Stream;
use kube::Resource;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use crate::{
    Key,
    feed::{self, Event, Form, Source},
};
use contents::Contents;
pub use registry::Caches;

/// How long a cache may be behind a write before whoever waits for it is told so.
const BEHIND_MAX: Duration = Duration::from_secs(10);

/// What may be cached.
pub trait Cached: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + Sync + 'static {}
impl<K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + Sync + 'static> Cached for K {}

/// What of a kind is cached, and of each object.
pub struct Options<K> {
    /// One namespace alone.
    pub namespace: Option<String>,
    /// A label selector, or nothing.
    pub labels: String,
    /// A field selector, or nothing.
    pub fields: String,
    /// Drops from each object what nobody needs; `managedFields` are dropped anyway.
    pub project: fn(&mut K),
}

impl<K> Default for Options<K> {
    fn default() -> Self {
        Self { namespace: None, labels: String::new(), fields: String::new(), project: |_| {} }
    }
}

/// A change of an object.
#[derive(Debug)]
pub struct Change<K> {
    /// Which object.
    pub key: Key,
    /// What it was; `None` when it is new.
    pub old: Option<Arc<K>>,
    /// What it is; `None` when it is gone.
    pub new: Option<Arc<K>>,
}

impl<K> Clone for Change<K> {
    fn clone(&self) -> Self {
        Self { key: self.key.clone(), old: self.old.clone(), new: self.new.clone() }
    }
}

impl<K> Change<K> {
    /// The object as it is, or as it was last.
    pub fn latest(&self) -> Option<&Arc<K>> {
        self.new.as_ref().or(self.old.as_ref())
    }

    /// What it was and what it is, whichever there are.
    pub fn both(&self) -> impl Iterator<Item = &Arc<K>> {
        self.old.iter().chain(self.new.iter())
    }
}

/// The cache did not see a write in time; its watch is broken or slow.
#[derive(Debug, thiserror::Error)]
#[error("the cache of {kind} is behind a write")]
pub struct Behind {
    kind: &'static str,
}

type Handler<K> = Box<dyn FnMut(&Change<K>) -> bool + Send>;

/// The objects of a kind. Ends its watch when it is dropped.
pub struct Cache<K: Cached> {
    shared: Arc<Shared<K>>,
    task: AbortHandle,
}

struct Shared<K> {
    contents: RwLock<Contents<K>>,
    handlers: Mutex<Vec<Handler<K>>>,
    /// Zero until the first list is in.
    revision: watch::Sender<u64>,
}

impl<K: Cached> Drop for Cache<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K: Cached> Cache<K> {
    /// Begins to list and watch. Must be called within a tokio runtime.
    pub fn start(client: kube::Client, options: Options<K>) -> Arc<Self> {
        let source = Source {
            labels: options.labels,
            fields: options.fields,
            form: Form::Whole,
            ..Source::of::<K>(client, &(), options.namespace.as_deref())
        };
        let shared = Arc::new(Shared {
            contents: RwLock::new(Contents::default()),
            handlers: Mutex::new(Vec::new()),
            revision: watch::Sender::new(0),
        });
        let project = options.project;
        let keep = move |object: &mut K| {
            object.meta_mut().managed_fields = None;
            project(object);
        };
        let told = Arc::clone(&shared);
        let task = tokio::spawn(feed::follow(source, keep, move |event| told.take(event)));
        Arc::new(Self { shared, task: task.abort_handle() })
    }

    /// The object of a key.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read(|contents| contents.get(key))
    }

    /// The object `name` in `namespace`, which is empty at cluster scope.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.get(&Key::new(namespace, name))
    }

    /// All objects, by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.read(|contents| contents.objects().values().cloned().collect())
    }

    /// The objects of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read(|contents| contents.in_namespace(namespace))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read(|contents| contents.objects().len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds objects by something that is read from each, such as the node of a pod. One index is made for a name, whoever asks first.
    pub fn index(self: &Arc<Self>, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) -> Index<K> {
        let mut contents = self.shared.contents.write().unwrap_or_else(PoisonError::into_inner);
        Index { place: contents.index(name, Box::new(values)), cache: Arc::clone(self) }
    }

    /// Finds objects by the uid of the owner that controls them; those that nobody controls by [`uncontrolled`] and their namespace.
    pub fn by_controller(self: &Arc<Self>) -> Index<K> {
        self.index("controller", |object| {
            let meta = object.meta();
            let owners = meta.owner_references.iter().flatten();
            let controller = owners.filter(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone()).next();
            vec![controller.unwrap_or_else(|| uncontrolled(meta.namespace.as_deref().unwrap_or_default()))]
        })
    }

    /// Finds objects by the value of a label.
    pub fn by_label(self: &Arc<Self>, label: &'static str) -> Index<K> {
        self.index(label, move |object| {
            object.meta().labels.iter().flatten().filter(|(name, _)| *name == label).map(|(_, v)| v.clone()).collect()
        })
    }

    /// Calls `handler` for every object that is there, then for every change. It must be quick, and must not ask this cache for more handlers.
    pub fn on_change(&self, mut handler: impl FnMut(&Change<K>) + Send + 'static) {
        self.shared.subscribe(Box::new(move |change| {
            handler(change);
            true
        }));
    }

    /// Every object that is there, then every change, as a stream.
    pub fn changes(&self) -> impl Stream<Item = Change<K>> + Send + Unpin + use<K> {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        self.shared.subscribe(Box::new(move |change| sender.send(change.clone()).is_ok()));
        futures::stream::poll_fn(move |context| receiver.poll_recv(context))
    }

    /// Waits until the first list is in.
    pub async fn synced(&self) {
        // The sender lives as long as the cache.
        let _ = self.shared.revision.subscribe().wait_for(|revision| *revision > 0).await;
    }

    /// The resourceVersion that the cache has reached; zero before the first list.
    pub fn revision(&self) -> u64 {
        *self.shared.revision.borrow()
    }

    /// Waits until the cache has seen what was written as `written`, the answer to a create, an update or a patch.
    ///
    /// # Errors
    /// When that takes unusually long.
    pub async fn caught_up(&self, written: &K) -> Result<(), Behind> {
        let revision = feed::parse_revision(written.meta().resource_version.as_deref());
        self.reached(revision).await
    }

    /// Waits until the cache has reached a resourceVersion, which must be that of an object which it holds.
    ///
    /// # Errors
    /// When that takes unusually long.
    pub async fn reached(&self, revision: u64) -> Result<(), Behind> {
        self.wait(|_, reached| reached >= revision).await
    }

    /// Waits until the object with this uid is gone from the cache, or marked as being deleted.
    ///
    /// # Errors
    /// When that takes unusually long.
    pub async fn forgotten(&self, key: &Key, uid: &str) -> Result<(), Behind> {
        let lives = |object: &Arc<K>| object.meta().uid.as_deref() == Some(uid) && object.meta().deletion_timestamp.is_none();
        self.wait(|cache, _| !cache.get(key).is_some_and(|object| lives(&object))).await
    }

    async fn wait(&self, done: impl Fn(&Self, u64) -> bool) -> Result<(), Behind> {
        let mut revision = self.shared.revision.subscribe();
        let waited = tokio::time::timeout(BEHIND_MAX, revision.wait_for(|revision| done(self, *revision))).await;
        waited.map(|_| ()).map_err(|_| Behind { kind: type_name::<K>() })
    }

    fn read<T>(&self, read: impl FnOnce(&Contents<K>) -> T) -> T {
        read(&self.shared.contents.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The value in [`Cache::by_controller`] of the objects of a namespace that nobody controls.
pub fn uncontrolled(namespace: &str) -> String {
    format!("nobody/{namespace}")
}

impl<K: Cached> Shared<K> {
    /// Takes an event over: contents first, then handlers, then the revision, so that whoever waits for a revision finds both done.
    fn take(&self, event: Event<K>) {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, revision) = {
            let mut contents = self.contents.write().unwrap_or_else(PoisonError::into_inner);
            match event {
                Event::Replaced(objects, revision) => (contents.replace(objects), revision),
                Event::Applied(object, revision) => (vec![contents.put(object)], revision),
                Event::Deleted(object, revision) => (contents.remove(&Key::of(&object)).into_iter().collect(), revision),
                Event::Reached(revision) => (Vec::new(), revision),
            }
        };
        for change in &changes {
            handlers.retain_mut(|handler| handler(change));
        }
        drop(handlers);
        self.revision.send_replace(revision.max(1));
    }

    fn subscribe(&self, mut handler: Handler<K>) {
        let mut handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let objects = self.contents.read().unwrap_or_else(PoisonError::into_inner).objects().clone();
        let alive = objects.into_iter().all(|(key, object)| handler(&Change { key, old: None, new: Some(object) }));
        if alive {
            handlers.push(handler);
        }
    }
}

/// Finds the objects of a cache by something that is read from each.
pub struct Index<K: Cached> {
    cache: Arc<Cache<K>>,
    place: usize,
}

impl<K: Cached> Clone for Index<K> {
    fn clone(&self) -> Self {
        Self { cache: Arc::clone(&self.cache), place: self.place }
    }
}

impl<K: Cached> Index<K> {
    /// The objects with this value, by namespace and name.
    pub fn get(&self, value: &str) -> Vec<Arc<K>> {
        self.cache.read(|contents| contents.indexed(self.place, value))
    }

    /// How many objects have this value.
    pub fn count(&self, value: &str) -> usize {
        self.cache.read(|contents| contents.count(self.place, value))
    }
}

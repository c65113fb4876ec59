//! How controllers are started: what each is given, under which name it acts, and that one which fails comes back. Makes no choices.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use api::identity::Identity;
use client::{
    Cache, Caches, Key, Options, Queue,
    cache::Cached,
    events::Recorder,
    queue::{Backoff, pause},
    reconcile::{self, Counts, Next},
};
use futures::{FutureExt as _, future::BoxFuture};
use k8s_openapi::api::core::v1::Pod;
use tokio::task::JoinSet;

use crate::{CONTROLLERS, projection};

/// The name under which the caches list and watch.
const CACHES: &str = "kube-controller-manager";

/// What the controllers need to know of the cluster.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The certificate of the API server's authority, which every pod gets to see.
    pub root_ca_pem: String,
    /// How long a node may be silent before it counts as lost; upstream's 40 s when unset.
    pub node_grace: Option<Duration>,
}

/// The running of one controller; it ends only when it fails.
pub type Work = BoxFuture<'static, ()>;

/// A row of [`CONTROLLERS`].
pub struct Controller {
    /// Upstream's name.
    pub name: &'static str,
    /// Runs it. It must make all its caches, and register for their changes, before it waits for [`Wiring::synced`].
    pub run: fn(Wiring) -> Work,
}

/// What a controller is given.
#[derive(Clone)]
pub struct Wiring {
    /// Its own name.
    pub name: &'static str,
    /// The API, under that name.
    pub client: kube::Client,
    /// The caches that all controllers share.
    pub caches: Caches,
    /// What it needs to know of the cluster.
    pub settings: Arc<Settings>,
    counts: Arc<Counts>,
}

impl Wiring {
    /// The shared cache of a kind.
    pub fn cache<K: Cached>(&self) -> Arc<Cache<K>> {
        self.caches.get()
    }

    /// The shared cache of pods, without what no controller reads.
    pub fn pods(&self) -> Arc<Cache<Pod>> {
        self.caches.get_with(Options { project: projection::pod, ..Options::default() })
    }

    /// Waits until every cache that was asked for so far is filled.
    pub async fn synced(&self) {
        self.caches.synced().await;
    }

    /// Tells of events in the name of `component`, which upstream spells a little differently from the controller's name.
    pub fn recorder(&self, component: &str) -> Recorder {
        Recorder::new(self.client.clone(), component, "")
    }

    /// Adds the key of every object of a kind to a queue, now and whenever it changes or goes.
    pub fn enqueue_changes<K: Cached>(&self, cache: &Cache<K>, queue: &Queue<Key>) {
        let queue = queue.clone();
        cache.on_change(move |change| queue.add(change.key.clone()));
    }

    /// Hands the keys of a queue to `reconcile` once the caches are filled, for ever.
    pub async fn work<K, F, Run, E>(&self, queue: Queue<K>, workers: usize, reconcile: F)
    where
        K: Clone + Eq + std::hash::Hash + std::fmt::Debug + Send + Sync + 'static,
        F: Fn(K) -> Run,
        Run: Future<Output = Result<Next, E>> + Send + 'static,
        E: std::error::Error + 'static,
    {
        self.synced().await;
        reconcile::run(self.name, queue, workers, Arc::clone(&self.counts), reconcile).await;
    }
}

/// The running controllers; they end when it is dropped.
pub struct Handle {
    counts: Vec<(&'static str, Arc<Counts>)>,
    caches: Caches,
    _tasks: JoinSet<()>,
}

impl Handle {
    /// Waits until every cache is filled.
    pub async fn synced(&self) {
        self.caches.synced().await;
    }

    /// The caches that the controllers share.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    /// Of each controller: its name, how many keys it was handed, how many of these failed, and how many panicked.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64, u64, u64)> {
        self.counts.iter().map(|(name, counts)| {
            let [runs, errors, panics] =
                [&counts.runs, &counts.errors, &counts.panics].map(|count| count.load(Ordering::Relaxed));
            (*name, runs, errors, panics)
        })
    }
}

/// Who a controller of this name is to the API server.
pub fn identity(name: &str) -> Identity {
    if matches!(name, "kube-scheduler" | "kube-controller-manager") {
        return Identity::new(format!("system:{name}"), [api::identity::AUTHENTICATED]);
    }
    Identity::service_account("kube-system", name, "")
}

/// Starts every controller. `client_for` makes the client of the one with that name, acting as [`identity`] says.
/// Must be called within a tokio runtime.
pub fn start(client_for: impl Fn(&str) -> kube::Client, settings: Settings) -> Handle {
    start_some(client_for, settings, |_| true)
}

/// Starts the controllers whose name is chosen.
pub fn start_some(client_for: impl Fn(&str) -> kube::Client, settings: Settings, chosen: impl Fn(&str) -> bool) -> Handle {
    let caches = Caches::new(client_for(CACHES));
    let settings = Arc::new(settings);
    let mut tasks = JoinSet::new();
    let mut all = Vec::new();
    for controller in CONTROLLERS.iter().filter(|controller| chosen(controller.name)) {
        let counts = Arc::new(Counts::default());
        all.push((controller.name, Arc::clone(&counts)));
        let wiring = Wiring {
            name: controller.name,
            client: client_for(controller.name),
            caches: caches.clone(),
            settings: Arc::clone(&settings),
            counts,
        };
        tasks.spawn(keep_running(wiring, controller.run));
    }
    Handle { counts: all, caches, _tasks: tasks }
}

/// A controller that ends or panics comes back, so that one which is broken harms no other.
async fn keep_running(wiring: Wiring, run: fn(Wiring) -> Work) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        let work = wiring.clone();
        let ended = AssertUnwindSafe(async move { run(work).await }).catch_unwind().await;
        tracing::error!(controller = wiring.name, panicked = ended.is_err(), "a controller ended");
        pause(backoff.next()).await;
    }
}

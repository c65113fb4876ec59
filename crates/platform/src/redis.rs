//! Redis Clusters: a `RedisCluster` becomes servers on pods and disks of their own, spread over the nodes, and stays whole.
//!
//! What to do is decided in `decide::redis_slots`; here it is observed and carried out. Wakes by events: of the API, and of connections to
//! servers that break. Only while something is not as it should be are the servers asked again and again.

mod act;
mod client;
pub mod kinds;
mod objects;
mod observe;
mod status;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::client::{
    Cache, Index, Key, Options, Queue,
    cache::Cached,
    events::Recorder,
    reconcile::{self, Counts, Next},
};
use decide::redis_slots::{Seat, Shape, Wait, check_plan, plan, upkeep};
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Secret};
use kube::{Api, ResourceExt as _};

use crate::{
    apply::ApplyError,
    part::{Controller, Part, Right, Wiring},
};
use client::{PATIENCE, Servers};
use kinds::RedisCluster;

/// This part.
pub const PART: Part = Part {
    name: "redis",
    kinds: kinds::definitions,
    rights: &[
        Right { group: kinds::GROUP, resources: &["redisclusters"], verbs: &["get", "list", "watch"] },
        Right { group: kinds::GROUP, resources: &["redisclusters/status"], verbs: &["get", "patch", "update"] },
        // Who owns an object with blockOwnerDeletion must be one that the writer could hold back.
        Right { group: kinds::GROUP, resources: &["redisclusters/finalizers"], verbs: &["update"] },
        Right { group: "", resources: &["pods", "persistentvolumeclaims"], verbs: &["get", "list", "watch", "create", "delete"] },
        Right { group: "", resources: &["nodes"], verbs: &["get", "list", "watch"] },
        Right { group: "", resources: &["secrets"], verbs: &["get"] },
        Right { group: "", resources: &["configmaps", "services"], verbs: &["get", "create", "patch"] },
        Right { group: "", resources: &["events"], verbs: &["create", "patch"] },
        Right { group: "policy", resources: &["poddisruptionbudgets"], verbs: &["get", "create", "patch"] },
        Right { group: "networking.k8s.io", resources: &["networkpolicies"], verbs: &["get", "create", "patch"] },
    ],
    controllers: &[Controller { name: NAME, run }],
};

const NAME: &str = "redis-controller";
/// How soon the servers are asked again after they were told something, and how late at most while something is waited for.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A cluster that is as it should be is looked at this often: a failover inside of Redis that broke no connection of ours is no event.
const RESYNC: Duration = Duration::from_secs(30);

impl RedisCluster {
    /// Shards and replicas.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape { shards: self.spec.shards, replicas: self.spec.replicas }
    }
}

/// What the controller holds.
struct Operator {
    client: kube::Client,
    clusters: Arc<Cache<RedisCluster>>,
    pod_cache: Arc<Cache<Pod>>,
    pods: Index<Pod>,
    claim_cache: Arc<Cache<PersistentVolumeClaim>>,
    claims: Index<PersistentVolumeClaim>,
    nodes: Arc<Cache<Node>>,
    servers: Servers,
    recorder: Recorder,
    queue: Queue<Key>,
    memories: Mutex<HashMap<Key, Memory>>,
}

/// What is remembered of a cluster between two looks; nothing that a restart may not lose.
#[derive(Default)]
struct Memory {
    away_since: BTreeMap<Seat, Timestamp>,
    /// The generation whose shared objects were made.
    shared: Option<i64>,
    again: Duration,
    /// Who was told to become master, and when.
    told: Option<(Seat, Timestamp)>,
}

impl Memory {
    /// Notes whether a member answers; since when it does not.
    fn away(&mut self, seat: Seat, answers: bool, now: Timestamp) -> Option<Timestamp> {
        if answers {
            self.away_since.remove(&seat);
            return None;
        }
        Some(*self.away_since.entry(seat).or_insert(now))
    }

    /// How long a member may take to accept a connection. One that was away holds up a look no longer than the pause before it.
    fn patience(&self, seat: Seat) -> Duration {
        if self.away_since.contains_key(&seat) { self.again.clamp(AGAIN.0, PATIENCE) } else { PATIENCE }
    }

    /// When to look again: soon after something was done and while a shard takes no writes, later and later while nothing happens.
    fn next(&mut self, settled: bool, hurry: bool) -> Next {
        if settled {
            self.again = AGAIN.0;
            return Next::After(RESYNC);
        }
        self.again = if hurry { AGAIN.0 } else { (self.again + self.again / 2).clamp(AGAIN.0, AGAIN.1) };
        Next::After(self.again)
    }
}

fn run(wiring: Wiring) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let operator = Arc::new(Operator::new(&wiring));
        operator.wake_on_changes();
        wiring.caches.synced().await;
        operator.pod_cache.synced().await;
        operator.claim_cache.synced().await;
        let queue = operator.queue.clone();
        let work = move |key: Key| {
            let operator = Arc::clone(&operator);
            async move { operator.reconcile(&key).await }
        };
        reconcile::run(NAME, queue, 4, Arc::new(Counts::default()), work).await;
    })
}

impl Operator {
    fn new(wiring: &Wiring) -> Self {
        // Only what belongs to some cluster.
        let pod_cache =
            Cache::start(wiring.client.clone(), Options { labels: objects::CLUSTER.to_owned(), ..Options::default() });
        let claim_cache =
            Cache::start(wiring.client.clone(), Options { labels: objects::CLUSTER.to_owned(), ..Options::default() });
        Self {
            client: wiring.client.clone(),
            clusters: wiring.caches.get(),
            pods: pod_cache.index("cluster", |pod: &Pod| cluster_of(pod).iter().map(ToString::to_string).collect()),
            claims: claim_cache
                .index("cluster", |claim: &PersistentVolumeClaim| cluster_of(claim).iter().map(ToString::to_string).collect()),
            pod_cache,
            claim_cache,
            nodes: wiring.caches.get_with(Options { project: project_node, ..Options::default() }),
            servers: Servers::default(),
            recorder: Recorder::new(wiring.client.clone(), NAME, ""),
            queue: Queue::new(),
            memories: Mutex::default(),
        }
    }

    fn wake_on_changes(self: &Arc<Self>) {
        let queue = self.queue.clone();
        // Its own status is no news.
        self.clusters.on_change(move |change| {
            let generation = |cluster: &Option<Arc<RedisCluster>>| {
                cluster.as_ref().map(|cluster| (cluster.uid(), cluster.metadata.generation))
            };
            if generation(&change.old) != generation(&change.new) {
                queue.add(change.key.clone());
            }
        });
        wake_owner(&self.pod_cache, &self.queue);
        wake_owner(&self.claim_cache, &self.queue);
        let (queue, clusters) = (self.queue.clone(), Arc::clone(&self.clusters));
        self.nodes.on_change(move |change| {
            let open = |node: &Option<Arc<Node>>| {
                node.as_ref().map(|node| observe::nodes(std::slice::from_ref(node), Timestamp::MIN).open)
            };
            if open(&change.old) != open(&change.new) {
                clusters.list().iter().for_each(|cluster| queue.add(Key::of(&**cluster)));
            }
        });
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, ApplyError> {
        let Some(cluster) = self.clusters.get(key).filter(|cluster| cluster.metadata.deletion_timestamp.is_none()) else {
            self.memories().remove(key);
            self.drop_connections();
            return Ok(Next::OnChange);
        };
        let Some(password) = self.password(&cluster).await? else {
            let secret = &cluster.spec.password_secret;
            let message = format!("the Secret {} with the key {} is missing", secret.name, secret.key);
            status::write(self, &cluster, status::held_up(&cluster, "PasswordMissing", &message)).await?;
            return Ok(Next::After(AGAIN.1));
        };
        if self.memory(key, |memory| memory.shared) != cluster.metadata.generation {
            act::ensure_shared(self, &cluster).await?;
            self.memory(key, |memory| memory.shared = cluster.metadata.generation);
        }
        self.drop_connections();
        let observed = observe::observe(self, key, &cluster, &password).await;
        let plan = plan(&observed.snapshot);
        debug_assert_eq!(check_plan(&observed.snapshot, &plan), Vec::<String>::new());
        let nodes = observe::nodes(&self.nodes.list(), observed.snapshot.now);
        let (work, waits) = upkeep(cluster.shape(), &nodes, &observed.berths, plan.is_settled());
        act::keep_up(self, &cluster, &observed, &work).await?;
        act::carry_out(self, key, &cluster, &observed, &plan, &password).await;
        let made: Vec<Wait> = work.iter().map(|upkeep| Wait { reason: "Acting", message: format!("{upkeep:?}") }).collect();
        let waits = [made, waits].concat();
        status::write(self, &cluster, status::status(&cluster, &observed, &plan, &waits)).await?;
        let hurry = !plan.steps.is_empty() || !work.is_empty() || plan.is_failing_over();
        Ok(self.memory(key, |memory| memory.next(plan.is_settled() && waits.is_empty(), hurry)))
    }

    async fn password(&self, cluster: &RedisCluster) -> Result<Option<String>, ApplyError> {
        let wanted = &cluster.spec.password_secret;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &cluster.namespace().unwrap_or_default());
        let read = |source| ApplyError::Read { what: format!("Secret {}", wanted.name), source };
        let secret = secrets.get_opt(&wanted.name).await.map_err(read)?;
        let data = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(&wanted.key));
        Ok(data.and_then(|bytes| String::from_utf8(bytes.0).ok()).map(|text| text.trim_end().to_owned()))
    }

    /// Connections to pods that are gone are of no use.
    fn drop_connections(&self) {
        let pods = self.pod_cache.list();
        self.servers.keep(|address| {
            pods.iter().any(|pod| pod.status.as_ref().is_some_and(|status| status.pod_ip.as_ref() == Some(&address.ip)))
        });
    }

    fn memory<T>(&self, key: &Key, with: impl FnOnce(&mut Memory) -> T) -> T {
        with(self.memories().entry(key.clone()).or_default())
    }

    fn memories(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Memory>> {
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cluster that an object's label names.
fn cluster_of(object: &impl kube::Resource) -> Option<Key> {
    let meta = object.meta();
    Some(Key::new(meta.namespace.as_deref()?, meta.labels.as_ref()?.get(objects::CLUSTER)?))
}

fn wake_owner<K: Cached>(cache: &Cache<K>, queue: &Queue<Key>) {
    let queue = queue.clone();
    cache.on_change(move |change| {
        if let Some(key) = change.latest().and_then(|object| cluster_of(&**object)) {
            queue.add(key);
        }
    });
}

/// Images and the like are of no interest here.
fn project_node(node: &mut Node) {
    if let Some(status) = &mut node.status {
        status.images = None;
    }
}

//! Objects go after their owners, in every kind that the API has. What goes is judged by `decide::garbage`; this feeds its graph with the metadata of
//! all objects and acts on its verdicts, each on the object as it is right now.

mod act;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use client::{
    Queue,
    feed::{self, Event, Form, Revisioned, Source},
    queue::{Backoff, pause},
    reconcile::Next,
};
use decide::garbage::{Graph, Uid};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use crate::{
    apply::ApplyError,
    discovery::{Resource, discover},
    wiring::{Wiring, Work},
};

/// Kinds that own nothing, are owned by nothing, and are many.
const IGNORED: &[(&str, &str)] = &[("", "events"), ("events.k8s.io", "events")];

/// How long after its definition a kind may come to be served, and when that is looked for first; each later look waits twice as long.
const AWAITED_MAX: Duration = Duration::from_secs(10);
const AWAITED_FIRST: Duration = Duration::from_millis(5);

/// What waits to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Job {
    /// Find out which kinds there are.
    Discover,
    /// Judge an object.
    Judge(Uid),
}

/// An object, as far as it matters here.
#[derive(Clone, Deserialize)]
struct Object {
    metadata: ObjectMeta,
}

impl Revisioned for Object {
    fn revision(&self) -> u64 {
        feed::parse_revision(self.metadata.resource_version.as_deref())
    }
}

struct Collector {
    client: kube::Client,
    queue: Queue<Job>,
    graph: Mutex<Graph>,
    kinds: Mutex<Kinds>,
    awaited: Mutex<Awaited>,
    /// Dependents of owners whose kind was not served when they were judged.
    unsettled: Mutex<HashSet<Uid>>,
}

/// Custom kinds whose definition came or went, and that discovery does not show, or still shows: the server tells of a definition before it serves it.
#[derive(Default)]
struct Awaited {
    /// By the name of the definition: whether it is to be served.
    kinds: HashMap<String, bool>,
    since: Option<Instant>,
}

/// The kinds that are followed. Their numbers are never used twice.
#[derive(Default)]
struct Kinds {
    all: Vec<Arc<Resource>>,
    followed: HashMap<String, Feed>,
}

struct Feed {
    kind: u16,
    task: AbortHandle,
    filled: watch::Receiver<bool>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let queue = Queue::new();
        let collector = Arc::new(Collector {
            client: wiring.client.clone(),
            queue: queue.clone(),
            graph: Mutex::default(),
            kinds: Mutex::default(),
            awaited: Mutex::default(),
            unsettled: Mutex::default(),
        });
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(10));
        while let Err(error) = collector.discover().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "the kinds are not known yet");
            pause(backoff.next()).await;
        }
        // A dependent that is not known yet would be left behind when its owner is let go.
        let mut filled: Vec<_> = lock(&collector.kinds).followed.values().map(|feed| feed.filled.clone()).collect();
        for filled in &mut filled {
            let _ = filled.wait_for(|filled| *filled).await;
        }
        wiring.work(queue, 20, move |job| reconcile(Arc::clone(&collector), job)).await;
    })
}

async fn reconcile(collector: Arc<Collector>, job: Job) -> Result<Next, ApplyError> {
    match job {
        Job::Discover => collector.discover().await,
        Job::Judge(uid) => collector.judge(uid).await.map(|()| Next::OnChange),
    }
}

impl Collector {
    /// Follows kinds that are new, and forgets those that are gone with all their objects.
    async fn discover(self: &Arc<Self>) -> Result<Next, ApplyError> {
        let found = discover(&self.client).await.map_err(ApplyError::read("the kinds"))?;
        let next = lock(&self.awaited).met_by(&found);
        let mut wanted = found
            .into_iter()
            .filter(|resource| ["list", "watch", "delete"].iter().all(|verb| resource.has(verb)))
            .collect::<Vec<_>>();
        wanted.retain(|resource| !IGNORED.iter().any(|(group, plural)| resource.is(group, plural)));
        let mut kinds = lock(&self.kinds);
        let gone: Vec<_> =
            kinds.followed.keys().filter(|path| !wanted.iter().any(|resource| resource.path("") == **path)).cloned().collect();
        for path in gone {
            if let Some(feed) = kinds.followed.remove(&path) {
                let uids = self.graph().of_kind(feed.kind);
                self.gone(uids);
            }
        }
        let known = kinds.followed.len();
        for resource in wanted {
            let path = resource.path("");
            if kinds.followed.contains_key(&path) {
                continue;
            }
            let Ok(kind) = u16::try_from(kinds.all.len()) else { break };
            let resource = Arc::new(resource);
            kinds.all.push(Arc::clone(&resource));
            kinds.followed.insert(path.clone(), self.follow(kind, path, &resource));
        }
        if kinds.followed.len() > known {
            self.enqueue(std::mem::take(&mut *lock(&self.unsettled)));
        }
        Ok(next)
    }

    fn follow(self: &Arc<Self>, kind: u16, path: String, resource: &Resource) -> Feed {
        let source =
            Source { client: self.client.clone(), path, labels: String::new(), fields: String::new(), form: Form::Metadata };
        let defines_kinds = resource.is("apiextensions.k8s.io", "customresourcedefinitions");
        let (sender, filled) = watch::channel(false);
        let collector = Arc::downgrade(self);
        let take = move |event: Event<Object>| {
            let Some(collector) = collector.upgrade() else { return };
            if defines_kinds {
                lock(&collector.awaited).note(&event);
                collector.queue.add(Job::Discover);
            }
            collector.take(kind, event);
            sender.send_if_modified(|filled| !std::mem::replace(filled, true));
        };
        let keep = |object: &mut Object| {
            object.metadata.managed_fields = None;
            object.metadata.annotations = None;
            object.metadata.labels = None;
        };
        Feed { kind, task: tokio::spawn(feed::follow(source, keep, take)).abort_handle(), filled }
    }

    fn take(&self, kind: u16, event: Event<Object>) {
        match event {
            Event::Applied(object, _) => {
                let judge = self.graph().put(kind, &object.metadata);
                self.enqueue(judge);
            }
            Event::Deleted(object, _) => self.gone(object.metadata.uid.as_deref().map(Uid::parse)),
            Event::Replaced(objects, _) => {
                let mut gone: HashSet<_> = self.graph().of_kind(kind).into_iter().collect();
                for object in objects {
                    if let Some(uid) = object.metadata.uid.as_deref() {
                        gone.remove(&Uid::parse(uid));
                    }
                    let judge = self.graph().put(kind, &object.metadata);
                    self.enqueue(judge);
                }
                self.gone(gone);
            }
            Event::Reached(_) => {}
        }
    }

    fn gone(&self, uids: impl IntoIterator<Item = Uid>) {
        for uid in uids {
            let judge = self.graph().remove(uid);
            self.enqueue(judge);
        }
    }

    fn enqueue(&self, uids: impl IntoIterator<Item = Uid>) {
        for uid in uids {
            self.queue.add(Job::Judge(uid));
        }
    }

    fn graph(&self) -> MutexGuard<'_, Graph> {
        lock(&self.graph)
    }

    fn kind(&self, number: u16) -> Option<Arc<Resource>> {
        lock(&self.kinds).all.get(usize::from(number)).cloned()
    }

    /// The resource that an owner reference means, among those that are served now.
    fn kind_of(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let kinds = lock(&self.kinds);
        let mut served = kinds.followed.values().filter_map(|feed| kinds.all.get(usize::from(feed.kind)));
        served.find(|resource| resource.group == group && resource.kind == kind).cloned()
    }
}

impl Awaited {
    fn note(&mut self, event: &Event<Object>) {
        let name = |object: &Object| object.metadata.name.clone().unwrap_or_default();
        match event {
            Event::Replaced(objects, _) => self.kinds.extend(objects.iter().map(|object| (name(object), true))),
            Event::Applied(object, _) => drop(self.kinds.insert(name(object), true)),
            Event::Deleted(object, _) => drop(self.kinds.insert(name(object), false)),
            Event::Reached(_) => return,
        }
        self.since = Some(Instant::now());
    }

    /// Forgets what these resources show; says when to look for the rest. A definition that is refused is never served, so that the wait has an end.
    fn met_by(&mut self, found: &[Resource]) -> Next {
        let served = |name: &str| found.iter().any(|resource| format!("{}.{}", resource.plural, resource.group) == name);
        self.kinds.retain(|name, wanted| served(name) != *wanted);
        match self.since.map(|since| since.elapsed()) {
            Some(waited) if !self.kinds.is_empty() && waited < AWAITED_MAX => Next::After(waited.max(AWAITED_FIRST)),
            _ => {
                self.kinds.clear();
                Next::OnChange
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A namespace that is being deleted is emptied, pods first, then everything else; when nothing is left, it is let go.
//!
//! What remains (pods with a grace period, objects with finalizers) is watched until it is gone, so that nobody asks again and again.

mod content;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use client::{Cache, Key, Queue, reconcile::Next};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Namespace, NamespaceCondition, NamespaceStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{Api, api::PostParams};
use tokio::task::AbortHandle;

use crate::{
    apply::{self, ApplyError},
    discovery::{Resource, discover},
    wiring::{Wiring, Work},
};
use content::Remains;

const FINALIZER: &str = "kubernetes";

struct Controller {
    client: kube::Client,
    namespaces: Arc<Cache<Namespace>>,
    queue: Queue<Key>,
    watched: Mutex<HashMap<Key, AbortHandle>>,
}

/// The controller.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let namespaces = wiring.cache::<Namespace>();
        let queue = Queue::new();
        let ending = queue.clone();
        namespaces.on_change(move |change| {
            if change.new.as_ref().is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
                ending.add(change.key.clone());
            }
        });
        let controller =
            Arc::new(Controller { client: wiring.client.clone(), namespaces, queue: queue.clone(), watched: Mutex::default() });
        wiring.work(queue, 10, move |key| reconcile(Arc::clone(&controller), key)).await;
    })
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    controller.stop_watching(&key);
    let Some(namespace) = controller.namespaces.get(&key) else { return Ok(Next::OnChange) };
    let waits = namespace.spec.iter().flat_map(|spec| spec.finalizers.iter().flatten()).any(|finalizer| finalizer == FINALIZER);
    if namespace.metadata.deletion_timestamp.is_none() || !waits {
        return Ok(Next::OnChange);
    }
    let mut resources = discover(&controller.client).await.map_err(ApplyError::read("the kinds"))?;
    resources.retain(|resource| resource.namespaced && resource.has("delete") && resource.has("list"));
    let (pods, others): (Vec<_>, Vec<_>) = resources.into_iter().partition(|resource| resource.is("", "pods"));
    // Pods go first, so that whatever they need (network rules, secrets, volumes) is there until their end.
    let mut remains = content::empty(&controller.client, key.name(), &pods).await;
    if remains.is_empty() {
        remains = content::empty(&controller.client, key.name(), &others).await;
    }
    let namespace = controller.report(&namespace, &remains).await?;
    if let Some(error) = remains.error {
        return Err(error);
    }
    if remains.objects.is_empty() {
        controller.let_go(&namespace).await?;
    } else {
        controller.watch(key, remains.objects.into_iter().map(|(resource, _)| resource));
    }
    Ok(Next::OnChange)
}

impl Controller {
    fn stop_watching(&self, key: &Key) {
        if let Some(task) = self.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(key) {
            task.abort();
        }
    }

    /// Comes back when none of these resources has an object left.
    fn watch(&self, key: Key, resources: impl Iterator<Item = Resource>) {
        let (client, queue, waiting) = (self.client.clone(), self.queue.clone(), key.clone());
        let resources: Vec<_> = resources.collect();
        let task = tokio::spawn(async move {
            let gone = resources.iter().map(|resource| content::gone(&client, waiting.name(), resource));
            futures::future::join_all(gone).await;
            queue.add(waiting);
        });
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(key, task.abort_handle());
    }

    /// Writes how far the deletion has come, if that changed.
    async fn report(&self, namespace: &Namespace, remains: &Remains) -> Result<Namespace, ApplyError> {
        let mut status = namespace.status.clone().unwrap_or_default();
        status.phase = Some("Terminating".to_owned());
        for (kind, (failed, reason, message)) in conditions(remains) {
            put(&mut status, kind, failed, reason, message);
        }
        if Some(&status) == namespace.status.as_ref() {
            return Ok(namespace.clone());
        }
        let told = Namespace { status: Some(status), ..namespace.clone() };
        let api: Api<Namespace> = Api::all(self.client.clone());
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let written = api.replace_status(name, &PostParams::default(), &told).await;
        let written = written.map_err(ApplyError::write("the state of a namespace"))?;
        self.namespaces.caught_up(&written).await?;
        Ok(written)
    }

    /// Takes our finalizer away.
    async fn let_go(&self, namespace: &Namespace) -> Result<(), ApplyError> {
        let mut free = namespace.clone();
        for finalizers in free.spec.iter_mut().filter_map(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        let name = namespace.metadata.name.as_deref().unwrap_or_default();
        let body = serde_json::to_vec(&free).map_err(|source| ApplyError::Encode { what: "a namespace", source })?;
        let request =
            http::Request::put(format!("/api/v1/namespaces/{name}/finalize")).header("content-type", "application/json");
        let request = request.body(body).map_err(kube::Error::HttpError);
        let sent = match request {
            Ok(request) => self.client.request::<serde_json::Value>(request).await,
            Err(error) => Err(error),
        };
        match sent {
            Err(error) if !apply::is_not_found(&error) => Err(ApplyError::write("the end of a namespace")(error)),
            _ => Ok(()),
        }
    }
}

type Told = (bool, &'static str, String);

/// The conditions in upstream's order and words.
fn conditions(remains: &Remains) -> Vec<(&'static str, Told)> {
    let fine = |reason, message: &str| (false, reason, message.to_owned());
    let failure = match &remains.error {
        Some(error) => {
            let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            (true, "ContentDeletionFailed", format!("Failed to delete all resource types: {error}: {why}"))
        }
        None => fine("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
    };
    let content = if remains.objects.is_empty() {
        fine("ContentRemoved", "All content successfully removed")
    } else {
        let counts = remains.objects.iter().map(|(resource, count)| {
            let group = if resource.group.is_empty() { String::new() } else { resource.group.clone() };
            format!("{}.{group} has {count} resource instances", resource.plural)
        });
        (true, "SomeResourcesRemain", format!("Some resources are remaining: {}", counts.collect::<Vec<_>>().join(", ")))
    };
    let finalizers = if remains.finalizers.is_empty() {
        fine("ContentHasNoFinalizers", "All content-preserving finalizers finished")
    } else {
        let counts = remains.finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances"));
        let message =
            format!("Some content in the namespace has finalizers remaining: {}", counts.collect::<Vec<_>>().join(", "));
        (true, "SomeFinalizersRemain", message)
    };
    vec![
        ("NamespaceDeletionDiscoveryFailure", fine("ResourcesDiscovered", "All resources successfully discovered")),
        ("NamespaceDeletionGroupVersionParsingFailure", fine("ParsedGroupVersions", "All legacy kube types successfully parsed")),
        ("NamespaceDeletionContentFailure", failure),
        ("NamespaceContentRemaining", content),
        ("NamespaceFinalizersRemaining", finalizers),
    ]
}

fn put(status: &mut NamespaceStatus, kind: &str, failed: bool, reason: &str, message: String) {
    let word = if failed { "True" } else { "False" };
    let conditions = status.conditions.get_or_insert_default();
    let old = conditions.iter().position(|condition| condition.type_ == kind);
    let since =
        old.map(|place| &conditions[place]).filter(|old| old.status == word).and_then(|old| old.last_transition_time.clone());
    let new = NamespaceCondition {
        type_: kind.to_owned(),
        status: word.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: since.or_else(|| Some(Time(Timestamp::now()))),
    };
    match old {
        Some(place) => conditions[place] = new,
        None => conditions.push(new),
    }
}

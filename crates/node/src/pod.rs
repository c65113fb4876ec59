//! The pods of this node: one worker each, from the first sight of a pod until nothing of it is left.

mod adopt;
pub(crate) mod container;
mod hook;
pub(crate) mod images;
mod last_words;
mod probe;
mod record;
mod run;
mod start;
mod status;
pub(crate) mod steps;
mod stop;
mod worker;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ::client::{Cache, Change};
use decide::pod_lifecycle::{Ended, Facts};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;

use crate::site::{EMPTY_DIRS, LAYERS, LOGS, Site};
use worker::{Event, Worker};

/// What others may see of a pod: the endpoint that serves logs and sessions.
#[derive(Default)]
pub(crate) struct View {
    seen: RwLock<Seen>,
}

/// The state of a pod at one moment.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// The pod, as the API told.
    pub(crate) pod: Arc<Pod>,
    /// The supervising process, while there is one.
    pub(crate) sandbox: Option<runtime::pod::Pod>,
    /// What is known of its containers.
    pub(crate) facts: Arc<Facts>,
}

impl View {
    /// The state now.
    pub(crate) fn get(&self) -> Seen {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, seen: Seen) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

struct Handle {
    events: mpsc::UnboundedSender<Event>,
    view: Arc<View>,
    namespace: String,
    name: String,
}

/// All pods of the node.
pub(crate) struct Pods {
    site: Arc<Site>,
    handles: Mutex<HashMap<String, Handle>>,
    /// One sender is kept by each worker; when all are gone, every worker has ended.
    ended: mpsc::Sender<()>,
}

impl Pods {
    /// None yet. The receiver ends when the last worker has, once the pods themselves are dropped.
    pub(crate) fn new(site: Arc<Site>) -> (Arc<Self>, mpsc::Receiver<()>) {
        let (ended, all_ended) = mpsc::channel(1);
        (Arc::new(Self { site, handles: Mutex::default(), ended }), all_ended)
    }

    /// Follows the pods of a cache, and takes up those that were on this node before the agent started.
    pub(crate) async fn follow(self: &Arc<Self>, cache: &Cache<Pod>) {
        cache.synced().await;
        self.take_up(cache);
        let pods = Arc::clone(self);
        cache.on_change(move |change: &Change<Pod>| pods.take(change));
    }

    /// Pods that have a record but are no longer in the API are still to be ended. Where there is no record the machine was restarted
    /// since, and only what was on disk is left.
    fn take_up(self: &Arc<Self>, cache: &Cache<Pod>) {
        let mut known: HashSet<String> = cache.list().iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        for folder in entries(&self.site.pods_folder()) {
            let uid = folder.file_name().to_string_lossy().into_owned();
            match record::read_pod(&folder.path()).filter(|_| !known.contains(&uid)) {
                Some(pod) => {
                    self.start(&uid, &Arc::new(pod));
                    self.send(&uid, Event::Gone(None));
                    known.insert(uid);
                }
                None if known.contains(&uid) => {}
                None => drop(std::fs::remove_dir_all(folder.path())),
            }
        }
        for kind in [LAYERS, EMPTY_DIRS, LOGS] {
            for folder in entries(&self.site.folder.join(kind)) {
                let name = folder.file_name().to_string_lossy().into_owned();
                // A folder of logs has the pod's namespace and name before the uid.
                if !known.contains(name.rsplit('_').next().unwrap_or(&name)) {
                    let _ = std::fs::remove_dir_all(folder.path());
                }
            }
        }
    }

    fn take(self: &Arc<Self>, change: &Change<Pod>) {
        let uid = |pod: &Arc<Pod>| pod.metadata.uid.clone().unwrap_or_default();
        if let Some(old) = &change.old
            && change.new.as_ref().is_none_or(|new| uid(new) != uid(old))
            && !self.send(&uid(old), Event::Gone(Some(Arc::clone(old))))
        {
            // It had ended before this agent started: only its files are left.
            let uid = uid(old);
            let site = &self.site;
            for folder in [site.pod_folder(&uid), site.layers(&uid), site.empty_dirs(&uid), site.pod_logs(old)] {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
        let Some(pod) = &change.new else { return };
        if !self.send(&uid(pod), Event::Changed(Arc::clone(pod))) && !is_finished(pod) {
            self.start(&uid(pod), pod);
        }
    }

    fn send(&self, uid: &str, event: Event) -> bool {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.get(uid).is_some_and(|handle| handle.events.send(event).is_ok())
    }

    fn start(self: &Arc<Self>, uid: &str, pod: &Arc<Pod>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let view = Arc::new(View::default());
        view.set(Seen { pod: Arc::clone(pod), ..Seen::default() });
        let handle = Handle {
            events: events.clone(),
            view: Arc::clone(&view),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
        };
        self.handles.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), handle);
        let rejected = if self.site.pod_folder(uid).exists() { None } else { self.admit(uid, pod) };
        let worker = Worker::new(Arc::clone(&self.site), uid, Arc::clone(pod), view, events, rejected);
        let (pods, uid, ended) = (Arc::downgrade(self), uid.to_owned(), self.ended.clone());
        tokio::spawn(async move {
            worker.run(receiver).await;
            if let Some(pods) = pods.upgrade() {
                pods.handles.lock().unwrap_or_else(PoisonError::into_inner).remove(&uid);
            }
            drop(ended);
        });
    }

    /// Why a pod that is new here is not taken in.
    fn admit(&self, uid: &str, pod: &Pod) -> Option<Ended> {
        // One that already ran here was taken in before.
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if phase == Some("Running") || pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let all: Vec<Seen> = self.all();
        let others = all.iter().filter(|seen| seen.pod.metadata.uid.as_deref() != Some(uid) && !is_done(&seen.pod));
        let others: Vec<&Pod> = others.map(|seen| seen.pod.as_ref()).collect();
        let node = Arc::clone(&self.site.node.borrow());
        let ended = decide::pod_lifecycle::admit(pod, &node, &others)?;
        let reason = match ended.reason.as_str() {
            "OutOfcpu" => "OutOfcpu",
            "OutOfmemory" => "OutOfmemory",
            "OutOfpods" => "OutOfpods",
            "OutOfephemeral-storage" => "OutOfephemeral-storage",
            "NodeAffinity" => "NodeAffinity",
            "NodePorts" => "NodePorts",
            _ => "UnexpectedAdmissionError",
        };
        self.site.warning(pod, None, reason, ended.message.trim_start_matches("Pod was rejected: ").to_owned());
        Some(ended)
    }

    /// Has every worker end, with its pod left as it is.
    pub(crate) fn leave(&self) {
        for handle in self.handles.lock().unwrap_or_else(PoisonError::into_inner).values() {
            let _ = handle.events.send(Event::Leave);
        }
    }

    /// The pod of a name, the one that lives rather than one that is on its way out.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Seen> {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = handles.values().filter(|handle| handle.namespace == namespace && handle.name == name);
        of_name.map(|handle| handle.view.get()).min_by_key(|seen| seen.pod.metadata.deletion_timestamp.is_some())
    }

    /// All pods.
    pub(crate) fn all(&self) -> Vec<Seen> {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        handles.values().map(|handle| handle.view.get()).collect()
    }
}

fn entries(folder: &std::path::Path) -> impl Iterator<Item = std::fs::DirEntry> {
    std::fs::read_dir(folder).into_iter().flatten().flatten()
}

/// Whether a pod ended for good.
fn is_done(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether nothing is left to do for a pod that this agent has not seen before.
fn is_finished(pod: &Pod) -> bool {
    is_done(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// The pod whose folder this is, as it was last seen.
pub(crate) fn on_disk(folder: &std::path::Path) -> Option<Pod> {
    record::read_pod(folder)
}

/// Whether a pod has a container of this name, of whichever kind.
pub(crate) fn has_container(pod: &Pod, name: &str) -> bool {
    run::container_of(pod, name).is_some()
}

//! What the scheduler knows, from the caches' events. Owns the translation and which event may help whom; never writes.

use std::sync::Arc;

use client::cache::Cached;
use client::{Cache, Change};
use decide::scheduling::cluster::{Budget, OwnerKey};
use decide::scheduling::pod::is_done;
use decide::scheduling::queue::Event;
use decide::scheduling::{Node, Pod, labels};
use decide::volume_binding::{self, Claim, Class, Volume};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{
    Namespace, Node as TypedNode, PersistentVolume, PersistentVolumeClaim, Pod as Typed, ReplicationController, Service,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;

use super::{NAMES, Scheduler, State};
use crate::wiring::Wiring;

/// Follows all that decisions need.
pub(super) fn begin(scheduler: &Arc<Scheduler>, wiring: &Wiring) {
    follow(scheduler, &wiring.cache(), namespace);
    follow(scheduler, &wiring.cache(), storage_class);
    follow(scheduler, &wiring.cache(), volume);
    follow(scheduler, &wiring.cache(), claim);
    follow(scheduler, &wiring.cache(), budget);
    follow(scheduler, &wiring.cache(), service);
    follow(scheduler, &wiring.cache(), replication_controller);
    follow(scheduler, &wiring.cache(), replica_set);
    follow(scheduler, &wiring.cache(), stateful_set);
    follow(scheduler, &wiring.cache(), node);
    follow(scheduler, &wiring.pods(), pod);
}

/// Takes a change over; what it returns may help pods that wait.
type Take<K> = fn(&mut State, &Change<K>) -> Vec<Event>;

fn follow<K: Cached>(scheduler: &Arc<Scheduler>, cache: &Cache<K>, take: Take<K>) {
    let weak = Arc::downgrade(scheduler);
    cache.on_change(move |change| {
        let Some(scheduler) = weak.upgrade() else { return };
        let mut state = scheduler.state();
        let events = take(&mut state, change);
        for event in &events {
            state.happened(*event);
        }
        drop(state);
        if events.contains(&Event::Storage) {
            scheduler.storage.send_modify(|count| *count += 1);
        }
        scheduler.wake();
    });
}

fn node(state: &mut State, change: &Change<TypedNode>) -> Vec<Event> {
    let Some(new) = &change.new else {
        state.cluster.remove_node(change.key.name());
        // Fewer domains may be less uneven.
        return vec![Event::NodeLabels];
    };
    let new = Node::new(new);
    let mut events = Vec::new();
    match state.cluster.node(&new.name) {
        None => events.push(Event::NodeAdded),
        Some(old) => {
            if old.allocatable != new.allocatable || old.max_pods != new.max_pods {
                events.push(Event::NodeAllocatable);
            }
            if old.labels != new.labels {
                events.push(Event::NodeLabels);
            }
            if old.taints != new.taints || old.unschedulable != new.unschedulable {
                events.push(Event::NodeTaints);
            }
            if events.is_empty() && old.images == new.images {
                return events;
            }
        }
    }
    state.cluster.put_node(new);
    events
}

fn pod(state: &mut State, change: &Change<Typed>) -> Vec<Event> {
    let mut events = Vec::new();
    let uid = |pod: &Arc<Typed>| pod.metadata.uid.clone().unwrap_or_default();
    if let Some(old) = &change.old
        && change.new.as_ref().is_none_or(|new| uid(new) != uid(old))
    {
        leave(state, &uid(old), &mut events);
    }
    let Some(new) = &change.new else { return events };
    if is_done(new) {
        leave(state, &uid(new), &mut events);
        return events;
    }
    if change.old.as_ref().is_some_and(|old| same(old, new)) {
        return events;
    }
    let pod = Arc::new(Pod::new(new));
    if pod.node.is_empty() {
        waiting(state, pod);
        return events;
    }
    state.queue.remove(&pod.uid);
    let before = change.old.as_ref().and_then(|old| old.spec.as_ref()?.node_name.as_deref()).unwrap_or_default();
    events.push(if before.is_empty() || pod.labels != labels_of(change) { Event::PodPlaced } else { Event::PodLeft });
    state.cluster.put_pod(pod);
    events
}

fn labels_of(change: &Change<Typed>) -> labels::Labels {
    change.old.as_ref().and_then(|old| old.metadata.labels.clone()).unwrap_or_default()
}

fn leave(state: &mut State, uid: &str, events: &mut Vec<Event>) {
    if state.cluster.place_of(uid).is_some() {
        events.push(Event::PodLeft);
    }
    state.queue.remove(uid);
    state.cluster.remove_pod(uid);
}

/// A pod without a node: it waits here if it asks for this scheduler.
fn waiting(state: &mut State, pod: Arc<Pod>) {
    if !NAMES.contains(&&*pod.scheduler) {
        return;
    }
    if pod.terminating {
        state.queue.remove(&pod.uid);
        return;
    }
    // One that was just given a node keeps it, whatever else changed about it.
    if state.cluster.place_of(&pod.uid).is_none() {
        state.cluster.nominate(&pod, &pod.nominated);
        state.queue.put(pod, Timestamp::now());
    }
}

/// Whether nothing changed that the scheduler looks at. Nodes report what their pods do all the time.
fn same(old: &Typed, new: &Typed) -> bool {
    let meta = |pod: &Typed| (pod.metadata.uid.clone(), pod.metadata.deletion_timestamp.is_some());
    let nominated = |pod: &Typed| pod.status.as_ref().and_then(|status| status.nominated_node_name.clone());
    let allocated = |pod: &Typed| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.map(|status| (status.allocated_resources.clone(), status.resources.clone())).collect::<Vec<_>>()
    };
    meta(old) == meta(new)
        && old.metadata.labels == new.metadata.labels
        && old.spec == new.spec
        && nominated(old) == nominated(new)
        && allocated(old) == allocated(new)
}

fn namespace(state: &mut State, change: &Change<Namespace>) -> Vec<Event> {
    match &change.new {
        Some(new) => state.cluster.put_namespace(change.key.name(), new.metadata.labels.clone().unwrap_or_default()),
        None => state.cluster.remove_namespace(change.key.name()),
    }
    Vec::new()
}

fn storage_class(state: &mut State, change: &Change<StorageClass>) -> Vec<Event> {
    match &change.new {
        Some(new) => state.cluster.put_class(change.key.name(), Class::new(new)),
        None => state.cluster.remove_class(change.key.name()),
    }
    vec![Event::Storage]
}

fn volume(state: &mut State, change: &Change<PersistentVolume>) -> Vec<Event> {
    match &change.new {
        Some(new) => state.cluster.put_volume(Volume::new(new)),
        None => state.cluster.remove_volume(change.key.name()),
    }
    vec![Event::Storage]
}

fn claim(state: &mut State, change: &Change<PersistentVolumeClaim>) -> Vec<Event> {
    match &change.new {
        Some(new) => state.cluster.put_claim(Claim::new(new)),
        None => state.cluster.remove_claim(&volume_binding::key(Some(change.key.namespace()), Some(change.key.name()))),
    }
    vec![Event::Storage]
}

fn owner<K>(kind: &str, change: &Change<K>) -> OwnerKey {
    (kind.to_owned(), change.key.namespace().to_owned(), change.key.name().to_owned())
}

fn budget(state: &mut State, change: &Change<PodDisruptionBudget>) -> Vec<Event> {
    match &change.new {
        Some(new) => state.cluster.put_budget(owner("PodDisruptionBudget", change), Budget::new(new)),
        None => state.cluster.remove_budget(&owner("PodDisruptionBudget", change)),
    }
    Vec::new()
}

/// A selector of a map of labels, as Services have it; an empty one selects nothing.
fn plain<K>(state: &mut State, kind: &str, change: &Change<K>, selector: Option<labels::Labels>) -> Vec<Event> {
    let key = owner(kind, change);
    match selector.filter(|selector| !selector.is_empty()) {
        Some(selector) => {
            let requirements = labels::from_map(selector.iter());
            state.cluster.put_selector(key, api::selector::LabelSelector::of(requirements));
        }
        None => state.cluster.remove_selector(&key),
    }
    Vec::new()
}

fn service(state: &mut State, change: &Change<Service>) -> Vec<Event> {
    let selector = change.new.as_ref().and_then(|new| new.spec.as_ref()?.selector.clone());
    plain(state, "Service", change, selector)
}

fn replication_controller(state: &mut State, change: &Change<ReplicationController>) -> Vec<Event> {
    let selector = change.new.as_ref().and_then(|new| new.spec.as_ref()?.selector.clone());
    plain(state, "ReplicationController", change, selector)
}

fn replica_set(state: &mut State, change: &Change<ReplicaSet>) -> Vec<Event> {
    let key = owner("ReplicaSet", change);
    match change.new.as_ref().map(|new| &new.spec) {
        Some(spec) => state.cluster.put_selector(key, labels::selector(Some(&spec.selector))),
        None => state.cluster.remove_selector(&key),
    }
    Vec::new()
}

fn stateful_set(state: &mut State, change: &Change<StatefulSet>) -> Vec<Event> {
    let key = owner("StatefulSet", change);
    match change.new.as_ref().map(|new| &new.spec) {
        Some(spec) => state.cluster.put_selector(key, labels::selector(Some(&spec.selector))),
        None => state.cluster.remove_selector(&key),
    }
    Vec::new()
}

//! The scheduler: pods that have no node get one. Owns the loop, what it knows (`decide::scheduling::Cluster`, kept by the caches' events)
//! and the carrying out: binding, conditions, events, preemption. Never chooses; every choice is `decide`'s.

mod bind;
mod feed;
mod refuse;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client::Cache;
use client::events::Recorder;
use decide::scheduling::queue::{Event, Queue};
use decide::scheduling::{Cluster, Decision, Pod, decide};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Pod as Typed};
use kube::Client;
use tokio::sync::{Notify, watch};

use crate::wiring::{Wiring, Work};

/// The names by which pods ask for this scheduler; all of them decide alike.
const NAMES: &[&str] = &["default-scheduler"];

/// What is known, and who waits.
#[derive(Default)]
struct State {
    cluster: Cluster,
    queue: Queue,
}

impl State {
    fn happened(&mut self, event: Event) {
        self.queue.happened(event, Timestamp::now());
    }
}

struct Scheduler {
    client: Client,
    pods: Arc<Cache<Typed>>,
    recorder: Recorder,
    state: Mutex<State>,
    woken: Notify,
    /// Counts up whenever a claim or volume changed, for those who wait for their claims.
    storage: watch::Sender<u64>,
}

/// The scheduler.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let scheduler = Arc::new(Scheduler {
            recorder: wiring.recorder(NAMES[0]),
            client: wiring.client.clone(),
            pods: wiring.pods(),
            state: Mutex::default(),
            woken: Notify::new(),
            storage: watch::Sender::new(0),
        });
        feed::begin(&scheduler, &wiring);
        wiring.synced().await;
        scheduler.work().await;
    })
}

impl Scheduler {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about one pod after the other; what follows from it runs beside.
    async fn work(self: &Arc<Self>) {
        loop {
            let woken = self.woken.notified();
            while let Some((pod, decision)) = self.decide_next() {
                let scheduler = Arc::clone(self);
                match decision {
                    Decision::Place(placement) => drop(tokio::spawn(scheduler.bind(pod, placement))),
                    Decision::Refuse(refusal) => drop(tokio::spawn(scheduler.refuse(pod, refusal))),
                }
            }
            let due = self.state().queue.next_due();
            match due {
                None => woken.await,
                Some(due) => {
                    let left = due.duration_since(Timestamp::now()).try_into().unwrap_or_default();
                    // Whether something happened or a pause is over, the queue is asked again.
                    let _ = tokio::time::timeout(left, woken).await;
                }
            }
        }
    }

    fn decide_next(&self) -> Option<(Arc<Pod>, Decision)> {
        let now = Timestamp::now();
        let mut state = self.state();
        let state = &mut *state;
        let pod = state.queue.take(now)?;
        let decision = decide(&state.cluster, &pod, rand::random());
        debug_assert_eq!(decide::scheduling::check(&state.cluster, &pod, &decision), Ok(()));
        match &decision {
            Decision::Place(placement) => state.cluster.assume(&pod, placement),
            Decision::Refuse(refusal) => {
                if let Some(preemption) = &refusal.preemption {
                    state.cluster.nominate(&pod, &preemption.node);
                }
                state.queue.refused(&pod.uid, refusal.filters.clone(), now);
            }
        }
        Some((pod, decision))
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

/// What events say about a pod.
fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        namespace: Some(pod.namespace.to_string()),
        name: Some(pod.name.clone()),
        uid: Some(pod.uid.to_string()),
        ..ObjectReference::default()
    }
}

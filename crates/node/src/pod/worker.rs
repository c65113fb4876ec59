//! One pod's worker: takes events in, asks the plan what is next, has it carried out by tasks that answer with events, and tells the API.
//! Makes no choices of its own.

mod act;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use decide::pod_lifecycle::{Action, Ended, Facts, Ground as Stage, plan, recall};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::probe::Probed;
use super::run::{self, Live};
use super::status::Teller;
use super::steps::{Ground, StepError};
use super::{Seen, View, adopt, record};
use crate::site::Site;

/// The first and the longest wait before the ground of a pod is tried again.
const GROUND_RETRY: (SignedDuration, SignedDuration) = (SignedDuration::from_millis(250), SignedDuration::from_secs(20));

/// What a worker hears.
pub(super) enum Event {
    /// The pod's object changed.
    Changed(Arc<Pod>),
    /// The pod's object is gone.
    Gone(Option<Arc<Pod>>),
    /// The agent stops; the pod stays.
    Leave,
    /// The ground was made, or could not be.
    Grounded(Box<Ground>, Result<(), StepError>),
    /// The ground was taken away, but for these.
    Released(Box<Ground>, Vec<StepError>),
    /// A container was started, or could not be.
    Started(String, Result<run::Started, run::NotStarted>),
    /// The postStart hook of a run has ended.
    Settled(String, String, bool),
    /// A run has ended.
    Exited(String, String, runtime::container::Exit),
    /// A probe changed its mind.
    Probed(String, String, Probed),
    /// The status was written, or could not be.
    Told(Result<(), kube::Error>),
    /// The object was removed, or could not be.
    Removed(bool),
    /// A run is bounded by these resources now.
    Resized(String, String, ResourceRequirements),
    /// Time for the status that was held back.
    Tell,
}

/// One pod's worker.
pub(super) struct Worker {
    site: Arc<Site>,
    uid: String,
    folder: PathBuf,
    pod: Arc<Pod>,
    /// The pod as tasks see it change.
    seen: watch::Sender<Arc<Pod>>,
    view: Arc<View>,
    events: mpsc::UnboundedSender<Event>,
    facts: Facts,
    noted: Facts,
    ground: Option<Box<Ground>>,
    ground_failures: u32,
    preparing: CancellationToken,
    live: HashMap<String, Live>,
    teller: Teller,
    /// The object is gone from the API.
    gone: bool,
    removing: bool,
    done: bool,
}

impl Worker {
    pub(super) fn new(
        site: Arc<Site>,
        uid: &str,
        pod: Arc<Pod>,
        view: Arc<View>,
        events: mpsc::UnboundedSender<Event>,
        rejected: Option<Ended>,
    ) -> Self {
        let folder = site.pod_folder(uid);
        let teller = Teller::new(Arc::clone(&site), events.clone(), &pod);
        Self {
            uid: uid.to_owned(),
            folder,
            seen: watch::Sender::new(Arc::clone(&pod)),
            view,
            events,
            facts: Facts { ended: rejected, ..Facts::default() },
            noted: Facts::default(),
            ground: None,
            ground_failures: 0,
            preparing: CancellationToken::new(),
            live: HashMap::new(),
            teller,
            gone: false,
            removing: false,
            done: false,
            pod,
            site,
        }
    }

    /// Works until nothing of the pod is left, or the agent leaves.
    pub(super) async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>) {
        if self.folder.join("facts.json").exists() {
            self.take_up().await;
        } else {
            self.remember();
        }
        loop {
            let wake = self.carry_out();
            if self.done {
                break;
            }
            self.tell();
            let event = match wake {
                Some(at) => {
                    let left = at.duration_since(Timestamp::now()).try_into().unwrap_or_default();
                    tokio::time::timeout(left, events.recv()).await.ok()
                }
                None => Some(events.recv().await),
            };
            let Some(event) = event else { continue };
            let mut next = event;
            while let Some(event) = next {
                if matches!(event, Event::Leave) {
                    self.note();
                    return;
                }
                self.hear(event);
                next = events.try_recv().ok();
            }
        }
        self.forget();
    }

    /// Carries the plan out until it says nothing new; returns when to ask again.
    fn carry_out(&mut self) -> Option<Timestamp> {
        self.resize();
        loop {
            let now = Timestamp::now();
            let plan = plan(&self.pod, &self.facts, now);
            let again = plan.actions.iter().any(|action| matches!(action, Action::End(_)));
            for action in plan.actions {
                self.act(action, now);
            }
            if !again {
                self.note();
                return plan.wake;
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Changed(pod) => self.changed(pod),
            Event::Gone(last) => self.lost(last),
            Event::Grounded(ground, result) => self.grounded(ground, result),
            Event::Released(ground, failures) => self.released(ground, &failures),
            Event::Started(name, result) => self.started(&name, result),
            Event::Settled(name, id, well) => self.settled(&name, &id, well),
            Event::Exited(name, id, exit) => self.exited(&name, &id, &exit),
            Event::Probed(name, id, probed) => self.probed(&name, &id, probed),
            Event::Told(result) => self.teller.told(result),
            Event::Removed(well) => {
                self.removing = false;
                self.done = well || self.gone;
            }
            Event::Resized(name, id, resources) => self.resized(&name, &id, resources),
            Event::Tell => self.teller.due(),
            Event::Leave => {}
        }
    }

    fn changed(&mut self, pod: Arc<Pod>) {
        let spec_changed = pod.metadata.generation != self.pod.metadata.generation
            || pod.metadata.deletion_timestamp != self.pod.metadata.deletion_timestamp;
        let texts = |pod: &Pod| (pod.metadata.labels.clone(), pod.metadata.annotations.clone());
        let texts_changed = texts(&pod) != texts(&self.pod);
        if pod.metadata.deletion_timestamp.is_some() {
            self.preparing.cancel();
        }
        self.pod = pod;
        self.seen.send_replace(Arc::clone(&self.pod));
        self.teller.saw(&self.pod);
        if texts_changed && let Some(ground) = &self.ground {
            ground.volumes.touch();
        }
        if (spec_changed || texts_changed) && self.folder.exists() {
            self.note_pod();
        }
        self.show();
    }

    /// The object was removed by force: the pod is ended with the grace that it still has.
    fn lost(&mut self, last: Option<Arc<Pod>>) {
        self.gone = true;
        self.preparing.cancel();
        let mut pod = Pod::clone(last.as_ref().unwrap_or(&self.pod));
        if pod.metadata.deletion_timestamp.is_none() {
            pod.metadata.deletion_timestamp = Some(Time(Timestamp::now()));
        }
        self.pod = Arc::new(pod);
        self.teller.close();
    }

    /// Writes down what changed of the facts.
    fn note(&mut self) {
        if self.facts == self.noted || !self.folder.exists() {
            return;
        }
        if let Err(error) = record::write_facts(&self.folder, &self.facts) {
            tracing::warn!(error = &error as &dyn std::error::Error, "what is known of a pod is not written");
        }
        self.noted = self.facts.clone();
        self.show();
    }

    fn note_pod(&self) {
        if let Err(error) = record::write_pod(&self.folder, &self.pod) {
            tracing::warn!(error = &error as &dyn std::error::Error, "a pod is not written down");
        }
    }

    /// Lets others see.
    fn show(&self) {
        let sandbox = self.ground.as_ref().and_then(|ground| ground.sandbox.clone());
        self.view.set(Seen { pod: Arc::clone(&self.pod), sandbox, facts: Arc::new(self.facts.clone()) });
    }

    /// Has the API told of what changed.
    fn tell(&mut self) {
        if !self.gone {
            self.teller.tell(&self.pod, &self.facts);
        }
    }

    fn new_ground(&self) -> Box<Ground> {
        Box::new(Ground {
            site: Arc::clone(&self.site),
            pod: Arc::clone(&self.pod),
            seen: self.seen.subscribe(),
            uid: self.uid.clone(),
            folder: self.folder.clone(),
            record: record::Record::read(&self.folder).unwrap_or_default(),
            begun: None,
            sandbox: None,
            volumes: Arc::default(),
        })
    }

    /// A pod without notes is new here, or the machine was restarted: then the API remembers.
    fn remember(&mut self) {
        let now = Timestamp::now();
        let known = recall(&self.pod, now);
        self.facts.started = known.started.or(Some(now));
        self.facts.containers = known.containers;
    }

    /// Finds the pod again that an earlier agent left.
    async fn take_up(&mut self) {
        self.facts = record::read_facts(&self.folder).unwrap_or_default();
        if self.facts.started.is_none() {
            self.facts.started = Some(Timestamp::now());
        }
        if self.facts.ground == Stage::Released {
            self.ground = Some(self.new_ground());
            return;
        }
        let mut ground = self.new_ground();
        let found = adopt::adopt(&mut ground).await;
        match found {
            Ok(()) if adopt::is_whole(&ground) => {
                self.facts.ground = Stage::Ready;
                self.ground = Some(ground);
                self.adopt_containers();
            }
            Ok(()) => {
                self.facts.ground = Stage::Absent;
                self.ground = Some(ground);
            }
            Err(error) => {
                // The machine was restarted, most likely: what ran is gone, and is made anew as the policy says.
                tracing::info!(pod = self.uid, error = &error as &dyn std::error::Error, "a pod's ground is made anew");
                ground.record.steps.clear();
                self.facts.ground = Stage::Absent;
                self.facts.addresses.clear();
                self.lose_containers();
                self.ground = Some(ground);
            }
        }
        self.show();
    }

    /// Nothing of the pod is left: its folder and its logs go.
    fn forget(&self) {
        let logs = self.site.pod_logs(&self.pod);
        for folder in [&self.folder, &logs] {
            if let Err(error) = std::fs::remove_dir_all(folder)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(folder = %folder.display(), %error, "a folder of a pod stays");
            }
        }
    }
}

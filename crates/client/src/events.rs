//! What happened to objects, told to people as Events. Callers name reason and message, in upstream's words.
//!
//! Telling never delays and never fails the work: it is done by one task behind a bounded queue. The same event again only counts up,
//! many alike become one, and an object that causes a storm is heard less and less.

mod aggregate;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
};
use tokio::{sync::mpsc, time::Instant};

use aggregate::{Aggregator, Step};

/// Events are written when none has come for so long, and at the latest after [`WAIT_MAX`].
const CALM: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_millis(500);
/// Events that wait to be written; what comes beyond is dropped.
const WAITING_MAX: usize = 1024;

/// How much an event is to worry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Not at all.
    Normal,
    /// Something is not as it should be.
    Warning,
}

/// An event, before it is written.
#[derive(Debug, Clone)]
pub struct Happened {
    /// What it is about.
    pub about: ObjectReference,
    /// How much it is to worry.
    pub severity: Severity,
    /// Why, as one word that programs read.
    pub reason: &'static str,
    /// Why, for people.
    pub message: String,
}

/// Tells of events. Clones share everything.
#[derive(Clone)]
pub struct Recorder {
    sender: mpsc::Sender<Happened>,
    component: Arc<str>,
}

impl Recorder {
    /// A recorder in the name of `component`, such as `replicaset-controller`; `host` is empty but for nodes. Must be called within a tokio runtime.
    pub fn new(client: kube::Client, component: &str, host: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let component: Arc<str> = component.into();
        let writer =
            Writer { client, component: Arc::clone(&component), host: host.to_owned(), aggregator: Aggregator::default() };
        tokio::spawn(writer.run(receiver));
        Self { sender, component }
    }

    /// In whose name it tells.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// Something went as it should.
    pub fn normal<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &'static str, message: impl Into<String>) {
        self.record(about.object_ref(&()), Severity::Normal, reason, message.into());
    }

    /// Something did not.
    pub fn warning<K: Resource<DynamicType = ()>>(&self, about: &K, reason: &'static str, message: impl Into<String>) {
        self.record(about.object_ref(&()), Severity::Warning, reason, message.into());
    }

    /// Something happened to what `about` names.
    pub fn record(&self, about: ObjectReference, severity: Severity, reason: &'static str, message: String) {
        let happened = Happened { about, severity, reason, message };
        if self.sender.try_send(happened).is_err() {
            tracing::debug!(component = %self.component, reason, "an event is dropped");
        }
    }
}

/// Waits until it is calm, for a short while: what is told of work must not take the processor from it when there is most of it. What is to
/// worry does not wait.
async fn gather(receiver: &mut mpsc::Receiver<Happened>, batch: &mut Vec<Happened>) {
    let latest = Instant::now() + WAIT_MAX;
    while batch.len() < WAITING_MAX && batch.iter().all(|happened| happened.severity == Severity::Normal) {
        let until = latest.min(Instant::now() + CALM);
        let room = WAITING_MAX - batch.len();
        if !matches!(tokio::time::timeout_at(until, receiver.recv_many(batch, room)).await, Ok(1..)) || until == latest {
            return;
        }
    }
}

struct Writer {
    client: kube::Client,
    component: Arc<str>,
    host: String,
    aggregator: Aggregator,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Happened>) {
        let mut batch = Vec::new();
        while receiver.recv_many(&mut batch, WAITING_MAX).await > 0 {
            gather(&mut receiver, &mut batch).await;
            let now = Timestamp::now();
            // Whatever came while the last batch was written is counted together, so that a hundred alike are one write.
            let steps = self.aggregator.take(batch.drain(..), now);
            for step in steps {
                self.write(step, now).await;
            }
        }
    }

    async fn write(&mut self, step: Step, now: Timestamp) {
        let namespace = step.happened.about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        if let Some(name) = &step.written {
            let patch = serde_json::json!({
                "count": step.count, "lastTimestamp": Time(now), "message": step.happened.message,
            });
            match events.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return tracing::debug!(error = &error as &dyn std::error::Error, "an event is not counted"),
            }
        }
        let event = self.event(&step, &namespace, now);
        match events.create(&PostParams::default(), &event).await {
            Ok(_) => self.aggregator.written(&step, event.metadata.name.unwrap_or_default()),
            // Most often the namespace is going away.
            Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "an event is not written"),
        }
    }

    fn event(&self, step: &Step, namespace: &str, now: Timestamp) -> Event {
        let about = &step.happened.about;
        let name = format!("{}.{:x}", about.name.as_deref().unwrap_or_default(), now.as_nanosecond() + i128::from(step.sequence));
        Event {
            metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.to_owned()), ..ObjectMeta::default() },
            involved_object: ObjectReference { field_path: about.field_path.clone(), ..about.clone() },
            type_: Some(if step.happened.severity == Severity::Normal { "Normal" } else { "Warning" }.to_owned()),
            reason: Some(step.happened.reason.to_owned()),
            message: Some(step.happened.message.clone()),
            source: Some(EventSource {
                component: Some(self.component.to_string()),
                host: Some(self.host.clone()).filter(|host| !host.is_empty()),
            }),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            count: Some(step.count),
            reporting_component: Some(self.component.to_string()),
            reporting_instance: Some(self.host.clone()),
            ..Event::default()
        }
    }
}

//! What ReplicaSets and ReplicationControllers have in common. The only place that knows in what they differ.

use std::fmt::Debug;

use client::cache::Cached;
use decide::{
    replicas::Counts,
    selection::{self, Labels},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
        core::v1::{Pod, PodTemplateSpec, ReplicationController, ReplicationControllerCondition, ReplicationControllerStatus},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{Resource, ResourceExt as _, core::NamespaceResourceScope};
use serde::Serialize;

use crate::apply::ApplyError;

/// Why not all of a plan was carried out.
#[derive(Default)]
pub struct Failure {
    /// The reason of the condition; empty when people need not know.
    pub reason: &'static str,
    /// What failed.
    pub error: Option<ApplyError>,
    message: String,
}

impl Failure {
    pub fn put(&mut self, error: Option<kube::Error>, what: &'static str) {
        if let Some(error) = error {
            self.message = crate::apply::message(&error);
            self.error = Some(ApplyError::write(what)(error));
        }
    }
}

/// What keeps a number of pods alike.
pub trait Owner: Cached + Resource<Scope = NamespaceResourceScope> + Serialize + Debug {
    /// In whose name events are told.
    const COMPONENT: &'static str;
    fn replicas(&self) -> i32;
    fn min_ready_seconds(&self) -> i32;
    fn template(&self) -> Option<&PodTemplateSpec>;
    fn selects(&self, labels: Option<&Labels>) -> bool;
    /// The object with the status that tells of `counts`; `None` when it does already.
    fn reporting(&self, counts: &Counts, failure: &Failure, now: Timestamp) -> Option<Self>;

    fn template_labels(&self) -> Option<&Labels> {
        self.template()?.metadata.as_ref()?.labels.as_ref()
    }
}

impl Owner for ReplicaSet {
    const COMPONENT: &'static str = "replicaset-controller";

    fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.template.as_ref()
    }

    fn selects(&self, labels: Option<&Labels>) -> bool {
        let selector = &self.spec.selector;
        !selection::is_everything(selector) && selection::matches(selector, labels)
    }

    fn reporting(&self, counts: &Counts, failure: &Failure, now: Timestamp) -> Option<Self> {
        let old = self.status.clone().unwrap_or_default();
        let mut conditions = old.conditions.clone().unwrap_or_default();
        let same = |condition: &ReplicaSetCondition| condition.type_.as_deref() == Some(REPLICA_FAILURE);
        if failure.reason.is_empty() {
            conditions.retain(|condition| !same(condition));
        } else if !conditions.iter().any(same) {
            conditions.push(ReplicaSetCondition {
                type_: Some(REPLICA_FAILURE.to_owned()),
                status: Some("True".to_owned()),
                reason: Some(failure.reason.to_owned()),
                message: Some(failure.message.clone()),
                last_transition_time: Some(Time(now)),
            });
        }
        let new = ReplicaSetStatus {
            replicas: counts.replicas,
            fully_labeled_replicas: some(counts.fully_labeled),
            ready_replicas: some(counts.ready),
            available_replicas: some(counts.available),
            terminating_replicas: Some(counts.terminating),
            observed_generation: self.metadata.generation,
            conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        };
        (Some(&new) != self.status.as_ref()).then(|| Self { status: Some(new), ..self.clone() })
    }
}

impl Owner for ReplicationController {
    const COMPONENT: &'static str = "replication-controller";

    fn replicas(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.as_ref()?.template.as_ref()
    }

    fn selects(&self, labels: Option<&Labels>) -> bool {
        let selector = self.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.is_some_and(|selector| !selector.is_empty() && selection::contains(labels, selector))
    }

    fn reporting(&self, counts: &Counts, failure: &Failure, now: Timestamp) -> Option<Self> {
        let old = self.status.clone().unwrap_or_default();
        let mut conditions = old.conditions.clone().unwrap_or_default();
        let same = |condition: &ReplicationControllerCondition| condition.type_ == REPLICA_FAILURE;
        if failure.reason.is_empty() {
            conditions.retain(|condition| !same(condition));
        } else if !conditions.iter().any(same) {
            conditions.push(ReplicationControllerCondition {
                type_: REPLICA_FAILURE.to_owned(),
                status: "True".to_owned(),
                reason: Some(failure.reason.to_owned()),
                message: Some(failure.message.clone()),
                last_transition_time: Some(Time(now)),
            });
        }
        let new = ReplicationControllerStatus {
            replicas: counts.replicas,
            fully_labeled_replicas: some(counts.fully_labeled),
            ready_replicas: some(counts.ready),
            available_replicas: some(counts.available),
            observed_generation: self.metadata.generation,
            conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
        };
        (Some(&new) != self.status.as_ref()).then(|| Self { status: Some(new), ..self.clone() })
    }
}

const REPLICA_FAILURE: &str = "ReplicaFailure";

/// Zero is left out, as upstream does.
fn some(count: i32) -> Option<i32> {
    Some(count).filter(|count| *count != 0)
}

/// A pod of a template, whose name the server generates from its owner's.
pub fn pod_of<O: Resource<DynamicType = ()>>(owner: &O, template: &PodTemplateSpec) -> Pod {
    let given = template.metadata.as_ref();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.name_any())),
            namespace: owner.namespace(),
            labels: given.and_then(|meta| meta.labels.clone()),
            annotations: given.and_then(|meta| meta.annotations.clone()),
            finalizers: given.and_then(|meta| meta.finalizers.clone()),
            owner_references: owner.controller_owner_ref(&()).map(|reference| {
                vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
                    block_owner_deletion: Some(true),
                    ..reference
                }]
            }),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

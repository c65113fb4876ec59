//! The ReplicaSets of a Deployment during one plan: which is the new one, what the plan has changed in each so far, and how a new one looks.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use serde_json::Value;

use super::{Plan, Step, annotations, scale};

const HASH_LABEL: &str = "pod-template-hash";
/// The letters of hashes in names: no vowels and nothing that looks alike.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A ReplicaSet as it was observed, and as the plan leaves it.
pub struct Set {
    observed: Option<Arc<ReplicaSet>>,
    pub planned: ReplicaSet,
}

/// All of them, oldest first.
pub struct Sets {
    all: Vec<Set>,
    new: Option<usize>,
}

impl Sets {
    pub fn new(deployment: &Deployment, observed: &[Arc<ReplicaSet>]) -> Self {
        let mut sorted = observed.to_vec();
        sorted.sort_by(|a, b| age(a).cmp(&age(b)));
        let new = sorted.iter().position(|set| {
            set.spec.template.as_ref().is_some_and(|template| same_template(template, &deployment.spec.template))
        });
        let set = |set: Arc<ReplicaSet>| Set { planned: (*set).clone(), observed: Some(set) };
        Self { all: sorted.into_iter().map(set).collect(), new }
    }

    /// All, oldest first, as planned.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &ReplicaSet> {
        self.all.iter().map(|set| &set.planned)
    }

    /// The one of the present template, as planned.
    pub fn new_set(&self) -> Option<&ReplicaSet> {
        self.new.map(|place| &self.all[place].planned)
    }

    pub fn new_place(&self) -> Option<usize> {
        self.new
    }

    pub fn new_uid(&self) -> Option<&str> {
        self.new_set()?.metadata.uid.as_deref()
    }

    /// The others, as planned.
    pub fn old(&self) -> impl DoubleEndedIterator<Item = &ReplicaSet> {
        self.old_places().map(|place| &self.all[place].planned)
    }

    /// The others, as they were observed.
    pub fn old_observed(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old_places().filter_map(|place| self.all[place].observed.as_ref())
    }

    pub fn old_places(&self) -> impl DoubleEndedIterator<Item = usize> + use<> {
        let new = self.new;
        (0..self.all.len()).filter(move |place| Some(*place) != new)
    }

    pub fn at(&self, place: usize) -> &ReplicaSet {
        &self.all[place].planned
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Gives a set another size, and notes what the whole Deployment wants. Whether its size changed.
    pub fn scale(&mut self, deployment: &Deployment, place: usize, to: i32, plan: &mut Plan) -> bool {
        let set = &mut self.all[place].planned;
        let from = size(set);
        let noted = annotations::note_replicas(deployment, set);
        if from == to && !noted {
            return false;
        }
        set.spec.replicas = Some(to);
        put(plan, set, (from != to).then_some(from));
        from != to
    }

    /// Finds or makes the new set, and brings its revision and the Deployment's up to date.
    pub fn sync_revision(&mut self, deployment: &Deployment, create: bool, plan: &mut Plan) {
        let next = self.old().map(annotations::revision).max().unwrap_or(0) + 1;
        let Some(place) = self.new else {
            if create {
                let set = self.make(deployment, next);
                self.new = Some(self.all.len());
                note(deployment, annotations::revision(&set), plan);
                plan.steps.push(Step::Create(Box::new(set.clone())));
                self.all.push(Set { observed: None, planned: set });
            }
            return;
        };
        let set = &mut self.all[place].planned;
        let before = set.clone();
        annotations::note_revision(deployment, set, next);
        set.spec.min_ready_seconds = deployment.spec.min_ready_seconds.filter(|seconds| *seconds != 0);
        if *set != before {
            put(plan, set, None);
        }
        note(deployment, annotations::revision(set), plan);
    }

    fn make(&self, deployment: &Deployment, revision: i64) -> ReplicaSet {
        let hash = hash_of(&deployment.spec.template, deployment.status.as_ref().and_then(|status| status.collision_count));
        let mut template = deployment.spec.template.clone();
        let meta = template.metadata.get_or_insert_default();
        meta.labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
        let labels = meta.labels.clone();
        let mut selector = deployment.spec.selector.clone();
        selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
        let name = deployment.metadata.name.as_deref().unwrap_or_default();
        let mut set = ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{name}-{hash}")),
                namespace: deployment.metadata.namespace.clone(),
                labels,
                owner_references: Some(vec![OwnerReference {
                    api_version: "apps/v1".to_owned(),
                    kind: "Deployment".to_owned(),
                    name: name.to_owned(),
                    uid: deployment.metadata.uid.clone().unwrap_or_default(),
                    controller: Some(true),
                    block_owner_deletion: Some(true),
                }]),
                ..ObjectMeta::default()
            },
            spec: ReplicaSetSpec {
                replicas: Some(0),
                min_ready_seconds: deployment.spec.min_ready_seconds.filter(|seconds| *seconds != 0),
                selector,
                template: Some(template),
            },
            status: None,
        };
        set.spec.replicas = Some(scale::new_size(deployment, self.all().map(size).sum(), 0));
        annotations::note_revision(deployment, &mut set, revision);
        annotations::note_replicas(deployment, &mut set);
        set
    }
}

/// Plans that a set is written as it is now, once for all changes.
fn put(plan: &mut Plan, set: &ReplicaSet, from: Option<i32>) {
    for step in &mut plan.steps {
        match step {
            Step::Replace(planned, before) if planned.metadata.name == set.metadata.name => {
                **planned = set.clone();
                *before = before.or(from);
                return;
            }
            Step::Create(planned) if planned.metadata.name == set.metadata.name => {
                **planned = set.clone();
                return;
            }
            Step::Replace(..) | Step::Create(_) | Step::Delete(_) => {}
        }
    }
    plan.steps.push(Step::Replace(Box::new(set.clone()), from));
}

fn note(deployment: &Deployment, revision: i64, plan: &mut Plan) {
    let text = revision.to_string();
    let carried = deployment.metadata.annotations.as_ref().and_then(|all| all.get(annotations::REVISION));
    plan.revision = (carried != Some(&text)).then_some(text);
}

/// The size that a set is to have.
pub fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

fn age(set: &ReplicaSet) -> (Option<jiff::Timestamp>, Option<&str>) {
    (set.metadata.creation_timestamp.as_ref().map(|time| time.0), set.metadata.name.as_deref())
}

/// Whether two templates make the same pods, the hash in their labels aside.
pub fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    let bare = |template: &PodTemplateSpec| {
        let mut template = template.clone();
        if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
            labels.remove(HASH_LABEL);
        }
        template
    };
    let (a, b) = (bare(a), bare(b));
    a == b || essence(&a) == essence(&b)
}

/// An object without what is empty: nothing, an empty list and an empty map are one and the same.
fn essence(template: &PodTemplateSpec) -> Value {
    fn is_empty(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        }
    }
    fn prune(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(prune),
            Value::Object(fields) => {
                fields.values_mut().for_each(prune);
                // A volume `{emptyDir: {}}` is not a volume without source: what is a struct in itself stays.
                fields.retain(|name, value| !is_empty(value) || (value.is_object() && name == "emptyDir"));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut value = serde_json::to_value(template).unwrap_or_default();
    prune(&mut value);
    value
}

/// The hash of a template, in the letters of names. Another collision count makes another hash.
pub fn hash_of(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut hash: u32 = 0x811c_9dc5;
    let text = essence(template).to_string();
    let count = collisions.map(i32::to_le_bytes);
    for byte in text.bytes().chain(count.into_iter().flatten()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    }
    hash.to_string().bytes().map(|digit| char::from(LETTERS[usize::from(digit) % LETTERS.len()])).collect()
}

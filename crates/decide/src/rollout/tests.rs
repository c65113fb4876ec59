//! Rounds of a Deployment as tables, and as a property: rounds played to their end never break a bound.

use k8s_openapi::api::apps::v1::ReplicaSetStatus;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn deployment(replicas: i32, image: &str, strategy: Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas, "revisionHistoryLimit": 2, "progressDeadlineSeconds": 600, "strategy": strategy,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": image}]}},
        },
    }))
    .unwrap()
}

fn rolling(surge: Value, unavailable: Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

/// What is there: rounds are played on it, pods come up as the seed says.
struct World {
    deployment: Deployment,
    sets: Vec<ReplicaSet>,
    now: Timestamp,
}

impl World {
    fn new(deployment: Deployment) -> Self {
        Self { deployment, sets: Vec::new(), now: Timestamp::UNIX_EPOCH }
    }

    fn plan(&self) -> Plan {
        let sets: Vec<_> = self.sets.iter().cloned().map(Arc::new).collect();
        plan(&Observed { deployment: &self.deployment, sets: &sets, pods: &BTreeMap::new(), now: self.now })
    }

    fn round(&mut self) -> Plan {
        let plan = self.plan();
        for step in &plan.steps {
            match step {
                Step::Create(set) => {
                    let mut set = (**set).clone();
                    set.metadata.uid = set.metadata.name.clone();
                    set.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now));
                    assert!(self.sets.iter().all(|other| other.metadata.name != set.metadata.name));
                    self.sets.push(set);
                }
                Step::Replace(set, _) => {
                    let place = self.sets.iter().position(|other| other.metadata.name == set.metadata.name).unwrap();
                    self.sets[place] = (**set).clone();
                }
                Step::Delete(set) => self.sets.retain(|other| other.metadata.name != set.metadata.name),
            }
        }
        if let Some(revision) = &plan.revision {
            self.deployment.metadata.annotations.get_or_insert_default().insert(REVISION.into(), revision.clone());
        }
        if let Some(status) = &plan.status {
            self.deployment.status = Some(status.clone());
        }
        self.now = self.now.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
        plan
    }

    /// The pods of a set follow its size: those beyond it go, `up` of the missing ones become available.
    fn follow(&mut self, up: i32) {
        for set in &mut self.sets {
            let wanted = set.spec.replicas.unwrap();
            let status = set.status.get_or_insert(ReplicaSetStatus::default());
            let available = (status.available_replicas.unwrap_or(0) + up).min(wanted);
            *status = ReplicaSetStatus {
                replicas: wanted,
                ready_replicas: Some(available),
                available_replicas: Some(available),
                observed_generation: set.metadata.generation,
                ..ReplicaSetStatus::default()
            };
        }
    }

    fn settle(&mut self) {
        for _ in 0..100 {
            let before = self.sets.clone();
            let plan = self.round();
            self.follow(1000);
            if plan.steps.is_empty() && plan.status.is_none() && before == self.sets {
                return;
            }
        }
        panic!("it never settles");
    }

    fn sizes(&self) -> Vec<i32> {
        self.sets.iter().map(|set| set.spec.replicas.unwrap()).collect()
    }

    fn reason(&self, kind: &str) -> String {
        let status = self.deployment.status.as_ref().unwrap();
        status::get(status, kind).and_then(|condition| condition.reason.clone()).unwrap_or_default()
    }

    fn image(&mut self, image: &str) {
        self.deployment.spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.into());
        *self.deployment.metadata.generation.as_mut().unwrap() += 1;
    }
}

#[test]
fn a_new_deployment_makes_one_set_and_becomes_available() {
    let mut world = World::new(deployment(3, "app:1", rolling(json!("25%"), json!("25%"))));
    world.round();
    assert_eq!((world.sizes(), world.reason("Progressing")), (vec![3], reason::CREATED.into()));
    assert_eq!(world.reason("Available"), reason::TOO_FEW);
    let set = world.sets[0].clone();
    let hash = &set.metadata.labels.as_ref().unwrap()["pod-template-hash"];
    assert_eq!(set.metadata.name.as_deref(), Some(&*format!("web-{hash}")));
    assert_eq!(set.spec.selector.match_labels.as_ref().unwrap()["pod-template-hash"], *hash);
    let annotations = set.metadata.annotations.as_ref().unwrap();
    assert_eq!((&*annotations[REVISION], &*annotations[DESIRED_REPLICAS], &*annotations[MAX_REPLICAS]), ("1", "3", "4"));
    world.settle();
    assert_eq!((world.reason("Progressing"), world.reason("Available")), (reason::AVAILABLE.into(), reason::ENOUGH.into()));
    let conditions = world.deployment.status.clone().unwrap().conditions.unwrap();
    let message = conditions.iter().find(|c| c.type_.as_deref() == Some("Progressing")).unwrap().message.clone().unwrap();
    assert_eq!(message, format!("ReplicaSet \"web-{hash}\" has successfully progressed."));
}

#[test]
fn a_rolling_update_goes_by_its_bounds_and_back_to_a_former_template_without_a_new_set() {
    let mut world = World::new(deployment(4, "app:1", rolling(json!(1), json!(1))));
    world.settle();
    world.image("app:2");
    world.round();
    assert_eq!(world.sizes(), [3, 1], "one more, and one less, as the new one counts as missing");
    world.settle();
    assert_eq!(world.sizes(), [0, 4]);
    world.image("app:1");
    world.settle();
    assert_eq!(world.sizes(), [4, 0]);
    let annotations = world.sets[0].metadata.annotations.as_ref().unwrap();
    assert_eq!((&*annotations[REVISION], &*annotations[REVISION_HISTORY]), ("3", "1"));
    assert_eq!(world.deployment.metadata.annotations.as_ref().unwrap()[REVISION], "3");
}

#[test]
fn recreate_ends_everything_old_before_anything_new() {
    let mut world = World::new(deployment(3, "app:1", json!({"type": "Recreate"})));
    world.settle();
    world.image("app:2");
    world.round();
    assert_eq!(world.sizes(), [0]);
    world.round();
    assert_eq!(world.sizes(), [0], "the old pods have not ended");
    world.follow(0);
    world.round();
    assert_eq!(world.sizes(), [0, 3]);
}

#[test]
fn scaling_in_the_midst_of_a_rollout_is_shared_out() {
    let mut world = World::new(deployment(10, "app:1", rolling(json!(3), json!(2))));
    world.settle();
    world.image("app:2");
    world.round();
    let before = world.sizes();
    assert_eq!(before, [8, 3]);
    world.deployment.spec.replicas = Some(20);
    world.round();
    assert_eq!(world.sizes().iter().sum::<i32>(), 23);
    assert!(world.sizes().iter().zip(&before).all(|(after, before)| after > before), "{before:?} {:?}", world.sizes());
    world.settle();
    assert_eq!(world.sizes(), [0, 20]);
}

#[test]
fn a_paused_deployment_scales_and_does_not_roll() {
    let mut world = World::new(deployment(2, "app:1", rolling(json!(1), json!(0))));
    world.settle();
    world.deployment.spec.paused = Some(true);
    world.image("app:2");
    world.deployment.spec.replicas = Some(5);
    world.settle();
    assert_eq!((world.sizes(), world.reason("Progressing")), (vec![5], reason::PAUSED.into()));
    world.deployment.spec.paused = Some(false);
    world.settle();
    assert_eq!((world.sizes(), world.reason("Progressing")), (vec![0, 5], reason::AVAILABLE.into()));
}

#[test]
fn a_rollout_that_does_not_move_times_out_and_recovers() {
    let mut world = World::new(deployment(2, "app:1", rolling(json!(1), json!(0))));
    world.round();
    world.follow(0);
    world.round();
    let again = world.round().look_again;
    world.now = again.unwrap();
    world.round();
    assert_eq!(world.reason("Progressing"), reason::TIMED_OUT);
    world.settle();
    assert_eq!(world.reason("Progressing"), reason::AVAILABLE);
}

#[test]
fn the_history_is_cut_at_its_limit() {
    let mut world = World::new(deployment(1, "app:0", rolling(json!(1), json!(0))));
    for version in 1..6 {
        world.settle();
        world.image(&format!("app:{version}"));
    }
    world.settle();
    let revisions: Vec<_> = world.sets.iter().map(annotations::revision).collect();
    assert_eq!(revisions, [4, 5, 6]);
}

#[test]
fn templates_are_compared_by_what_they_make() {
    let template = deployment(1, "a", json!({})).spec.template;
    let mut other = template.clone();
    other.spec.as_mut().unwrap().containers[0].args = Some(Vec::new());
    other.metadata.as_mut().unwrap().labels.as_mut().unwrap().insert("pod-template-hash".into(), "x".into());
    assert!(same_template(&template, &other));
    other.spec.as_mut().unwrap().containers[0].args = Some(vec!["x".into()]);
    assert!(!same_template(&template, &other));
    assert_ne!(hash_of(&template, None), hash_of(&template, Some(1)));
}

proptest! {
    #[test]
    fn no_round_breaks_a_bound(wanted in 0..12_i32, surge in 0..5_i32, unavailable in 0..5_i32, ups in proptest::collection::vec(0..4_i32, 40)) {
        let mut world = World::new(deployment(wanted, "app:1", rolling(json!(surge), json!(unavailable))));
        world.settle();
        world.image("app:2");
        let bounds = Bounds::of(&world.deployment);
        for up in ups {
            world.round();
            let total: i32 = world.sizes().iter().sum();
            prop_assert!(total <= wanted + bounds.surge, "{total} pods");
            world.follow(0);
            let available: i32 = world.sets.iter().map(scale::available).sum();
            prop_assert!(available >= wanted - bounds.unavailable, "{available} available");
            world.follow(up);
        }
        world.settle();
        prop_assert_eq!(world.sizes(), [0, wanted]);
    }
}

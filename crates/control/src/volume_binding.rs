//! Claims and volumes find each other, and the default class gets its volumes made: as folders of the node that the scheduler chose.
//! What becomes of each, `decide::volume_binding` says. Never touches a folder: the node makes it at the first mount, and takes it away when
//! it sees a deleted volume with our finalizer, which it then removes.

mod bind;
mod provision;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use client::events::Recorder;
use client::reconcile::Next;
use client::{Cache, Index, Key, Queue};
use decide::volume_binding::plan::{ClaimPlan, Held, VolumePlan, plan_claim, plan_volume};
use decide::volume_binding::{BOUND_BY_CONTROLLER, Claim, Class, Volume, Volumes};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};

use crate::apply::{self, ApplyError};
use crate::wiring::{Wiring, Work};

/// On a volume: who made it.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// On a volume: the node that has its folder.
const NODE: &str = "coracle.dev/node";
/// On a volume: its folder is still there.
const FINALIZER: &str = "coracle.dev/local-path";

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Item {
    Claim(Key),
    Volume(Key),
}

/// Volumes and classes as `decide` sees them, kept by events.
#[derive(Default)]
struct Known {
    volumes: Volumes,
    classes: BTreeMap<String, Class>,
    /// What was told about a claim last, by uid, so that waiting is not told again and again.
    told: HashMap<String, String>,
}

struct Binder {
    client: kube::Client,
    claims: Arc<Cache<PersistentVolumeClaim>>,
    volumes: Arc<Cache<PersistentVolume>>,
    classes: Arc<Cache<StorageClass>>,
    nodes: Arc<Cache<Node>>,
    /// Volumes by the claim that they name.
    by_claim: Index<PersistentVolume>,
    events: Recorder,
    known: Mutex<Known>,
    queue: Queue<Item>,
}

/// The controller of claims and volumes.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let volumes = wiring.cache::<PersistentVolume>();
        let binder = Arc::new(Binder {
            client: wiring.client.clone(),
            claims: wiring.cache(),
            by_claim: volumes.index("claim", |volume| claim_of(volume).into_iter().collect()),
            volumes,
            classes: wiring.cache(),
            nodes: wiring.cache(),
            events: wiring.recorder("persistentvolume-controller"),
            known: Mutex::default(),
            queue: Queue::new(),
        });
        follow(&binder);
        let queue = binder.queue.clone();
        wiring
            .work(queue, 4, move |item| {
                let binder = Arc::clone(&binder);
                async move {
                    match item {
                        Item::Claim(key) => binder.claim(key).await,
                        Item::Volume(key) => binder.volume(key).await,
                    }
                }
            })
            .await;
    })
}

/// `namespace/name` of the claim that a volume names.
fn claim_of(volume: &PersistentVolume) -> Option<String> {
    let claim = volume.spec.as_ref()?.claim_ref.as_ref()?;
    Some(Key::new(claim.namespace.as_deref()?, claim.name.as_deref()?).to_string())
}

fn follow(binder: &Arc<Binder>) {
    let weak = Arc::downgrade(binder);
    binder.classes.on_change(move |change| {
        let Some(binder) = weak.upgrade() else { return };
        match &change.new {
            Some(class) => drop(binder.known().classes.insert(change.key.name().to_owned(), Class::new(class))),
            None => drop(binder.known().classes.remove(change.key.name())),
        }
        binder.look_at_unbound(change.key.name());
    });
    let weak = Arc::downgrade(binder);
    binder.volumes.on_change(move |change| {
        let Some(binder) = weak.upgrade() else { return };
        match &change.new {
            Some(volume) => drop(binder.known().volumes.insert(change.key.name().to_owned(), Volume::new(volume))),
            None => drop(binder.known().volumes.remove(change.key.name())),
        }
        binder.queue.add(Item::Volume(change.key.clone()));
        for volume in change.both() {
            match claim_of(volume).as_deref().and_then(|claim| claim.split_once('/')) {
                Some((namespace, name)) => binder.queue.add(Item::Claim(Key::new(namespace, name))),
                None => binder.look_at_unbound(&Volume::new(volume).class),
            }
        }
    });
    let weak = Arc::downgrade(binder);
    binder.claims.on_change(move |change| {
        let Some(binder) = weak.upgrade() else { return };
        binder.queue.add(Item::Claim(change.key.clone()));
        let named = change.both().filter_map(|claim| claim.spec.as_ref()?.volume_name.clone());
        for name in named {
            binder.queue.add(Item::Volume(Key::cluster(&name)));
        }
        for volume in binder.by_claim.get(&change.key.to_string()) {
            binder.queue.add(Item::Volume(Key::of(&*volume)));
        }
        if let (Some(old), None) = (&change.old, &change.new) {
            binder.known().told.remove(old.metadata.uid.as_deref().unwrap_or_default());
        }
    });
    let weak = Arc::downgrade(binder);
    binder.nodes.on_change(move |change| {
        let Some(binder) = weak.upgrade().filter(|_| change.new.is_none()) else { return };
        for volume in binder.volumes.list().iter().filter(|volume| volume.metadata.deletion_timestamp.is_some()) {
            binder.queue.add(Item::Volume(Key::of(&**volume)));
        }
    });
}

impl Binder {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims of a class that have no volume yet may get one now.
    fn look_at_unbound(&self, class: &str) {
        let unbound = self.claims.list().into_iter().filter(|claim| {
            let spec = claim.spec.as_ref();
            spec.is_some_and(|spec| spec.volume_name.is_none() && spec.storage_class_name.as_deref().unwrap_or_default() == class)
        });
        for claim in unbound {
            self.queue.add(Item::Claim(Key::of(&*claim)));
        }
    }

    async fn claim(&self, key: Key) -> Result<Next, ApplyError> {
        let Some(typed) = self.claims.get(&key) else { return Ok(Next::OnChange) };
        let claim = Claim::new(&typed);
        let plan = {
            let known = self.known();
            plan_claim(&claim, known.classes.get(claim.class_name()), &known.volumes)
        };
        match plan {
            ClaimPlan::Bind(volume) => {
                if let Some(volume) = self.volumes.get(&Key::cluster(&volume)) {
                    self.bind(&typed, &volume).await?;
                }
            }
            ClaimPlan::Lose(reason, message) => {
                if self.set_claim_phase(&typed, "Lost").await? {
                    self.events.warning(&*typed, reason, message);
                }
            }
            ClaimPlan::Provision(node) => self.provision(&typed, &claim, node).await?,
            ClaimPlan::Ask(provisioner) => self.ask(&typed, &provisioner).await?,
            ClaimPlan::Wait(told) => {
                self.set_claim_phase(&typed, "Pending").await?;
                if let Some((reason, message)) = told {
                    self.tell(&typed, reason, message);
                }
            }
        }
        Ok(Next::OnChange)
    }

    /// Tells something about a claim, unless it was told last.
    fn tell(&self, claim: &PersistentVolumeClaim, reason: &'static str, message: String) {
        let uid = claim.metadata.uid.clone().unwrap_or_default();
        if self.known().told.insert(uid, message.clone()).as_ref() == Some(&message) {
            return;
        }
        match reason {
            "WaitForFirstConsumer" | "ExternalProvisioning" | "FailedBinding" => self.events.normal(claim, reason, message),
            _ => self.events.warning(claim, reason, message),
        }
    }

    async fn volume(&self, key: Key) -> Result<Next, ApplyError> {
        let Some(typed) = self.volumes.get(&key) else { return Ok(Next::OnChange) };
        let volume = Volume::new(&typed);
        let claim = volume.claim.as_ref().and_then(|((namespace, name), _)| self.claims.find(namespace, name));
        let annotation = |name: &str| typed.metadata.annotations.as_ref().and_then(|all| all.get(name)).map(String::as_str);
        let reclaim = typed.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        let held = Held {
            reclaim: reclaim.unwrap_or("Retain"),
            provisioner: annotation(PROVISIONED_BY).unwrap_or_default(),
            chosen: annotation(BOUND_BY_CONTROLLER).is_some(),
        };
        match plan_volume(&volume, held, claim.as_deref().map(Claim::new).as_ref()) {
            VolumePlan::Keep(phase) => drop(self.set_volume_phase(&typed, phase).await?),
            VolumePlan::TellClaim => {
                if let Some(claim) = claim {
                    self.queue.add(Item::Claim(Key::of(&*claim)));
                }
                if volume.claim.is_some_and(|(_, uid)| uid.is_empty()) {
                    self.set_volume_phase(&typed, "Available").await?;
                }
            }
            VolumePlan::Unbind => self.unbind(&typed).await?,
            VolumePlan::Release => drop(self.set_volume_phase(&typed, "Released").await?),
            VolumePlan::Delete => self.delete(&typed, &volume).await?,
        }
        self.let_go(&key).await?;
        Ok(Next::OnChange)
    }

    /// Deletes a volume whose claim is gone; that it is gone is asked once more, since data goes with it.
    async fn delete(&self, typed: &PersistentVolume, volume: &Volume) -> Result<(), ApplyError> {
        if let Some(((namespace, name), uid)) = &volume.claim {
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
            let now = claims.get_opt(name).await.map_err(ApplyError::read("a claim"))?;
            let same = |claim: &PersistentVolumeClaim| {
                let other =
                    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).is_some_and(|name| name != volume.name);
                claim.metadata.uid.as_ref() == Some(uid) && !other
            };
            if now.as_ref().is_some_and(same) {
                return Ok(());
            }
        }
        self.set_volume_phase(typed, "Released").await?;
        if volume.terminating {
            return Ok(());
        }
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let precondition = Preconditions { uid: typed.metadata.uid.clone(), resource_version: None };
        match api.delete(&volume.name, &DeleteParams::default().preconditions(precondition)).await {
            Ok(_) => Ok(()),
            Err(error) if apply::is_not_found(&error) => Ok(()),
            Err(error) => {
                self.events.warning(typed, "VolumeFailedDelete", apply::message(&error));
                Err(ApplyError::write("a volume")(error))
            }
        }
    }

    /// A folder on a node that is gone is gone too.
    async fn let_go(&self, key: &Key) -> Result<(), ApplyError> {
        let Some(typed) = self.volumes.get(key).filter(|typed| typed.metadata.deletion_timestamp.is_some()) else {
            return Ok(());
        };
        let node = typed.metadata.annotations.as_ref().and_then(|all| all.get(NODE)).cloned().unwrap_or_default();
        let waits = typed.metadata.finalizers.iter().flatten().any(|one| one == FINALIZER);
        if !waits || self.nodes.get(&Key::cluster(&node)).is_some() {
            return Ok(());
        }
        let mut typed = (*typed).clone();
        typed.metadata.finalizers.get_or_insert_default().retain(|one| one != FINALIZER);
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        match api.replace(key.name(), &PostParams::default(), &typed).await {
            Ok(_) => Ok(()),
            Err(error) if apply::is_not_found(&error) => Ok(()),
            Err(error) => Err(ApplyError::write("a volume")(error)),
        }
    }
}

//! What the scheduler knows: nodes with their pods, namespaces, volumes, budgets and the selectors of Services and workloads. A persistent
//! state that events update in place; no decision copies it. A pod that was given a node counts there at once (assumed), before the
//! server says so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::selector::{LabelSelector, Requirement};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::labels::{self, Labels};
use super::node::Node;
use super::pod::{Pod, Uid};
use super::pod_affinity::Namespaces;
use super::{ClaimPlan, ClaimStep, Placement};
use crate::volume_binding::{Claim, ClaimKey, Class, Volume, Volumes};

/// How many pods of a selection may be disrupted.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The pods that it protects.
    pub selector: LabelSelector,
    /// How many more may go.
    pub allowed: i64,
    /// Pods that already go, by name.
    pub disrupted: Vec<String>,
}

impl Budget {
    /// The budget of a typed object.
    #[must_use]
    pub fn new(typed: &PodDisruptionBudget) -> Self {
        let spec = typed.spec.as_ref();
        let status = typed.status.as_ref();
        let disrupted = status.and_then(|status| status.disrupted_pods.as_ref());
        Self {
            namespace: typed.metadata.namespace.as_deref().unwrap_or_default().into(),
            selector: labels::selector(spec.and_then(|spec| spec.selector.as_ref())),
            allowed: i64::from(status.and_then(|status| status.disruptions_allowed).unwrap_or_default()),
            disrupted: disrupted.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        }
    }
}

/// Who selects pods: kind (`Service`, `ReplicaSet`, …), namespace and name.
pub type OwnerKey = (String, String, String);

/// The state.
#[derive(Debug, Default)]
pub struct Cluster {
    nodes: BTreeMap<Arc<str>, Node>,
    pods: HashMap<Uid, Arc<str>>,
    /// Pods on nodes that are not known (yet), by node.
    homeless: HashMap<Arc<str>, Vec<Arc<Pod>>>,
    nominated: HashMap<Uid, Arc<Pod>>,
    namespaces: Namespaces,
    images: HashMap<String, usize>,
    claims: BTreeMap<ClaimKey, Claim>,
    claim_users: HashMap<ClaimKey, usize>,
    volumes: Volumes,
    classes: BTreeMap<String, Class>,
    reserved: HashMap<String, ClaimKey>,
    budgets: BTreeMap<OwnerKey, Budget>,
    selectors: BTreeMap<OwnerKey, LabelSelector>,
}

impl Cluster {
    /// The nodes by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// How many nodes there are.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The labels of namespaces.
    #[must_use]
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// On how many nodes an image is.
    #[must_use]
    pub fn image_spread(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or_default()
    }

    /// The claim of that key.
    #[must_use]
    pub fn claim(&self, key: &ClaimKey) -> Option<&Claim> {
        self.claims.get(key)
    }

    /// The volumes by name.
    #[must_use]
    pub fn volumes(&self) -> &Volumes {
        &self.volumes
    }

    /// The class of that name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.classes.get(name)
    }

    /// Whether a volume is promised to another claim.
    #[must_use]
    pub fn is_reserved(&self, volume: &str, claim: &ClaimKey) -> bool {
        self.reserved.get(volume).is_some_and(|holder| holder != claim)
    }

    /// How many placed pods mount a claim.
    #[must_use]
    pub fn claim_users(&self, key: &ClaimKey) -> usize {
        self.claim_users.get(key).copied().unwrap_or_default()
    }

    /// The budgets.
    pub fn budgets(&self) -> impl Iterator<Item = &Budget> {
        self.budgets.values()
    }

    /// Pods that wait for a node which was chosen for them.
    pub fn nominated(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.nominated.values()
    }

    /// The node on which a pod counts.
    #[must_use]
    pub fn place_of(&self, uid: &str) -> Option<&str> {
        self.pods.get(uid).map(|node| &**node)
    }

    /// What selects the pod and those like it: its Services and the workload that owns it.
    #[must_use]
    pub fn siblings(&self, pod: &Pod) -> Option<LabelSelector> {
        let mut requirements: Vec<Requirement> = Vec::new();
        let from = ("Service".to_owned(), pod.namespace.to_string(), String::new());
        let services = self
            .selectors
            .range(from..)
            .take_while(|((kind, namespace, _), _)| kind == "Service" && **namespace == *pod.namespace);
        for (_, selector) in services {
            if !selector.is_everything() && labels::matches(selector, &pod.labels) {
                requirements.extend_from_slice(selector.requirements());
            }
        }
        if let Some((kind, name)) = &pod.controller
            && let Some(selector) = self.selectors.get(&(kind.clone(), pod.namespace.to_string(), name.clone()))
        {
            requirements.extend_from_slice(selector.requirements());
        }
        (!requirements.is_empty()).then(|| LabelSelector::of(requirements))
    }

    /// A node came or changed.
    pub fn put_node(&mut self, mut node: Node) {
        for image in node.images.keys() {
            *self.images.entry(image.clone()).or_default() += 1;
        }
        if let Some(older) = self.nodes.remove(&node.name) {
            self.forget_images(&older);
            node.inherit(older);
        }
        for pod in self.homeless.remove(&node.name).into_iter().flatten() {
            node.add(pod);
        }
        self.nodes.insert(node.name.clone(), node);
    }

    fn forget_images(&mut self, node: &Node) {
        for image in node.images.keys() {
            if let Some(count) = self.images.get_mut(image) {
                *count -= 1;
                if *count == 0 {
                    self.images.remove(image);
                }
            }
        }
    }

    /// A node is gone; its pods stay known until they are gone too.
    pub fn remove_node(&mut self, name: &str) {
        let Some(node) = self.nodes.remove(name) else { return };
        self.forget_images(&node);
        if !node.pods().is_empty() {
            self.homeless.insert(node.name.clone(), node.pods().to_vec());
        }
    }

    /// A pod on a node came or changed. One without a node does not belong here.
    pub fn put_pod(&mut self, pod: Arc<Pod>) {
        self.remove_pod(&pod.uid);
        let name: Arc<str> =
            self.nodes.get_key_value(pod.node.as_str()).map_or_else(|| pod.node.as_str().into(), |(name, _)| name.clone());
        for claim in &pod.claims {
            *self.claim_users.entry(claim_key(&pod, &claim.name)).or_default() += 1;
        }
        self.pods.insert(pod.uid.clone(), name.clone());
        match self.nodes.get_mut(&name) {
            Some(node) => node.add(pod),
            None => self.homeless.entry(name).or_default().push(pod),
        }
    }

    /// A pod is gone or ran to its end.
    pub fn remove_pod(&mut self, uid: &str) {
        self.nominated.remove(uid);
        let Some(name) = self.pods.remove(uid) else { return };
        let removed = match self.nodes.get_mut(&name) {
            Some(node) => node.remove(uid),
            None => self.remove_homeless(&name, uid),
        };
        for claim in removed.iter().flat_map(|pod| &pod.claims) {
            let key = claim_key(removed.as_ref().expect("iterated"), &claim.name);
            if let Some(users) = self.claim_users.get_mut(&key) {
                *users -= 1;
                if *users == 0 {
                    self.claim_users.remove(&key);
                }
            }
        }
    }

    fn remove_homeless(&mut self, node: &str, uid: &str) -> Option<Arc<Pod>> {
        let pods = self.homeless.get_mut(node)?;
        let index = pods.iter().position(|pod| &*pod.uid == uid)?;
        let pod = pods.swap_remove(index);
        if pods.is_empty() {
            self.homeless.remove(node);
        }
        Some(pod)
    }

    /// A waiting pod is to get that node once others have left it; an empty name takes that back.
    pub fn nominate(&mut self, pod: &Arc<Pod>, node: &str) {
        if node.is_empty() {
            self.nominated.remove(&pod.uid);
        } else {
            let mut pod = Pod::clone(pod);
            node.clone_into(&mut pod.nominated);
            self.nominated.insert(pod.uid.clone(), Arc::new(pod));
        }
    }

    /// A pod was given a node: it and its volumes count from now on, though nobody wrote it down yet.
    pub fn assume(&mut self, pod: &Pod, placement: &Placement) {
        let mut assumed = pod.clone();
        assumed.node.clone_from(&placement.node);
        self.put_pod(Arc::new(assumed));
        for ClaimPlan { claim, step } in &placement.claims {
            match step {
                ClaimStep::Bind(volume) => {
                    self.reserved.insert(volume.clone(), claim.clone());
                }
                ClaimStep::Provision => {
                    if let Some(claim) = self.claims.get_mut(claim) {
                        claim.selected_node = Some(placement.node.clone());
                    }
                }
            }
        }
    }

    /// An assumption did not come true.
    pub fn forget(&mut self, uid: &str, placement: &Placement) {
        self.remove_pod(uid);
        for ClaimPlan { claim, step } in &placement.claims {
            match step {
                ClaimStep::Bind(volume) => {
                    self.reserved.remove(volume);
                }
                ClaimStep::Provision => {
                    if let Some(claim) = self.claims.get_mut(claim) {
                        claim.selected_node = None;
                    }
                }
            }
        }
    }

    /// A namespace came or changed its labels.
    pub fn put_namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.into(), labels);
    }

    /// A namespace is gone.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// A claim came or changed.
    pub fn put_claim(&mut self, claim: Claim) {
        self.claims.insert(claim.key.clone(), claim);
    }

    /// A claim is gone.
    pub fn remove_claim(&mut self, key: &ClaimKey) {
        self.claims.remove(key);
    }

    /// A volume came or changed.
    pub fn put_volume(&mut self, volume: Volume) {
        if volume.claim.is_some() {
            self.reserved.remove(&volume.name);
        }
        self.volumes.insert(volume.name.clone(), volume);
    }

    /// A volume is gone.
    pub fn remove_volume(&mut self, name: &str) {
        self.reserved.remove(name);
        self.volumes.remove(name);
    }

    /// A class came or changed.
    pub fn put_class(&mut self, name: &str, class: Class) {
        self.classes.insert(name.to_owned(), class);
    }

    /// A class is gone.
    pub fn remove_class(&mut self, name: &str) {
        self.classes.remove(name);
    }

    /// A budget came or changed.
    pub fn put_budget(&mut self, key: OwnerKey, budget: Budget) {
        self.budgets.insert(key, budget);
    }

    /// A budget is gone.
    pub fn remove_budget(&mut self, key: &OwnerKey) {
        self.budgets.remove(key);
    }

    /// A Service or workload came or changed what it selects.
    pub fn put_selector(&mut self, key: OwnerKey, selector: LabelSelector) {
        self.selectors.insert(key, selector);
    }

    /// A Service or workload is gone.
    pub fn remove_selector(&mut self, key: &OwnerKey) {
        self.selectors.remove(key);
    }
}

/// The key of a pod's claim.
#[must_use]
pub fn claim_key(pod: &Pod, name: &str) -> ClaimKey {
    (pod.namespace.clone(), name.into())
}

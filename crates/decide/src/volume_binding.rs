//! Which volume a claim gets. Owns what claims, volumes and classes are to those who decide, and the match between them;
//! scheduling asks it for one node, the binder for none. Never makes a volume: it only says that one must be made.

pub mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::selector::LabelSelector;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, TopologySelectorTerm};
use k8s_openapi::api::storage::v1::StorageClass;

use crate::scheduling::labels::{self, Labels};
use crate::scheduling::node_affinity::NodeSelector;
use crate::scheduling::resources::whole;

/// On a claim: the node for which its volume is to be made.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// On a claim: its volume is bound for good.
pub const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// On a claim or volume: the binder chose the other side, no user did.
pub const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The provisioner of classes that make no volumes.
pub const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
const OLD_CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// Namespace and name of a claim.
pub type ClaimKey = (Arc<str>, Arc<str>);

/// A claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Namespace and name.
    pub key: ClaimKey,
    /// Its uid.
    pub uid: String,
    /// The volume that it has or asks for by name.
    pub volume: Option<String>,
    /// Whether volume and claim are bound for good.
    pub bound: bool,
    /// Its class; an empty one wants a volume without a class.
    pub class: Option<String>,
    /// The ways in which it is to be mounted.
    pub modes: Vec<String>,
    /// Its size in bytes.
    pub size: i64,
    /// `Filesystem` or `Block`.
    pub volume_mode: String,
    /// Which volumes it may have; none when it does not say.
    pub selector: Option<LabelSelector>,
    /// The node for which a volume is to be made.
    pub selected_node: Option<String>,
    /// Whether its volume is gone.
    pub lost: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// The pod that owns it, by uid.
    pub owner: Option<String>,
    /// Its attributes class.
    pub attributes: String,
}

impl Claim {
    /// The claim of a typed object.
    #[must_use]
    pub fn new(typed: &PersistentVolumeClaim) -> Self {
        let meta = &typed.metadata;
        let annotation = |name: &str| meta.annotations.as_ref().and_then(|all| all.get(name)).cloned();
        let spec = typed.spec.clone().unwrap_or_default();
        let volume = spec.volume_name.filter(|name| !name.is_empty());
        let requests = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
        let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        Self {
            key: key(meta.namespace.as_deref(), meta.name.as_deref()),
            uid: meta.uid.clone().unwrap_or_default(),
            bound: volume.is_some() && annotation(BIND_COMPLETED).is_some(),
            volume,
            class: annotation(OLD_CLASS).or(spec.storage_class_name),
            modes: spec.access_modes.unwrap_or_default(),
            size: requests.get("storage").map(whole).unwrap_or_default(),
            volume_mode: spec.volume_mode.unwrap_or_else(|| "Filesystem".to_owned()),
            selector: spec.selector.as_ref().map(|typed| labels::selector(Some(typed))),
            selected_node: annotation(SELECTED_NODE),
            lost: typed.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost"),
            terminating: meta.deletion_timestamp.is_some(),
            owner: owner.map(|owner| owner.uid.clone()),
            attributes: spec.volume_attributes_class_name.unwrap_or_default(),
        }
    }

    /// Its class, empty for none.
    #[must_use]
    pub fn class_name(&self) -> &str {
        self.class.as_deref().unwrap_or_default()
    }
}

/// A key out of optional parts of an object's metadata.
#[must_use]
pub fn key(namespace: Option<&str>, name: Option<&str>) -> ClaimKey {
    (namespace.unwrap_or_default().into(), name.unwrap_or_default().into())
}

/// A volume.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its size in bytes.
    pub size: i64,
    /// Its class, empty for none.
    pub class: String,
    /// The ways in which it can be mounted.
    pub modes: Vec<String>,
    /// `Filesystem` or `Block`.
    pub volume_mode: String,
    /// The nodes from which it can be reached; all when it does not say.
    pub affinity: Option<NodeSelector>,
    /// The claim that has it or is to have it, with its uid, empty when it is only reserved by name.
    pub claim: Option<(ClaimKey, String)>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Its phase.
    pub phase: String,
    /// Its labels.
    pub labels: Labels,
    /// Its attributes class.
    pub attributes: String,
}

impl Volume {
    /// The volume of a typed object.
    #[must_use]
    pub fn new(typed: &PersistentVolume) -> Self {
        let spec = typed.spec.clone().unwrap_or_default();
        let annotations = typed.metadata.annotations.as_ref();
        let claim =
            spec.claim_ref.map(|claim| (key(claim.namespace.as_deref(), claim.name.as_deref()), claim.uid.unwrap_or_default()));
        let old_class = annotations.and_then(|all| all.get(OLD_CLASS)).cloned();
        Self {
            name: typed.metadata.name.clone().unwrap_or_default(),
            size: spec.capacity.unwrap_or_default().get("storage").map(whole).unwrap_or_default(),
            class: old_class.or(spec.storage_class_name).unwrap_or_default(),
            modes: spec.access_modes.unwrap_or_default(),
            volume_mode: spec.volume_mode.unwrap_or_else(|| "Filesystem".to_owned()),
            affinity: spec.node_affinity.and_then(|affinity| affinity.required).as_ref().map(NodeSelector::new),
            claim,
            terminating: typed.metadata.deletion_timestamp.is_some(),
            phase: typed.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default(),
            labels: typed.metadata.labels.clone().unwrap_or_default(),
            attributes: spec.volume_attributes_class_name.unwrap_or_default(),
        }
    }

    /// Whether it is the claim's, or kept for it.
    #[must_use]
    pub fn is_for(&self, claim: &Claim) -> bool {
        self.claim.as_ref().is_some_and(|(key, uid)| *key == claim.key && (uid.is_empty() || *uid == claim.uid))
    }

    /// Whether it can be reached from a node.
    #[must_use]
    pub fn reachable(&self, node: &str, labels: &Labels) -> bool {
        self.affinity.as_ref().is_none_or(|affinity| affinity.matches(node, labels))
    }

    /// Whether size, class and modes are what the claim asks for.
    #[must_use]
    pub fn satisfies(&self, claim: &Claim) -> bool {
        let selected = claim.selector.as_ref().is_none_or(|selector| labels::matches(selector, &self.labels));
        let modes = claim.modes.iter().all(|mode| self.modes.contains(mode));
        selected && modes && self.fits(claim) && self.class == claim.class_name() && self.attributes == claim.attributes
    }

    fn fits(&self, claim: &Claim) -> bool {
        self.size >= claim.size && self.volume_mode == claim.volume_mode && !self.terminating
    }
}

/// A storage class.
#[derive(Clone, Debug)]
pub struct Class {
    /// Who makes its volumes.
    pub provisioner: String,
    /// Whether volumes are bound only once a pod has its node.
    pub waits: bool,
    /// Where volumes can be made; everywhere when empty.
    pub topologies: Vec<TopologySelectorTerm>,
}

impl Class {
    /// The class of a typed object.
    #[must_use]
    pub fn new(typed: &StorageClass) -> Self {
        Self {
            provisioner: typed.provisioner.clone(),
            waits: typed.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"),
            topologies: typed.allowed_topologies.clone().unwrap_or_default(),
        }
    }

    /// Whether a volume can be made for a node with those labels.
    #[must_use]
    pub fn provisions_for(&self, labels: &Labels) -> bool {
        let matches = |term: &TopologySelectorTerm| {
            let mut wanted = term.match_label_expressions.iter().flatten();
            wanted.all(|one| labels.get(&one.key).is_some_and(|value| one.values.contains(value)))
        };
        self.provisioner != NO_PROVISIONER && (self.topologies.is_empty() || self.topologies.iter().any(matches))
    }
}

/// The volume for a claim: one that is kept for it, else the smallest that fits and is free. With a node, one that it can reach.
#[must_use]
pub fn best_match<'v>(
    claim: &Claim,
    volumes: impl Iterator<Item = &'v Volume>,
    node: Option<(&str, &Labels)>,
    taken: impl Fn(&str) -> bool,
) -> Option<&'v Volume> {
    let reachable = |volume: &Volume| node.is_none_or(|(name, labels)| volume.reachable(name, labels));
    let mut best: Option<&Volume> = None;
    for volume in volumes.filter(|volume| volume.fits(claim) && reachable(volume)) {
        if volume.is_for(claim) {
            return Some(volume);
        }
        let free = volume.claim.is_none() && volume.phase == "Available" && !taken(&volume.name) && volume.satisfies(claim);
        let smaller = best.is_none_or(|best| (volume.size, &volume.name) < (best.size, &best.name));
        if free && smaller {
            best = Some(volume);
        }
    }
    best
}

/// Volumes by name.
pub type Volumes = BTreeMap<String, Volume>;

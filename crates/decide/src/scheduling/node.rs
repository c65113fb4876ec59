//! A node with the pods on it, and the sums over them, kept as pods come and go.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node as Typed, Taint};

use super::labels::Labels;
use super::pod::{Pod, full_image_name};
use super::resources::{self, Resources};

/// A node.
#[derive(Clone, Debug, Default)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// Whether it takes no new pods.
    pub unschedulable: bool,
    /// What pods may take of it in all.
    pub allocatable: Resources,
    /// How many pods may run on it.
    pub max_pods: i64,
    /// Images on it with their sizes in bytes, by name.
    pub images: BTreeMap<String, i64>,
    pods: Vec<Arc<Pod>>,
    /// How many of the pods say something about other pods.
    affine: usize,
    requested: Resources,
    assumed: Resources,
}

impl Node {
    /// The node of a typed object, without pods.
    #[must_use]
    pub fn new(typed: &Typed) -> Self {
        let spec = typed.spec.as_ref();
        let status = typed.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref());
        let images = status.iter().flat_map(|status| status.images.iter().flatten());
        let names = images.flat_map(|image| {
            let size = image.size_bytes.unwrap_or_default();
            image.names.iter().flatten().map(move |name| (full_image_name(name), size))
        });
        Self {
            name: typed.metadata.name.as_deref().unwrap_or_default().into(),
            labels: typed.metadata.labels.clone().unwrap_or_default(),
            taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or_default(),
            allocatable: Resources::from_quantities(allocatable),
            max_pods: allocatable.and_then(|all| all.get("pods")).map(resources::whole).unwrap_or_default(),
            images: names.collect(),
            ..Self::default()
        }
    }

    /// The pods on it.
    #[must_use]
    pub fn pods(&self) -> &[Arc<Pod>] {
        &self.pods
    }

    /// Those of its pods that say something about other pods.
    pub fn affine_pods(&self) -> impl Iterator<Item = &Arc<Pod>> {
        let pods = if self.affine == 0 { &[][..] } else { &self.pods[..] };
        pods.iter().filter(|pod| !pod.pod_affinity.is_empty())
    }

    /// What its pods ask for.
    #[must_use]
    pub fn requested(&self) -> &Resources {
        &self.requested
    }

    /// What its pods count for when nodes are compared.
    #[must_use]
    pub fn assumed(&self) -> &Resources {
        &self.assumed
    }

    /// Takes the pods of the same node's older version over.
    pub fn inherit(&mut self, older: Self) {
        self.pods = older.pods;
        self.affine = older.affine;
        self.requested = older.requested;
        self.assumed = older.assumed;
    }

    /// A pod is on the node from now on.
    pub fn add(&mut self, pod: Arc<Pod>) {
        self.requested.add(&pod.requests);
        self.assumed.add(&pod.assumed_requests);
        self.affine += usize::from(!pod.pod_affinity.is_empty());
        self.pods.push(pod);
    }

    /// A pod is no more on the node; says whether it was.
    pub fn remove(&mut self, uid: &str) -> Option<Arc<Pod>> {
        let index = self.pods.iter().position(|pod| &*pod.uid == uid)?;
        let pod = self.pods.swap_remove(index);
        self.affine -= usize::from(!pod.pod_affinity.is_empty());
        self.requested.subtract(&pod.requests);
        self.assumed.subtract(&pod.assumed_requests);
        Some(pod)
    }

    /// Whether one of the node's pods has a host port that the pod wants.
    #[must_use]
    pub fn port_conflict(&self, pod: &Pod) -> bool {
        if pod.ports.is_empty() {
            return false;
        }
        let taken = self.pods.iter().flat_map(|other| &other.ports);
        taken.into_iter().any(|port| pod.ports.iter().any(|wanted| wanted.conflicts(port)))
    }
}

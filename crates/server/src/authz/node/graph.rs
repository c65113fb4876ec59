//! Which node needs which objects, from the pods bound to it. Fed object by object in the order of the store's log.

use api::document::{Value, meta};
use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

/// What a pod can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeededKind {
    /// The pod itself.
    Pod,
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
    /// A PersistentVolumeClaim.
    Claim,
    /// A ServiceAccount.
    ServiceAccount,
}

/// Kinds that the graph is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// `pods`
    Pod,
    /// `persistentvolumes`
    Volume,
    /// `volumeattachments`
    Attachment,
    /// `podcertificaterequests`
    PodCertificate,
}

impl Source {
    /// Every kind with its group and plural resource name.
    pub const ALL: [(Source, &'static str, &'static str); 4] = [
        (Source::Pod, "", "pods"),
        (Source::Volume, "", "persistentvolumes"),
        (Source::Attachment, "storage.k8s.io", "volumeattachments"),
        (Source::PodCertificate, "certificates.k8s.io", "podcertificaterequests"),
    ];
}

/// On a local volume: the node that has its folder.
pub(crate) const VOLUME_NODE: &str = "coracle.dev/node";

type Needed = (NeededKind, String, String);
type Name = (String, String);

struct Pod {
    uid: String,
    node: String,
    /// Ephemeral containers can bring new references; nothing else in a bound pod can.
    ephemeral: usize,
    needs: Vec<Needed>,
}

#[derive(Default)]
struct Edges {
    pods: HashMap<Name, Pod>,
    /// How many pods of a node need an object.
    needed: HashMap<Needed, HashMap<String, usize>>,
    /// Volume → the claim it is bound to.
    volumes: HashMap<String, Name>,
    /// Local volume → the node that has its folder.
    local_volumes: HashMap<String, String>,
    /// Secret → volumes whose driver needs it on the node.
    volume_secrets: HashMap<Name, HashSet<String>>,
    attachments: HashMap<String, String>,
    /// Request for a pod's certificate → its node.
    pod_certificates: HashMap<Name, String>,
}

/// The graph, safe to share.
#[derive(Default)]
pub struct Graph {
    edges: RwLock<Edges>,
}

impl Graph {
    /// Takes in an object as it is now.
    pub fn put(&self, source: Source, object: &Value) {
        let mut edges = self.edges.write().unwrap_or_else(PoisonError::into_inner);
        match source {
            Source::Pod => edges.put_pod(object),
            Source::Volume => edges.put_volume(object),
            Source::Attachment => {
                let node = object.str_at(&["spec", "nodeName"]).unwrap_or_default().to_owned();
                edges.attachments.insert(name_of(object).1, node);
            }
            Source::PodCertificate => {
                let node = object.str_at(&["spec", "nodeName"]).unwrap_or_default().to_owned();
                edges.pod_certificates.insert(name_of(object), node);
            }
        }
    }

    /// Takes over what another graph knows, in one moment.
    pub fn replace(&self, other: Self) {
        let fresh = other.edges.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.edges.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Forgets an object.
    pub fn remove(&self, source: Source, namespace: &str, name: &str) {
        let mut edges = self.edges.write().unwrap_or_else(PoisonError::into_inner);
        match source {
            Source::Pod => edges.remove_pod(&(namespace.to_owned(), name.to_owned())),
            Source::Volume => edges.remove_volume(name),
            Source::Attachment => {
                edges.attachments.remove(name);
            }
            Source::PodCertificate => {
                edges.pod_certificates.remove(&(namespace.to_owned(), name.to_owned()));
            }
        }
    }

    /// Whether a pod bound to `node` needs this object.
    pub fn needed(&self, kind: NeededKind, namespace: &str, name: &str, node: &str) -> bool {
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        if edges.needs(kind, namespace, name, node) {
            return true;
        }
        // A secret can also be needed through a volume whose claim a pod of the node uses.
        kind == NeededKind::Secret
            && edges
                .volume_secrets
                .get(&(namespace.to_owned(), name.to_owned()))
                .is_some_and(|volumes| volumes.iter().any(|volume| edges.volume_needed(volume, node)))
    }

    /// Whether a pod bound to `node` uses the claim of this volume.
    pub fn volume_needed(&self, volume: &str, node: &str) -> bool {
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        edges.volume_needed(volume, node)
    }

    /// Whether a node has the folder of this volume.
    pub fn is_local(&self, volume: &str, node: &str) -> bool {
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        !node.is_empty() && edges.local_volumes.get(volume).is_some_and(|n| n == node)
    }

    /// Whether a request for a pod's certificate is this node's.
    pub fn requested_by(&self, namespace: &str, name: &str, node: &str) -> bool {
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        let found = edges.pod_certificates.get(&(namespace.to_owned(), name.to_owned()));
        !node.is_empty() && found.is_some_and(|n| n == node)
    }

    /// Whether an attachment names this node.
    pub fn attached_to(&self, attachment: &str, node: &str) -> bool {
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        !node.is_empty() && edges.attachments.get(attachment).is_some_and(|n| n == node)
    }
}

impl Edges {
    fn needs(&self, kind: NeededKind, namespace: &str, name: &str, node: &str) -> bool {
        let key = (kind, namespace.to_owned(), name.to_owned());
        self.needed.get(&key).is_some_and(|nodes| nodes.contains_key(node))
    }

    fn volume_needed(&self, volume: &str, node: &str) -> bool {
        self.volumes.get(volume).is_some_and(|(namespace, claim)| self.needs(NeededKind::Claim, namespace, claim, node))
    }

    fn put_pod(&mut self, pod: &Value) {
        let key = name_of(pod);
        let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
        if node.is_empty() {
            return self.remove_pod(&key);
        }
        let ephemeral = pod.array_at(&["spec", "ephemeralContainers"]).len();
        let uid = meta::uid(pod);
        if self.pods.get(&key).is_some_and(|p| p.node == node && p.uid == uid && p.ephemeral == ephemeral) {
            return;
        }
        self.remove_pod(&key);
        let mut needs = vec![(NeededKind::Pod, key.0.clone(), key.1.clone())];
        // A node that makes mirror pods gains nothing by naming secrets in them.
        if pod.str_at(&["metadata", "annotations", "kubernetes.io/config.mirror"]).is_none() {
            collect_needs(pod, &key.0, &key.1, &mut needs);
        }
        for need in &needs {
            *self.needed.entry(need.clone()).or_default().entry(node.to_owned()).or_default() += 1;
        }
        let pod = Pod { uid: uid.to_owned(), node: node.to_owned(), ephemeral, needs };
        self.pods.insert(key, pod);
    }

    fn remove_pod(&mut self, key: &Name) {
        let Some(pod) = self.pods.remove(key) else { return };
        for need in pod.needs {
            let Some(nodes) = self.needed.get_mut(&need) else { continue };
            if let Some(count) = nodes.get_mut(&pod.node) {
                *count -= 1;
                if *count == 0 {
                    nodes.remove(&pod.node);
                }
            }
            if nodes.is_empty() {
                self.needed.remove(&need);
            }
        }
    }

    fn put_volume(&mut self, volume: &Value) {
        let (_, name) = name_of(volume);
        self.remove_volume(&name);
        if let Some(node) = meta::annotation(volume, VOLUME_NODE) {
            self.local_volumes.insert(name.clone(), node.to_owned());
        }
        let claim = (
            volume.str_at(&["spec", "claimRef", "namespace"]).unwrap_or_default().to_owned(),
            volume.str_at(&["spec", "claimRef", "name"]).unwrap_or_default().to_owned(),
        );
        if claim.1.is_empty() {
            return;
        }
        for secret in ["nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"] {
            let at = |field| volume.str_at(&["spec", "csi", secret, field]).unwrap_or_default().to_owned();
            let key = (at("namespace"), at("name"));
            if !key.1.is_empty() {
                self.volume_secrets.entry(key).or_default().insert(name.clone());
            }
        }
        self.volumes.insert(name, claim);
    }

    fn remove_volume(&mut self, name: &str) {
        self.local_volumes.remove(name);
        if self.volumes.remove(name).is_some() {
            self.volume_secrets.retain(|_, volumes| {
                volumes.remove(name);
                !volumes.is_empty()
            });
        }
    }
}

fn name_of(object: &Value) -> Name {
    let at = |field| object.str_at(&["metadata", field]).unwrap_or_default().to_owned();
    (at("namespace"), at("name"))
}

/// Everything that a pod names: kind, namespace and name.
pub fn pod_needs(pod: &Value, namespace: &str, pod_name: &str) -> Vec<(NeededKind, String, String)> {
    let mut needs = Vec::new();
    collect_needs(pod, namespace, pod_name, &mut needs);
    needs
}

fn collect_needs(pod: &Value, namespace: &str, pod_name: &str, needs: &mut Vec<Needed>) {
    let mut add = |kind, name: Option<&str>| {
        if let Some(name) = name.filter(|n| !n.is_empty()) {
            let need = (kind, namespace.to_owned(), name.to_owned());
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
    };
    add(NeededKind::ServiceAccount, pod.str_at(&["spec", "serviceAccountName"]));
    for secret in pod.array_at(&["spec", "imagePullSecrets"]) {
        add(NeededKind::Secret, secret.str_at(&["name"]));
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod.array_at(&["spec", list]) {
            for variable in container.array_at(&["env"]) {
                add(NeededKind::Secret, variable.str_at(&["valueFrom", "secretKeyRef", "name"]));
                add(NeededKind::ConfigMap, variable.str_at(&["valueFrom", "configMapKeyRef", "name"]));
            }
            for source in container.array_at(&["envFrom"]) {
                add(NeededKind::Secret, source.str_at(&["secretRef", "name"]));
                add(NeededKind::ConfigMap, source.str_at(&["configMapRef", "name"]));
            }
        }
    }
    for volume in pod.array_at(&["spec", "volumes"]) {
        add(NeededKind::Secret, volume.str_at(&["secret", "secretName"]));
        add(NeededKind::ConfigMap, volume.str_at(&["configMap", "name"]));
        add(NeededKind::Claim, volume.str_at(&["persistentVolumeClaim", "claimName"]));
        add(NeededKind::Secret, volume.str_at(&["csi", "nodePublishSecretRef", "name"]));
        for driver in ["cephfs", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"] {
            add(NeededKind::Secret, volume.str_at(&[driver, "secretRef", "name"]));
        }
        add(NeededKind::Secret, volume.str_at(&["azureFile", "secretName"]));
        if volume.get(&["ephemeral"]).is_some_and(|e| !e.is_null()) {
            let claim = format!("{pod_name}-{}", volume.str_at(&["name"]).unwrap_or_default());
            add(NeededKind::Claim, Some(&claim));
        }
        for source in volume.array_at(&["projected", "sources"]) {
            add(NeededKind::Secret, source.str_at(&["secret", "name"]));
            add(NeededKind::ConfigMap, source.str_at(&["configMap", "name"]));
        }
    }
}

//! What all pods of a node share: the door to the API, the images, the network, and the objects that pods refer to.

mod objects;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ::client::Cache;
use ::client::events::{Recorder, Severity};
use decide::pod_lifecycle::Place;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod, Service};
use runtime::image::ImageStore;
use tokio::sync::watch;

pub(crate) use objects::{Found, Held, Objects};

use crate::pod::steps::PodNetwork;

/// What a node has in memory: files that are many, small, and of no use once the machine was restarted. On disk each would cost more than
/// a system call that starts a process.
pub(crate) const MEMORY: &str = "run";
/// Where writable layers stand in a node's folder.
pub(crate) const LAYERS: &str = "layers";
/// Where empty directories stand in a node's folder.
pub(crate) const EMPTY_DIRS: &str = "empty-dirs";

/// Where logs stand in a node's folder.
pub(crate) const LOGS: &str = "logs";

/// The folder of the pods of the node with this folder.
pub(crate) fn pods_of(node: &std::path::Path) -> PathBuf {
    node.join(MEMORY).join("pods")
}

/// The scheme of container ids.
pub(crate) const SCHEME: &str = "coracle";

/// What all pods of a node share.
pub(crate) struct Site {
    /// The node's name.
    pub(crate) name: Arc<str>,
    /// The node's folder.
    pub(crate) folder: PathBuf,
    /// The node's address.
    pub(crate) address: IpAddr,
    /// The cgroup below which pods stand.
    pub(crate) cgroup: String,
    /// The DNS server of pods.
    pub(crate) dns: IpAddr,
    /// The DNS domain of the cluster.
    pub(crate) domain: String,
    /// The API.
    pub(crate) client: kube::Client,
    /// The images of the machine.
    pub(crate) images: ImageStore,
    /// The pulls that run.
    pub(crate) pulls: crate::pod::images::Pulls,
    /// The network of the node.
    pub(crate) network: Arc<dyn PodNetwork>,
    /// Tells of events.
    pub(crate) recorder: Recorder,
    /// Config maps and secrets, each watched by name while someone needs it.
    pub(crate) objects: Objects,
    /// All services: containers get variables from them.
    pub(crate) services: Arc<Cache<Service>>,
    /// Follows the own Node as long as it is held.
    pub(crate) _nodes: Arc<Cache<Node>>,
    /// The own Node as it was last seen.
    pub(crate) node: watch::Receiver<Arc<Node>>,
    /// Bytes of memory of the machine.
    pub(crate) memory: i64,
}

impl Site {
    /// What statuses say of this place.
    pub(crate) fn place(&self) -> Place {
        Place { addresses: vec![self.address.to_string()], scheme: SCHEME }
    }

    /// The folder of a pod, in memory.
    pub(crate) fn pod_folder(&self, uid: &str) -> PathBuf {
        self.pods_folder().join(uid)
    }

    /// The folder of all pods' folders.
    pub(crate) fn pods_folder(&self) -> PathBuf {
        pods_of(&self.folder)
    }

    /// The writable layers of a pod's containers, on disk.
    pub(crate) fn layers(&self, uid: &str) -> PathBuf {
        self.folder.join(LAYERS).join(uid)
    }

    /// The pod's folders that live as long as it, on disk.
    pub(crate) fn empty_dirs(&self, uid: &str) -> PathBuf {
        self.folder.join(EMPTY_DIRS).join(uid)
    }

    /// The folder of a container's logs.
    pub(crate) fn log_folder(&self, pod: &Pod, container: &str) -> PathBuf {
        self.pod_logs(pod).join(container)
    }

    /// The folder of all logs of a pod.
    pub(crate) fn pod_logs(&self, pod: &Pod) -> PathBuf {
        let meta = &pod.metadata;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let name = format!("{}_{}_{}", text(&meta.namespace), text(&meta.name), text(&meta.uid));
        self.folder.join(LOGS).join(name)
    }

    /// Tells that something happened to a pod, or to a container of it.
    pub(crate) fn tell(&self, pod: &Pod, container: Option<&str>, severity: Severity, reason: &'static str, message: String) {
        let meta = &pod.metadata;
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: meta.name.clone(),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            field_path: container.map(|name| field_path(pod, name)),
        };
        self.recorder.record(about, severity, reason, message);
    }

    /// Something went as it should.
    pub(crate) fn normal(&self, pod: &Pod, container: Option<&str>, reason: &'static str, message: String) {
        self.tell(pod, container, Severity::Normal, reason, message);
    }

    /// Something did not.
    pub(crate) fn warning(&self, pod: &Pod, container: Option<&str>, reason: &'static str, message: String) {
        self.tell(pod, container, Severity::Warning, reason, message);
    }
}

fn field_path(pod: &Pod, container: &str) -> String {
    use decide::pod_lifecycle::{ephemeral_containers, init_containers};
    let list = if init_containers(pod).iter().any(|c| c.name == container) {
        "initContainers"
    } else if ephemeral_containers(pod).iter().any(|c| c.name == container) {
        "ephemeralContainers"
    } else {
        "containers"
    };
    format!("spec.{list}{{{container}}}")
}

#[cfg(test)]
impl Site {
    /// A site whose API knows nothing.
    pub(crate) fn for_tests(folder: &std::path::Path, network: Arc<dyn PodNetwork>) -> Self {
        use ::client::cache::Options;
        let nothing = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            let body = kube::client::Body::from(
                br#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404,"reason":"NotFound"}"#.to_vec(),
            );
            let mut response = http::Response::new(body);
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok::<_, std::convert::Infallible>(response)
        });
        let client = kube::Client::new(nothing, "default");
        Self {
            name: "node-1".into(),
            folder: folder.to_owned(),
            address: [127, 0, 0, 1].into(),
            cgroup: "coracle-tests".into(),
            dns: [10, 43, 0, 10].into(),
            domain: "cluster.local".into(),
            images: ImageStore::open(&folder.join("images")).unwrap_or_else(|error| panic!("{error}")),
            pulls: <_>::default(),
            network,
            recorder: Recorder::new(client.clone(), "kubelet", "node-1"),
            objects: Objects::new(client.clone()),
            services: Cache::start(client.clone(), Options::default()),
            _nodes: Cache::start(client.clone(), Options::default()),
            node: watch::channel(Arc::default()).1,
            memory: 1 << 30,
            client,
        }
    }
}

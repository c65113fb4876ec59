//! The real server in this process, with chosen controllers, for tests. Nodes are played: a test says what becomes of pods.

#![allow(dead_code, reason = "each test program uses another part")]

use std::{fmt::Debug, time::Duration};

use api::identity::{Identity, MASTERS};
use client::{Cache, Options, cache::Cached, transport};
use control::{Handle, Settings};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    core::{ClusterResourceScope, NamespaceResourceScope},
};
use serde::Serialize;
use serde_json::{Value, json};
use server::Server;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A cluster without nodes.
pub struct Cluster {
    pub client: kube::Client,
    pub handle: Handle,
    server: Server,
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// A server with the controllers of these names.
    pub async fn with(controllers: &'static [&'static str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::open(server::Settings::new(folder.path())).await.unwrap();
        let client_of = |identity| transport::in_process(server.service(), identity);
        let settings = Settings { root_ca_pem: "a certificate".into(), node_grace: Some(Duration::from_secs(2)) };
        let handle = control::start_some(|name| client_of(control::identity(name)), settings, |name| controllers.contains(&name));
        let client = client_of(Identity::new("admin", [MASTERS]));
        let cluster = Self { client, handle, server, _folder: folder };
        if !controllers.contains(&"service-account-controller") {
            let account: k8s_openapi::api::core::v1::ServiceAccount = object(json!({"metadata": {"name": "default"}}));
            cluster.create("default", &account).await;
        }
        cluster
    }

    /// A client that acts as someone else.
    pub fn client_of(&self, identity: Identity) -> kube::Client {
        transport::in_process(self.server.service(), identity)
    }

    pub fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub fn all<K: Resource<DynamicType = (), Scope = ClusterResourceScope>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    pub async fn create<K>(&self, namespace: &str, object: &K) -> K
    where
        K: Cached + Resource<Scope = NamespaceResourceScope> + Serialize + Debug,
    {
        self.api(namespace).create(&PostParams::default(), object).await.unwrap()
    }

    /// Changes an object by a merge patch.
    pub async fn patch<K>(&self, namespace: &str, name: &str, patch: Value) -> K
    where
        K: Cached + Resource<Scope = NamespaceResourceScope> + Debug,
    {
        self.api(namespace).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Waits until the objects of a kind in a namespace are as told, and returns them by name.
    pub async fn until<K>(&self, namespace: &str, told: impl Fn(&[K]) -> bool) -> Vec<K>
    where
        K: Cached + Resource<Scope = NamespaceResourceScope> + Debug,
    {
        let cache = Cache::<K>::start(self.client.clone(), Options { namespace: Some(namespace.into()), ..Options::default() });
        let seen = || cache.list().iter().map(|object| (**object).clone()).collect::<Vec<_>>();
        let waited = tokio::time::timeout(PATIENCE, async {
            cache.synced().await;
            let mut changes = cache.changes();
            loop {
                let objects = seen();
                if told(&objects) {
                    return objects;
                }
                changes.next().await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("it did not come to that: {:#?}", seen()))
    }

    /// Waits until one object is as told.
    pub async fn until_one<K>(&self, namespace: &str, name: &str, told: impl Fn(&K) -> bool) -> K
    where
        K: Cached + Resource<Scope = NamespaceResourceScope> + Debug,
    {
        let named = |object: &&K| object.name_any() == name;
        let objects = self.until(namespace, |objects: &[K]| objects.iter().find(named).is_some_and(&told)).await;
        objects.into_iter().find(|object| object.name_any() == name).unwrap()
    }

    /// The messages of events with this reason, oldest first, once there are so many: they are written when it is calm.
    pub async fn events(&self, namespace: &str, reason: &str, count: usize) -> Vec<String> {
        let told = |event: &&Event| event.reason.as_deref() == Some(reason);
        let mut items = self.until::<Event>(namespace, |events| events.iter().filter(told).count() >= count).await;
        items.retain(|event| told(&event));
        items.sort_by_key(|event| event.first_timestamp.as_ref().map(|time| time.0));
        items.into_iter().filter_map(|event| event.message).collect()
    }

    /// Plays the node: the pod runs and is ready, or not.
    pub async fn run_pod(&self, pod: &Pod, ready: bool) {
        let now = jiff::Timestamp::now().to_string();
        let status = if ready { "True" } else { "False" };
        let patch = json!({"status": {"phase": "Running", "podIP": "10.42.0.9", "podIPs": [{"ip": "10.42.0.9"}], "conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": now},
        ]}});
        let api: Api<Pod> = self.api(&pod.namespace().unwrap());
        let patched = api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await;
        assert!(patched.is_ok() || matches!(&patched, Err(kube::Error::Api(status)) if status.code == 404), "{patched:?}");
    }

    /// Plays a node for ever: whatever pod comes up in a namespace is ready at once, and goes when it is to.
    pub fn play_node(&self, namespace: &str) -> tokio::task::JoinHandle<()> {
        let cache = Cache::<Pod>::start(self.client.clone(), Options { namespace: Some(namespace.into()), ..Options::default() });
        let api: Api<Pod> = self.api(namespace);
        tokio::spawn(async move {
            let mut changes = cache.changes();
            while let Some(change) = changes.next().await {
                let Some(pod) = change.new else { continue };
                let name = pod.name_any();
                if pod.metadata.deletion_timestamp.is_some() {
                    let _ = api.delete(&name, &kube::api::DeleteParams::default().grace_period(0)).await;
                } else if pod.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Running") {
                    let now = jiff::Timestamp::now().to_string();
                    let patch = json!({"status": {"phase": "Running", "conditions": [
                        {"type": "Ready", "status": "True", "lastTransitionTime": now},
                    ]}});
                    let _ = api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
                }
            }
        })
    }
}

/// An object from its JSON.
pub fn object<K: serde::de::DeserializeOwned>(json: Value) -> K {
    serde_json::from_value(json).unwrap()
}

/// The spec of a workload with one container.
pub fn workload<K: serde::de::DeserializeOwned>(name: &str, replicas: i32, more: Value) -> K {
    let mut all = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "app:1", "ports": [{"name": "web", "containerPort": 8080}]}]},
            },
        },
    });
    for (field, value) in more.as_object().unwrap() {
        all["spec"][field] = value.clone();
    }
    object(all)
}

//! A cluster for the operator: the real API server in this process, and a kubelet that starts real servers on loopback addresses.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use client::{Cache, Options, transport};
use k8s_openapi::api::core::v1::{ConfigMap, Node, PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use platform::redis::kinds::{RedisCluster, Status};
use serde_json::{Value, json};
use server::{Server, Settings};

pub const NAMESPACE: &str = "demo";
pub const NAME: &str = "sessions";
const PASSWORD: &str = "not-a-secret";
const PASSWORD_BASE64: &str = "bm90LWEtc2VjcmV0";

/// Everything; servers and folders go with it.
pub struct World {
    server: Server,
    client: kube::Client,
    pub machines: Arc<Machines>,
    platform: Option<platform::part::Handle>,
    _pods: Arc<Cache<Pod>>,
    _kubelet: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

/// The processes.
pub struct Machines {
    folder: PathBuf,
    /// Second byte of the loopback addresses, its own for each test.
    net: u8,
    next: AtomicU16,
    processes: Mutex<HashMap<String, Child>>,
    files: Mutex<String>,
}

impl Drop for Machines {
    fn drop(&mut self) {
        for process in self.processes.lock().unwrap().values_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Machines {
    /// Starts the server of a pod at a new address.
    #[expect(clippy::disallowed_methods, reason = "the test plays the node")]
    pub fn start(&self, pod: &str, node: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let ip =
            Ipv4Addr::new(127, self.net, (number / 200).try_into().unwrap(), (number % 200 + 1).try_into().unwrap()).to_string();
        let data = self.folder.join(pod);
        std::fs::create_dir_all(&data).unwrap();
        let port = if pod.ends_with("-0") { 7000 } else { 7003 };
        let shared = self.files.lock().unwrap().replace("dir /data", &format!("dir {}", data.display()));
        let own = format!(
            "{shared}\nbind {ip}\nport {port}\ncluster-announce-ip {ip}\ncluster-announce-hostname {pod}.{node}\n\
             requirepass \"{PASSWORD}\"\nmasterauth \"{PASSWORD}\"\n"
        );
        let file = self.folder.join(format!("{pod}.conf"));
        std::fs::write(&file, own).unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join(format!("{pod}.log"))).unwrap();
        let process = Command::new("redis-server").arg(&file).stdout(log).stderr(Stdio::null()).spawn();
        let process = process.expect("redis-server is needed for this test: apt-get install redis-server");
        self.processes.lock().unwrap().insert(pod.to_owned(), process);
        ip
    }

    /// As a power cut would.
    pub fn kill(&self, pod: &str) {
        if let Some(mut process) = self.processes.lock().unwrap().remove(pod) {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn wipe(&self, pod: &str) {
        let _ = std::fs::remove_dir_all(self.folder.join(pod));
    }
}

impl World {
    pub async fn new(net: u8, nodes: usize) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let folder = tempfile::tempdir().unwrap();
        let server = Server::open(Settings::new(folder.path().join("api"))).await.unwrap();
        let client = transport::in_process(server.service(), platform::identity(platform::INSTALLER));
        let machines = Arc::new(Machines {
            folder: folder.path().join("redis"),
            net,
            next: AtomicU16::new(0),
            processes: Mutex::default(),
            files: Mutex::default(),
        });
        std::fs::create_dir_all(&machines.folder).unwrap();
        let pods = Cache::<Pod>::start(client.clone(), Options::default());
        let kubelet = tokio::spawn(kubelet(client.clone(), Arc::clone(&pods), Arc::clone(&machines)));
        let mut world = Self { server, client, machines, platform: None, _pods: pods, _kubelet: kubelet, _folder: folder };
        world.start_operator();
        for number in 1..=nodes {
            world.add_node(&format!("node-{number}")).await;
        }
        world
            .create("/api/v1/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
            .await;
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        world.create(&format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts"), account).await;
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "redis"}, "data": {"password": PASSWORD_BASE64}});
        world.create(&format!("/api/v1/namespaces/{NAMESPACE}/secrets"), secret).await;
        world
    }

    pub fn start_operator(&mut self) {
        let service = self.server.service();
        self.platform = Some(platform::start(|name| transport::in_process(service.clone(), platform::identity(name))));
    }

    pub fn stop_operator(&mut self) {
        self.platform = None;
    }

    pub async fn add_node(&self, name: &str) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        self.create("/api/v1/nodes", node).await;
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let nodes: Api<Node> = Api::all(self.client.clone());
        nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
    }

    pub async fn remove_node(&self, name: &str) {
        Api::<Node>::all(self.client.clone()).delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub async fn delete_pod(&self, name: &str) {
        self.api::<Pod>().delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn create(&self, path: &str, object: Value) {
        let request = http::Request::post(path).header("content-type", "application/json").body(object.to_string().into_bytes());
        let made: Result<Value, _> = self.client.request(request.unwrap()).await;
        if let Err(error) = made {
            assert!(matches!(&error, kube::Error::Api(status) if status.is_already_exists()), "{path}: {error}");
        }
    }

    pub async fn create_cluster(&self) {
        let cluster = json!({
            "apiVersion": "coracle.dev/v1", "kind": "RedisCluster", "metadata": {"name": NAME},
            "spec": {"shards": 3, "replicas": 1, "passwordSecret": {"name": "redis"}},
        });
        let path = format!("/apis/coracle.dev/v1/namespaces/{NAMESPACE}/redisclusters");
        for _ in 0..200 {
            let request =
                http::Request::post(&path).header("content-type", "application/json").body(cluster.to_string().into_bytes());
            match self.client.request::<Value>(request.unwrap()).await {
                Ok(_) => return,
                Err(kube::Error::Api(status)) if status.code == 404 => pause(20).await,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the kind RedisCluster is not served");
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub async fn status(&self) -> Status {
        self.api::<RedisCluster>().get(NAME).await.unwrap().status.unwrap_or_default()
    }

    /// Waits until the status is as wanted, and says how long that took.
    pub async fn until(&self, what: &str, seconds: u64, wanted: impl Fn(&Status) -> bool) -> (Status, Duration) {
        let began = Instant::now();
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < Duration::from_secs(seconds), "{what}: {status:#?}");
            pause(50).await;
        }
    }

    pub async fn settled(&self, what: &str) -> (Status, Duration) {
        self.until(what, 60, |status| status.phase == "Ready").await
    }

    /// The server of a pod comes back at another address, in the same pod, as after a node's return.
    pub async fn come_back(&self, pod: &str) {
        let node = node_of(&self.api::<Pod>().get(pod).await.unwrap());
        let ip = self.machines.start(pod, &node);
        run_pod(&self.api(), pod, &ip).await;
    }

    pub async fn claims(&self) -> Vec<PersistentVolumeClaim> {
        self.api::<PersistentVolumeClaim>().list(&kube::api::ListParams::default()).await.unwrap().items
    }

    /// A connection to some member.
    pub async fn redis(&self, address: &str) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://:{PASSWORD}@{address}")).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test that looks again")]
pub async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn node_of(pod: &Pod) -> String {
    let spec = serde_json::to_value(&pod.spec).unwrap();
    let term = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
    spec.pointer(term).unwrap().as_str().unwrap().to_owned()
}

async fn run_pod(pods: &Api<Pod>, name: &str, ip: &str) {
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// Starts a server for each new pod, and lets pods go that are deleted.
async fn kubelet(client: kube::Client, pods: Arc<Cache<Pod>>, machines: Arc<Machines>) {
    use futures::StreamExt as _;
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    // What protects claims elsewhere is not here: they go as soon as they are deleted.
    let claims = Cache::<PersistentVolumeClaim>::start(client.clone(), Options::default());
    let all: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
    let mut changed = claims.changes();
    tokio::spawn(async move {
        let _kept = claims;
        while let Some(change) = changed.next().await {
            let ending = change.new.is_some_and(|claim| claim.metadata.deletion_timestamp.is_some());
            if ending {
                let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
                let _ = all.patch(change.key.name(), &PatchParams::default(), &free).await;
            }
        }
    });
    let mut changes = pods.changes();
    while let Some(change) = changes.next().await {
        let name = change.key.name().to_owned();
        let Some(pod) = change.new else {
            machines.kill(&name);
            continue;
        };
        if pod.metadata.deletion_timestamp.is_some() {
            machines.kill(&name);
            let _ = api.delete(&name, &DeleteParams::default().grace_period(0)).await;
        } else if change.old.is_none() {
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
            let files = maps.get(&format!("{NAME}-files")).await.unwrap().data.unwrap();
            machines.files.lock().unwrap().clone_from(&files["redis.conf"]);
            let claim = pod.uid().unwrap();
            let marker = machines.folder.join(format!("{name}.claim"));
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), NAMESPACE);
            let uid = claims.get(&format!("data-{name}")).await.map_or(claim, |claim| claim.uid().unwrap());
            if std::fs::read_to_string(&marker).is_ok_and(|old| old != uid) {
                machines.wipe(&name);
            }
            std::fs::write(&marker, uid).unwrap();
            let ip = machines.start(&name, &node_of(&pod));
            run_pod(&api, &name, &ip).await;
        }
    }
}

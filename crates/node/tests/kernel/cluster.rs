//! A server and a node in this process; everything goes when it is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use api::identity::Identity;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use node::{Agent, AgentSettings, Authority};
use serde_json::{Value, json};
use server::listen::{Limits, Listener};
use server::pki::BootstrapToken;
use server::{Server, Settings};
use tokio_util::sync::CancellationToken;

pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 44, 0, 1);
const PORT: u16 = 6443;
/// How long anything may take that is to happen.
const SOON: Duration = Duration::from_secs(30);

pub struct Cluster {
    pub client: kube::Client,
    /// The same over the network, where connections can be upgraded.
    network_client: kube::Client,
    pub agent: Option<Agent>,
    settings: AgentSettings,
    shutdown: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    folder: tempfile::TempDir,
    _server: Server,
}

/// Gives the namespace of this process a link that has the node's address.
#[expect(clippy::disallowed_methods, reason = "a test prepares its own network namespace")]
pub fn make_link() {
    let run = |text: &str| {
        let done =
            std::process::Command::new("ip").args(text.split(' ')).status().expect("ip is there: apt-get install iproute2");
        assert!(done.success(), "ip {text}");
    };
    run("link set lo up");
    run("link add node0 type veth peer name node1");
    run("addr add 10.44.0.1/16 dev node0");
    run("link set node0 up");
    run("link set node1 up");
}

fn blank() -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// An archive as `docker save` makes it, of the static busybox of the host.
pub fn archive(folder: &Path) -> std::path::PathBuf {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().map(Path::new).find(|path| path.exists());
    let busybox = std::fs::read(busybox.expect("busybox is missing: apt-get install busybox-static")).unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8], mode: u32| {
        let mut header = blank();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        layer.append_data(&mut header, path, bytes).unwrap();
    };
    add("bin/busybox", &busybox, 0o755);
    add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n", 0o644);
    add("etc/group", b"root:x:0:\napp:x:1001:\n", 0o644);
    for name in [
        "sh", "cat", "echo", "sleep", "id", "ls", "mount", "touch", "grep", "hostname", "kill", "nc", "httpd", "env", "seq",
        "stat", "tr", "wget", "nslookup", "df", "date",
    ] {
        let mut header = blank();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        layer.append_link(&mut header, format!("bin/{name}"), "busybox").unwrap();
    }
    let mut header = blank();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o1777);
    layer.append_data(&mut header, "tmp", &[][..]).unwrap();
    let layer = layer.into_inner().unwrap();
    let digest = {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(&layer))
    };
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Env": ["PATH=/bin", "OF_IMAGE=yes"], "Cmd": ["sleep", "3600"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        "history": [{ "created_by": "test" }],
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["busybox:test"], "Layers": ["layer.tar"] }]);
    let path = folder.join("image.tar");
    let mut all = tar::Builder::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in
        [("layer.tar", layer), ("config.json", config.to_string().into()), ("manifest.json", manifest.to_string().into())]
    {
        let mut header = blank();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        all.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    all.into_inner().unwrap();
    path
}

impl Cluster {
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("coracle-nodetest-").tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut settings = Settings::new(folder.path().join("server"));
        settings.pki.addresses.push(ADDRESS.into());
        let server = Server::open(settings).await.unwrap();
        let address = SocketAddr::new(ADDRESS.into(), PORT);
        let socket = tokio::net::TcpListener::bind(address).await.unwrap();
        let shutdown = CancellationToken::new();
        let pki = &server.state().security.pki;
        let listener = Listener::new(pki, Limits::default()).unwrap();
        let serve = listener.serve(socket, server.service(), shutdown.clone());
        let serving = tokio::spawn(async move { drop(serve.await) });
        let admin = Identity::new("admin", ["system:masters", "system:authenticated"]);
        let client = client::transport::in_process(server.service(), admin);
        let token = BootstrapToken::generate().unwrap();
        let secret: Secret = serde_json::from_value(token.manifest(None, "")).unwrap();
        let secrets: Api<Secret> = Api::namespaced(client.clone(), "kube-system");
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let issued = pki.issue_client("admin", &["system:masters"], Duration::from_secs(3600)).unwrap();
        let (network_client, _) = client::transport::https(client::transport::Config {
            url: format!("https://{address}").parse().unwrap(),
            authorities_pem: pki.ca_pem().into(),
            credentials: client::transport::Credentials::Certificate {
                chain_pem: issued.certificate_pem.into(),
                key_pem: issued.key_pem.into(),
            },
        })
        .unwrap();
        let mut settings = AgentSettings::new(
            "node-1",
            &format!("https://{address}"),
            folder.path().join("node"),
            folder.path().join("images"),
            ADDRESS,
        );
        settings.cgroup = format!("/coracle-nodetest-{}/node-1", std::process::id());
        settings.authority = Some(Authority::Hash(pki.ca_hash()));
        settings.token = Some(token.to_string());
        let store = runtime::image::ImageStore::open(&settings.images).unwrap();
        store.load(&archive(folder.path())).await.unwrap();
        let mut cluster = Self { client, network_client, agent: None, settings, shutdown, serving, folder, _server: server };
        cluster.make_account().await;
        cluster.start_agent().await;
        cluster
    }

    /// What controllers would make in the namespace.
    async fn make_account(&self) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), "default");
        let account = serde_json::from_value(json!({ "metadata": { "name": "default" } })).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), "default");
        let map = json!({ "metadata": { "name": "kube-root-ca.crt" }, "data": { "ca.crt": "authority" } });
        maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    }

    pub async fn start_agent(&mut self) {
        let begun = Instant::now();
        let agent = Agent::start(self.settings.clone()).await.unwrap();
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch = json!({ "spec": { "podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24"] } });
        nodes.patch("node-1", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
        tokio::time::timeout(SOON, agent.ready()).await.unwrap();
        eprintln!("    the node takes pods after {:?}", begun.elapsed());
        self.agent = Some(agent);
    }

    /// Ends every process of the pods and forgets what was in memory, as a restart of the machine does. The agent is not to run then.
    pub fn lose_power(&self) {
        let own = self.folder.path().display().to_string();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            let line = String::from_utf8_lossy(&std::fs::read(entry.path().join("cmdline")).unwrap_or_default()).into_owned();
            if line.contains("pod-supervisor") && line.contains(&own) {
                let _ =
                    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL);
            }
        }
        runtime::cgroup::kill(self.settings.cgroup.trim_start_matches('/')).unwrap();
        self.unmount();
    }

    fn unmount(&self) {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut paths: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        paths.retain(|path| Path::new(path).starts_with(self.folder.path()));
        paths.sort_unstable();
        for path in paths.into_iter().rev() {
            let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
        }
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub fn pods_by_network(&self) -> Api<Pod> {
        Api::namespaced(self.network_client.clone(), "default")
    }

    pub fn node_folder(&self) -> &Path {
        &self.settings.folder
    }

    /// Makes a pod on the node.
    pub async fn create(&self, name: &str, spec: Value) -> Pod {
        self.create_with(json!({ "name": name }), spec).await
    }

    pub async fn create_with(&self, meta: Value, mut spec: Value) -> Pod {
        spec["nodeName"] = "node-1".into();
        if spec.get("terminationGracePeriodSeconds").is_none() {
            spec["terminationGracePeriodSeconds"] = 1.into();
        }
        let pod = serde_json::from_value(json!({ "metadata": meta, "spec": spec })).unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap()
    }

    /// Waits until a pod is as wanted; tells what it was when it never is.
    pub async fn until(&self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let last = std::sync::Mutex::new(None);
        let waiting = async {
            loop {
                let params = WatchParams::default().fields(&format!("metadata.name={name}"));
                let Ok(events) = self.pods().watch(&params, "0").await else { continue };
                let mut events = std::pin::pin!(events);
                while let Some(Ok(event)) = events.next().await {
                    let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else { continue };
                    if wanted(&pod) {
                        return pod;
                    }
                    *last.lock().unwrap() = Some(pod);
                }
            }
        };
        match tokio::time::timeout(SOON, waiting).await {
            Ok(pod) => pod,
            Err(_) => {
                let events = self.events(name).await;
                panic!(
                    "{name} never was as wanted: {:#?}\n{events:#?}",
                    last.lock().unwrap().as_ref().and_then(|pod| pod.status.clone())
                )
            }
        }
    }

    pub async fn running(&self, name: &str) -> Pod {
        self.until(name, |pod| phase(pod) == "Running" && is_ready(pod)).await
    }

    /// Removes a pod and waits until its object is gone.
    pub async fn remove(&self, name: &str) {
        let begun = Instant::now();
        match self.pods().delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            deleted => drop(deleted.unwrap()),
        }
        while self.pods().get_opt(name).await.unwrap().is_some() {
            assert!(begun.elapsed() < SOON, "{name} does not go");
            client::queue::pause(Duration::from_millis(10)).await;
        }
    }

    pub async fn log(&self, name: &str, params: &LogParams) -> String {
        self.pods().logs(name, params).await.unwrap()
    }

    /// Waits until the log holds a text.
    pub async fn log_until(&self, name: &str, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let log = self.pods().logs(name, &LogParams::default()).await.unwrap_or_default();
            if log.contains(text) {
                return log;
            }
            assert!(begun.elapsed() < SOON, "{name} never says {text}: {log}");
            client::queue::pause(Duration::from_millis(20)).await;
        }
    }

    /// `Reason: message` of each event of a pod.
    pub async fn events(&self, name: &str) -> Vec<String> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let all = events.list(&params).await.unwrap();
        all.into_iter()
            .map(|event| format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default()))
            .collect()
    }

    /// Waits for an event that starts so: they are written when it is calm.
    pub async fn told(&self, name: &str, start: &str) {
        let begun = Instant::now();
        while !self.events(name).await.iter().any(|event| event.starts_with(start)) {
            assert!(begun.elapsed() < SOON, "{start} in {:?}", self.events(name).await);
            client::queue::pause(Duration::from_millis(20)).await;
        }
    }

    /// Ends all; nothing is left but what a test failed to remove.
    pub async fn stop(mut self) {
        for pod in self.pods().list(&ListParams::default()).await.unwrap() {
            self.remove(&pod.metadata.name.unwrap_or_default()).await;
        }
        // The object goes a moment before the folder.
        let begun = Instant::now();
        while !self.left().is_empty() {
            assert!(begun.elapsed() < SOON, "left behind: {:?}", self.left());
            client::queue::pause(Duration::from_millis(10)).await;
        }
        if let Some(agent) = self.agent.take() {
            agent.stop().await;
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        // The folder in memory is the node's, for the agent that comes next.
        let (own, kept) = (self.folder.path().display().to_string(), format!("{} ", self.node_folder().join("run").display()));
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(&own) && !line.contains(&kept)).collect();
        assert!(left.is_empty(), "mounts are left: {left:?}");
        self.shutdown.cancel();
        let _ = (&mut self.serving).await;
    }

    /// The folders of pods that are still there.
    fn left(&self) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.node_folder().join("run/pods")).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }
}

impl Drop for Cluster {
    /// What a failed test leaves.
    fn drop(&mut self) {
        self.shutdown.cancel();
        let cgroup = format!("coracle-nodetest-{}", std::process::id());
        let _ = runtime::cgroup::kill(&cgroup);
        for folder in self.left() {
            let uid = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let _ = net::namespace::remove(&format!("coracle-pod-{uid}"));
        }
        self.unmount();
        for path in [self.settings.cgroup.trim_start_matches('/'), &cgroup] {
            let _ = runtime::cgroup::remove(path);
        }
    }
}

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// A container of busybox that runs a shell script.
pub fn shell(name: &str, script: &str) -> Value {
    json!({ "name": name, "image": "busybox:test", "command": ["sh", "-c", script] })
}

//! The APIs that releases live in: Coracle's in this process, and upstream's beside it. Both are reached by a kubeconfig.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use http::Request;
use serde_json::{Value as Json, json};
use server::listen::{Limits, Listener};
use server::{Server, Settings};
use tokio_util::sync::CancellationToken;

use super::beside::{helm, program};

/// An API with a kubeconfig of its administrator, and the two programs that use it.
pub struct Api {
    pub runtime: tokio::runtime::Runtime,
    pub client: kube::Client,
    folder: tempfile::TempDir,
    helm: PathBuf,
    stop: CancellationToken,
    processes: Vec<Child>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Which program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Helm,
    Coracle,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("file");
        }
    }
}

impl Api {
    pub fn around(
        runtime: tokio::runtime::Runtime,
        folder: tempfile::TempDir,
        processes: Vec<Child>,
        stop: CancellationToken,
    ) -> Self {
        let client = runtime.block_on(client_of(&folder.path().join("kubeconfig")));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        copy(&sources.join("releases/chart"), &folder.path().join("work/boat"));
        copy(&sources.join("helm/charts"), &folder.path().join("work"));
        Self { runtime, client, folder, helm: helm(), stop, processes }
    }

    /// Coracle's.
    pub fn coracle() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let stop = CancellationToken::new();
        runtime.block_on(async {
            let server = Server::open(Settings::new(folder.path().join("server"))).await.expect("a server");
            let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a socket");
            let url = format!("https://{}", socket.local_addr().expect("an address"));
            let pki = &server.state().security.pki;
            let kubeconfig = pki.admin_kubeconfig("test", &url).expect("a kubeconfig");
            std::fs::write(folder.path().join("kubeconfig"), kubeconfig).expect("a file");
            let listener = Listener::new(pki, Limits::default()).expect("a listener");
            let (service, until) = (server.service(), stop.clone());
            tokio::spawn(async move {
                let _server = server;
                listener.serve(socket, service, until).await
            });
        });
        Self::around(runtime, folder, Vec::new(), stop)
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// A command of one of the two in a namespace, by a kubeconfig.
    pub fn command(&self, who: Who, kubeconfig: &Path, namespace: &str, words: &[&str]) -> std::process::Command {
        let mut command = match who {
            Who::Helm => program(&self.helm),
            Who::Coracle => {
                let mut command = program(env!("CARGO_BIN_EXE_coracle"));
                command.arg("helm");
                command
            }
        };
        command.args(words).args(["--namespace", namespace]).current_dir(self.folder.path().join("work")).env_clear();
        command.env("HOME", self.folder.path()).env("KUBECONFIG", kubeconfig).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, who: Who, namespace: &str, words: &[&str]) -> Output {
        self.command(who, &self.kubeconfig(), namespace, words).output().expect("the program starts")
    }

    /// What it prints when it succeeds.
    pub fn ok(&self, who: Who, namespace: &str, words: &[&str]) -> String {
        let done = self.run(who, namespace, words);
        let (output, remarks) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{who:?} {words:?}: {remarks}\n{output}");
        output.into_owned()
    }

    /// An answer of the API; nothing where there is no such object.
    pub fn get(&self, path: &str) -> Option<Json> {
        let request = Request::get(path).body(Vec::new()).expect("a request");
        match self.runtime.block_on(self.client.request::<Json>(request)) {
            Ok(found) => Some(found),
            Err(kube::Error::Api(status)) if status.code == 404 => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    pub fn create(&self, path: &str, object: &Json) {
        let request = Request::post(path).header("content-type", "application/json").body(object.to_string().into_bytes());
        let made = self.runtime.block_on(self.client.request::<Json>(request.expect("a request")));
        made.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    pub fn namespace(&self, name: &str) {
        self.create("/api/v1/namespaces", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }

    /// What a release's killed worker left looks as if it runs out just now: a lease lasts for fifteen seconds.
    pub fn let_the_lease_run_out(&self, namespace: &str, release: &str) {
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/sh.helm.release.v1.{release}");
        let long_ago = json!({"spec": {"renewTime": (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(15))
            .strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()}});
        let request = Request::patch(&path).header("content-type", "application/merge-patch+json");
        let request = request.body(long_ago.to_string().into_bytes()).expect("a request");
        // Without a lease there is nothing to wait for.
        let _ = self.runtime.block_on(self.client.request::<Json>(request));
    }

    /// Names and texts of the ConfigMaps of a release, its hooks' apart.
    pub fn maps(&self, namespace: &str, release: &str) -> Vec<(String, String)> {
        let list = self.get(&format!("/api/v1/namespaces/{namespace}/configmaps")).expect("a list");
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let own = items.iter().filter(|it| it["metadata"]["annotations"]["meta.helm.sh/release-name"] == release);
        let text = |it: &Json, pointer: &str| it.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        let mut maps: Vec<_> = own.map(|it| (text(it, "/metadata/name"), text(it, "/data/text"))).collect();
        maps.sort();
        maps
    }
}

async fn client_of(kubeconfig: &Path) -> kube::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = kube::config::Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await;
    kube::Client::try_from(config.expect("a configuration")).expect("a client")
}

//! The machine's kubectl against a server on a free loopback port: what people type, with what comes back.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use server::listen::{Limits, Listener};
use server::{Server, Settings};
use tokio_util::sync::CancellationToken;

/// A server with a kubeconfig of its administrator.
struct Cluster {
    folder: tempfile::TempDir,
    shutdown: CancellationToken,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Cluster {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::open(Settings::new(folder.path().join("server"))).await.unwrap();
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = socket.local_addr().unwrap();
        let pki = &server.state().security.pki;
        let kubeconfig = pki.admin_kubeconfig("test", &format!("https://{address}")).unwrap();
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
        let shutdown = CancellationToken::new();
        let listener = Listener::new(pki, Limits::default()).unwrap();
        let (service, until) = (server.service(), shutdown.clone());
        tokio::spawn(async move {
            let _server = server;
            listener.serve(socket, service, until).await
        });
        Self { folder, shutdown }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, arguments: &[&str], input: &str, editor: &str) -> Output {
        #[expect(clippy::disallowed_methods, reason = "the test is about this very program")]
        let mut command = std::process::Command::new("kubectl");
        command.args(arguments).env("KUBECONFIG", self.path("kubeconfig")).env("HOME", self.folder.path());
        command.env("KUBE_EDITOR", editor).env_remove("HTTPS_PROXY").env_remove("https_proxy");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let input = input.to_owned();
        let ran = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn()?;
            let mut stdin = child.stdin.take().expect("was asked for");
            stdin.write_all(input.as_bytes())?;
            drop(stdin);
            child.wait_with_output()
        });
        ran.await.unwrap().expect("kubectl cannot be run: install it to run this test")
    }

    /// What kubectl prints when it succeeds.
    async fn ok(&self, arguments: &[&str]) -> String {
        self.ok_with(arguments, "").await
    }

    async fn ok_with(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input, "false").await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "kubectl {arguments:?}: {err}\n{out}");
        format!("{out}{err}")
    }

    /// What kubectl complains when it fails.
    async fn fails(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input, "false").await;
        assert!(!output.status.success(), "kubectl {arguments:?} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1
        ports: [{containerPort: 80}]
";

const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, shortNames: [bt]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.crew, statusReplicasPath: .status.crew}}
    additionalPrinterColumns: [{name: Crew, type: integer, jsonPath: .spec.crew}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            description: What a boat is to be.
            properties:
              crew: {type: integer, minimum: 0, description: How many sail it.}
          status: {type: object, properties: {crew: {type: integer}}}
";

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_applied_looked_at_compared_scaled_and_edited() {
    let cluster = Cluster::start().await;
    has(&cluster.ok_with(&["apply", "-f", "-"], DEPLOYMENT).await, &["deployment.apps/web created"]);
    has(&cluster.ok_with(&["apply", "-f", "-"], DEPLOYMENT).await, &["deployment.apps/web unchanged"]);
    let changed = DEPLOYMENT.replace("nginx:1", "nginx:2");
    let difference = cluster.run(&["diff", "-f", "-"], &changed, "false").await;
    assert_eq!(difference.status.code(), Some(1), "{}", String::from_utf8_lossy(&difference.stderr));
    has(&String::from_utf8_lossy(&difference.stdout), &["-      - image: nginx:1", "+      - image: nginx:2"]);
    has(&cluster.ok_with(&["apply", "-f", "-"], &changed).await, &["deployment.apps/web configured"]);
    has(&cluster.ok(&["get", "deployments"]).await, &["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "web", "0/2"]);
    has(&cluster.ok(&["get", "deploy", "web", "-o", "wide"]).await, &["IMAGES", "nginx:2", "app=web"]);
    has(&cluster.ok(&["describe", "deployment", "web"]).await, &["RollingUpdateStrategy:", "25% max unavailable", "nginx:2"]);
    has(&cluster.ok(&["scale", "deployment/web", "--replicas=5"]).await, &["deployment.apps/web scaled"]);
    has(&cluster.ok(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]).await, &["5"]);
    has(&cluster.ok(&["set", "image", "deployment/web", "web=nginx:3"]).await, &["image updated"]);
    let script = cluster.path("editor");
    std::fs::write(&script, "#!/bin/sh\nsed -i 's/replicas: 5/replicas: 6/' \"$1\"\n").unwrap();
    let edited = cluster.run(&["edit", "deployment", "web"], "", &format!("sh {}", script.display())).await;
    has(&String::from_utf8_lossy(&edited.stdout), &["deployment.apps/web edited"]);
    has(&cluster.ok(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]).await, &["6"]);
    has(&cluster.ok(&["rollout", "restart", "deployment/web"]).await, &["restarted"]);
    has(&cluster.ok(&["delete", "deployment", "web"]).await, &["deployment.apps \"web\" deleted"]);
    has(
        &cluster.fails(&["get", "deployment", "web"], "").await,
        &["Error from server (NotFound): deployments.apps \"web\" not found"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn server_side_apply_tells_owners_apart() {
    let cluster = Cluster::start().await;
    let ours = ["apply", "--server-side", "-f", "-"];
    has(&cluster.ok_with(&ours, DEPLOYMENT).await, &["deployment.apps/web serverside-applied"]);
    let changed = DEPLOYMENT.replace("replicas: 2", "replicas: 3");
    let refused = cluster.fails(&["apply", "--server-side", "--field-manager=other", "-f", "-"], &changed).await;
    has(&refused, &["Apply failed with 1 conflict: conflict with \"kubectl\": .spec.replicas"]);
    let forced = ["apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-"];
    has(&cluster.ok_with(&forced, &changed).await, &["serverside-applied"]);
    let shown = cluster.ok(&["get", "deploy", "web", "-o", "yaml", "--show-managed-fields"]).await;
    has(&shown, &["manager: kubectl", "manager: other", "f:replicas: {}", "operation: Apply"]);
    // Whoever applied on the client's side before takes its fields over.
    has(&cluster.ok_with(&["apply", "-f", "-"], &DEPLOYMENT.replace("web", "old")).await, &["created"]);
    let taken = DEPLOYMENT.replace("web", "old").replace("replicas: 2", "replicas: 4");
    has(&cluster.ok_with(&ours, &taken).await, &["deployment.apps/old serverside-applied"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_explains_itself() {
    let cluster = Cluster::start().await;
    has(&cluster.ok(&["explain", "deployment.spec.replicas"]).await, &["FIELD: replicas <integer>", "Number of desired pods"]);
    has(&cluster.ok(&["explain", "pod.spec.containers", "--recursive"]).await, &["livenessProbe", "<Probe>"]);
    has(&cluster.ok(&["api-resources"]).await, &["deployments", "deploy", "apps/v1", "customresourcedefinitions"]);
    has(&cluster.ok(&["api-versions"]).await, &["apps/v1", "batch/v1", "networking.k8s.io/v1"]);
    has(&cluster.ok(&["version"]).await, &["Server Version: v1.37"]);
    has(&cluster.ok(&["get", "--raw", "/readyz?verbose"]).await, &["[+]ping ok", "readyz check passed"]);
    has(&cluster.ok(&["auth", "can-i", "create", "pods"]).await, &["yes"]);
    has(&cluster.fails(&["auth", "can-i", "create", "pods", "--as", "nobody"], "").await, &[]);
    has(&cluster.ok(&["auth", "whoami"]).await, &["system:masters"]);
    has(&cluster.ok(&["cluster-info"]).await, &["is running at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_objects_are_made_labelled_annotated_patched_and_awaited() {
    let cluster = Cluster::start().await;
    has(&cluster.ok(&["create", "namespace", "work"]).await, &["namespace/work created"]);
    has(&cluster.ok(&["create", "configmap", "c", "-n", "work", "--from-literal=a=b"]).await, &["configmap/c created"]);
    has(&cluster.ok(&["label", "configmap", "c", "-n", "work", "x=y"]).await, &["configmap/c labeled"]);
    has(&cluster.ok(&["annotate", "configmap", "c", "-n", "work", "k=v"]).await, &["configmap/c annotated"]);
    has(&cluster.ok(&["get", "cm", "-n", "work", "-l", "x=y", "--show-labels"]).await, &["x=y"]);
    has(&cluster.ok(&["patch", "configmap", "c", "-n", "work", "-p", r#"{"data":{"a":"c"}}"#]).await, &["configmap/c patched"]);
    let json = ["patch", "configmap", "c", "-n", "work", "--type=json", "-p", r#"[{"op":"add","path":"/data/z","value":"1"}]"#];
    has(&cluster.ok(&json).await, &["configmap/c patched"]);
    has(&cluster.ok(&["get", "cm", "c", "-n", "work", "-o", "jsonpath={.data}"]).await, &[r#"{"a":"c","z":"1"}"#]);
    has(&cluster.ok(&["describe", "configmap", "c", "-n", "work"]).await, &["Labels:       x=y", "Annotations:  k: v"]);
    has(&cluster.ok(&["wait", "cm/c", "-n", "work", "--for=jsonpath={.data.z}=1", "--timeout=5s"]).await, &["condition met"]);
    has(&cluster.ok(&["create", "secret", "generic", "s", "--from-literal=k=v"]).await, &["secret/s created"]);
    has(&cluster.ok(&["create", "service", "clusterip", "svc", "--tcp=80:8080"]).await, &["service/svc created"]);
    has(&cluster.ok(&["get", "service", "svc"]).await, &["ClusterIP", "10.43.", "80/TCP"]);
    has(
        &cluster.ok(&["create", "role", "r", "--verb=get", "--resource=pods"]).await,
        &["role.rbac.authorization.k8s.io/r created"],
    );
    has(&cluster.ok(&["create", "quota", "q", "--hard=pods=3"]).await, &["resourcequota/q created"]);
    has(&cluster.ok(&["create", "cronjob", "cj", "--image=i", "--schedule=*/5 * * * *"]).await, &["cronjob.batch/cj created"]);
    has(
        &cluster.ok(&["create", "ingress", "ing", "--rule=a.example/x*=svc:80"]).await,
        &["ingress.networking.k8s.io/ing created"],
    );
    has(
        &cluster.ok(&["create", "pdb", "pdb", "--selector=a=b", "--min-available=1"]).await,
        &["poddisruptionbudget.policy/pdb created"],
    );
    has(&cluster.ok(&["create", "priorityclass", "pc", "--value=7"]).await, &["priorityclass.scheduling.k8s.io/pc created"]);
    has(&cluster.ok(&["create", "serviceaccount", "robot"]).await, &["serviceaccount/robot created"]);
    has(&cluster.ok(&["create", "token", "robot", "--duration=10m"]).await, &["ey"]);
    has(&cluster.ok(&["create", "deployment", "d", "--image=i", "--dry-run=server"]).await, &["created (server dry run)"]);
    has(&cluster.ok(&["delete", "configmap", "c", "-n", "work"]).await, &["configmap \"c\" deleted"]);
    has(&cluster.ok(&["get", "all,cm,secret", "-A"]).await, &["service/svc"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_kind_is_like_any_other() {
    let cluster = Cluster::start().await;
    let boat = r#"{"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": "argo"}, "spec": {"crew": 50}}"#;
    has(
        &cluster.ok_with(&["apply", "-f", "-"], DEFINITION).await,
        &["customresourcedefinition.apiextensions.k8s.io/boats.example.com created"],
    );
    has(&cluster.ok(&["wait", "--for=condition=Established", "crd/boats.example.com", "--timeout=5s"]).await, &["condition met"]);
    has(&cluster.ok_with(&["apply", "-f", "-"], boat).await, &["boat.example.com/argo created"]);
    has(&cluster.ok(&["get", "bt"]).await, &["CREW", "argo", "50"]);
    has(&cluster.ok(&["scale", "boat", "argo", "--replicas=7"]).await, &["boat.example.com/argo scaled"]);
    has(&cluster.ok(&["explain", "boat.spec.crew"]).await, &["FIELD: crew <integer>", "How many sail it."]);
    let refused = cluster.fails(&["apply", "-f", "-"], &boat.replace("50", "50, \"sails\": 2")).await;
    has(&refused, &["strict decoding error: unknown field \"spec.sails\""]);
    has(
        &cluster.fails(&["apply", "-f", "-"], &boat.replace("50", "-1")).await,
        &["spec.crew in body should be greater than or equal to 0"],
    );
    has(&cluster.ok_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], boat).await, &["serverside-applied"]);
    has(&cluster.ok(&["delete", "crd", "boats.example.com"]).await, &["deleted"]);
    has(&cluster.fails(&["get", "boats"], "").await, &["the server could not find the requested resource"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_refused_before_anything_is_written() {
    let cluster = Cluster::start().await;
    let refused = cluster.fails(&["apply", "-f", "-"], &DEPLOYMENT.replace("replicas", "replicaz")).await;
    has(&refused, &["strict decoding error: unknown field \"spec.replicaz\""]);
    let refused = cluster.fails(&["apply", "-f", "-"], &DEPLOYMENT.replace("replicas: 2", "replicas: two")).await;
    has(&refused, &["cannot be handled as a Deployment", "replicas"]);
    let refused = cluster.fails(&["create", "-f", "-"], &DEPLOYMENT.replace("name: web, labels", "name: Web, labels")).await;
    has(&refused, &["The Deployment \"Web\" is invalid: metadata.name: Invalid value: \"Web\""]);
    let refused =
        cluster.fails(&["create", "-f", "-"], &DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: x}")).await;
    has(&refused, &["`selector` does not match template `labels`"]);
    has(&cluster.ok(&["get", "deployments"]).await, &["No resources found"]);
}

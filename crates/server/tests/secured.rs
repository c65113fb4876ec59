//! The API over the network: who is let in, and what a joining node goes through. Real TLS on loopback, the whole server behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use server::listen::{Limits, Listener};
use server::pki::{BootstrapToken, Issued, Pki};
use server::{Server, Settings};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

struct Cluster {
    server: Server,
    address: SocketAddr,
    shutdown: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// How a caller proves who it is.
#[derive(Clone, Copy)]
enum As<'a> {
    Nobody,
    Certificate(&'a str, &'a str),
    Token(&'a str),
    Pem(&'a [u8], &'a [u8]),
}

const ADMIN: As<'static> = As::Certificate("admin", "system:masters");

impl Cluster {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::open(Settings::new(dir.path())).await.unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let listener = Listener::new(server_pki(&server), Limits::default()).unwrap();
        tokio::spawn(listener.serve(socket, server.service(), shutdown.clone()));
        Self { server, address, shutdown, _dir: dir }
    }

    fn pki(&self) -> &Pki {
        server_pki(&self.server)
    }

    async fn call(&self, who: As<'_>, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header("host", "localhost").header("content-type", "application/json");
        if let As::Token(token) = who {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body.map(|b| b.to_string()).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(self.client(who));
        let stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
        (code, value)
    }

    fn client(&self, who: As<'_>) -> Arc<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.pki().authority().der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let with = |certificate: rustls_pki_types::CertificateDer<'static>, key: Vec<u8>| {
            let key = rustls_pki_types::PrivateKeyDer::Pkcs8(key.into());
            builder.clone().with_client_auth_cert(vec![certificate], key).unwrap()
        };
        Arc::new(match who {
            As::Nobody | As::Token(_) => builder.with_no_client_auth(),
            As::Certificate(name, group) => {
                let issued: Issued = self.pki().issue_client(name, &[group], Duration::from_secs(600)).unwrap();
                with(issued.certificate_der, issued.key_der)
            }
            As::Pem(certificate, key) => with(certificate.to_vec().into(), key.to_vec()),
        })
    }
}

fn server_pki(server: &Server) -> &Pki {
    &server.state().security.pki
}

#[tokio::test]
async fn strangers_see_health_and_version_alone() {
    let cluster = Cluster::start().await;
    assert_eq!(cluster.call(As::Nobody, "GET", "/healthz", None).await.0, 200);
    assert_eq!(cluster.call(As::Nobody, "GET", "/version", None).await.0, 200);
    let (code, status) = cluster.call(As::Nobody, "GET", "/api/v1/namespaces/default/secrets", None).await;
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "secrets is forbidden: User \"system:anonymous\" cannot list resource \"secrets\" in API group \"\" in the namespace \"default\""
    );
    assert_eq!(cluster.call(As::Token("wrong"), "GET", "/healthz", None).await.0, 401);
    assert_eq!(cluster.call(As::Nobody, "GET", "/metrics", None).await.0, 403);
}

#[tokio::test]
async fn an_administrator_sees_what_every_cluster_starts_with() {
    let cluster = Cluster::start().await;
    let (code, list) = cluster.call(ADMIN, "GET", "/api/v1/namespaces", None).await;
    assert_eq!(code, 200, "{list}");
    assert_eq!(list["items"].as_array().unwrap().len(), 4);
    let (code, role) = cluster.call(ADMIN, "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/edit", None).await;
    assert_eq!(code, 200);
    assert!(!role["rules"].as_array().unwrap().is_empty());
    let (code, page) = cluster.call(ADMIN, "GET", "/metrics", None).await;
    assert_eq!(code, 200);
    assert!(page.as_str().unwrap().contains("apiserver_request_total{"), "{page}");
}

#[tokio::test]
async fn a_service_account_acts_by_its_token_within_its_rights() {
    let cluster = Cluster::start().await;
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "robot" } });
    let (code, made) = cluster.call(ADMIN, "POST", "/api/v1/namespaces/default/serviceaccounts", Some(account)).await;
    assert_eq!(code, 201, "{made}");
    let request = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
    let path = "/api/v1/namespaces/default/serviceaccounts/robot/token";
    let (code, answer) = cluster.call(ADMIN, "POST", path, Some(request)).await;
    assert_eq!(code, 201, "{answer}");
    let token = answer["status"]["token"].as_str().unwrap();
    let (code, _) = cluster.call(As::Token(token), "GET", "/api/v1/namespaces/default/pods", None).await;
    assert_eq!(code, 403);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": { "name": "robot" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "kind": "ServiceAccount", "name": "robot", "namespace": "default" }],
    });
    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let (code, made) = cluster.call(ADMIN, "POST", bindings, Some(binding)).await;
    assert_eq!(code, 201, "{made}");
    let granted =
        async { while cluster.call(As::Token(token), "GET", "/api/v1/namespaces/default/pods", None).await.0 != 200 {} };
    tokio::time::timeout(Duration::from_secs(5), granted).await.unwrap();
    assert_eq!(cluster.call(As::Token(token), "GET", "/api/v1/namespaces/default/secrets", None).await.0, 403);
    let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let (code, who) =
        cluster.call(As::Token(token), "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", Some(review)).await;
    assert_eq!(code, 201, "{who}");
    assert_eq!(who["status"]["userInfo"]["username"], "system:serviceaccount:default:robot");
    cluster.call(ADMIN, "DELETE", "/api/v1/namespaces/default/serviceaccounts/robot", None).await;
    assert_eq!(cluster.call(As::Token(token), "GET", "/version", None).await.0, 401);
}

#[tokio::test]
async fn a_node_joins_with_a_token_and_a_certificate_request() {
    let cluster = Cluster::start().await;
    let token = BootstrapToken::generate().unwrap();
    let secrets = "/api/v1/namespaces/kube-system/secrets";
    let (code, made) = cluster.call(ADMIN, "POST", secrets, Some(token.manifest(None, "test"))).await;
    assert_eq!(code, 201, "{made}");
    let token = token.to_string();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(rcgen::DnType::CommonName, "system:node:n1");
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    let requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let request = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": { "name": "n1" },
        "spec": {
            "request": base64_of(&pem), "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": ["digital signature", "client auth"],
        },
    });
    let (code, made) = cluster.call(As::Token(&token), "POST", requests, Some(request)).await;
    assert_eq!(code, 201, "{made}");
    let path = format!("{requests}/n1");
    let signed = async {
        loop {
            let (_, found) = cluster.call(As::Token(&token), "GET", &path, None).await;
            if let Some(certificate) = found["status"]["certificate"].as_str() {
                return certificate.to_owned();
            }
        }
    };
    let certificate = tokio::time::timeout(Duration::from_secs(5), signed).await.unwrap();
    let (_, block) = x509_parser::pem::parse_x509_pem(&bytes_of(&certificate)).unwrap();
    let key = key.serialize_der();
    let node = As::Pem(&block.contents, &key);
    let own = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
    let (code, made) = cluster.call(node, "POST", "/api/v1/nodes", Some(own)).await;
    assert_eq!(code, 201, "{made}");
    let other = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n2" } });
    assert_eq!(cluster.call(node, "POST", "/api/v1/nodes", Some(other)).await.0, 403);
    assert_eq!(cluster.call(node, "GET", "/api/v1/nodes/n1", None).await.0, 200);
    // A node's agent knows the other nodes for its routes, and no more of them; it changes none.
    assert_eq!(cluster.call(node, "GET", "/api/v1/nodes/n2", None).await.0, 403);
    let (code, list) = cluster.call(node, "GET", "/api/v1/nodes", None).await;
    assert_eq!((code, &list["items"][0]["metadata"]["name"]), (200, &json!("n1")), "{list}");
    assert!(list["items"][0]["spec"]["taints"].is_null(), "{list}");
    assert_eq!(cluster.call(node, "DELETE", "/api/v1/nodes/n2", None).await.0, 403);
    assert_eq!(cluster.call(node, "GET", secrets, None).await.0, 403);
    assert_eq!(cluster.call(node, "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1", None).await.0, 200);
    assert_eq!(cluster.call(node, "GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Dn2", None).await.0, 403);
    assert_eq!(cluster.call(node, "GET", "/api/v1/pods?fieldSelector=metadata.name%3Dn1", None).await.0, 403);
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn bytes_of(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// A node's endpoint: answers logs with their path, and echoes what is executed.
async fn serve_node(cluster: &Cluster) -> u16 {
    let leaf = server::pki::Leaf {
        name: "system:node:n1".into(),
        organizations: vec!["system:nodes".into()],
        names: vec!["n1".into()],
        addresses: vec![],
        usage: server::pki::Usage::Server,
        lifetime: Duration::from_secs(600),
    };
    let issued = cluster.pki().authority().issue(&leaf, std::time::SystemTime::now()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(issued.key_der.into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![issued.certificate_der], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let stream = TokioIo::new(acceptor.accept(stream).await.unwrap());
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(stream, hyper::service::service_fn(node_answer)).with_upgrades().await;
            });
        }
    });
    port
}

async fn node_answer(
    mut request: Request<hyper::body::Incoming>,
) -> Result<http::Response<Full<Bytes>>, std::convert::Infallible> {
    if request.uri().path().starts_with("/containerLogs/ns/p/waits") {
        let waiting = Full::new(Bytes::from("container \"waits\" in pod \"p\" is waiting to start: ContainerCreating"));
        return Ok(http::Response::builder().status(400).body(waiting).unwrap());
    }
    if !request.headers().contains_key("upgrade") {
        return Ok(http::Response::new(Full::new(Bytes::from(request.uri().to_string()))));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let protocol = request.headers()["sec-websocket-protocol"].clone();
    let switch = http::Response::builder().status(101).header("connection", "Upgrade").header("upgrade", "websocket");
    Ok(switch.header("sec-websocket-protocol", protocol).body(Full::default()).unwrap())
}

#[tokio::test]
async fn logs_and_exec_come_through_the_server_from_the_node() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let cluster = Cluster::start().await;
    let port = serve_node(&cluster).await;
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": port } },
        },
    });
    assert_eq!(cluster.call(ADMIN, "POST", "/api/v1/nodes", Some(node.clone())).await.0, 201);
    let (code, answer) = cluster.call(ADMIN, "PUT", "/api/v1/nodes/n1/status", Some(node)).await;
    assert_eq!(code, 200, "{answer}");
    for (path, kind, name) in [("namespaces", "Namespace", "ns"), ("namespaces/ns/serviceaccounts", "ServiceAccount", "default")]
    {
        let object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name } });
        assert_eq!(cluster.call(ADMIN, "POST", &format!("/api/v1/{path}"), Some(object)).await.0, 201);
    }
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "i" }, { "name": "waits", "image": "i" }] },
    });
    let (code, made) = cluster.call(ADMIN, "POST", "/api/v1/namespaces/ns/pods", Some(pod)).await;
    assert_eq!(code, 201, "{made}");
    let of = |rest: &str| format!("/api/v1/namespaces/ns/pods/p/{rest}");
    let (code, text) = cluster.call(ADMIN, "GET", &of("log?container=c&tailLines=5"), None).await;
    assert_eq!((code, text.as_str().unwrap()), (200, "/containerLogs/ns/p/c?tailLines=5"));
    let (code, status) = cluster.call(ADMIN, "GET", &of("log?container=x"), None).await;
    assert_eq!((code, status["message"].as_str().unwrap()), (400, "container x is not valid for pod p"));
    let (code, status) = cluster.call(ADMIN, "GET", &of("log?container=waits"), None).await;
    let waiting = "container \"waits\" in pod \"p\" is waiting to start: ContainerCreating";
    assert_eq!((code, status["message"].as_str().unwrap()), (400, waiting));
    assert_eq!(cluster.call(As::Nobody, "GET", &of("log?container=c"), None).await.0, 403);

    let tcp = TcpStream::connect(cluster.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(cluster.client(ADMIN));
    let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: v5.channel.k8s.io\r\n\r\n",
        of("exec?container=c&command=sh&stdout=true")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("v5.channel.k8s.io"), "{answer}");
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
}

#[tokio::test]
async fn the_status_of_a_quota_follows_what_comes_and_goes() {
    let cluster = Cluster::start().await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "q" }, "spec": { "hard": { "secrets": "1" } },
    });
    let quotas = "/api/v1/namespaces/default/resourcequotas";
    assert_eq!(cluster.call(ADMIN, "POST", quotas, Some(quota)).await.0, 201);
    let used_becomes = |wanted: &'static str| {
        let cluster = &cluster;
        async move {
            let reached = async {
                while cluster.call(ADMIN, "GET", &format!("{quotas}/q"), None).await.1["status"]["used"]["secrets"] != wanted {}
            };
            tokio::time::timeout(Duration::from_secs(5), reached).await.unwrap();
        }
    };
    used_becomes("0").await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = |name: &str| Some(json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name } }));
    assert_eq!(cluster.call(ADMIN, "POST", secrets, secret("a")).await.0, 201);
    let (code, status) = cluster.call(ADMIN, "POST", secrets, secret("b")).await;
    let exceeded = "secrets \"b\" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=1, limited: secrets=1";
    assert_eq!((code, status["message"].as_str().unwrap()), (403, exceeded));
    used_becomes("1").await;
    cluster.call(ADMIN, "DELETE", &format!("{secrets}/a"), None).await;
    used_becomes("0").await;
}

#[tokio::test]
async fn the_first_pod_of_a_namespace_waits_for_its_account() {
    let cluster = Cluster::start().await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "ns" } });
    assert_eq!(cluster.call(ADMIN, "POST", "/api/v1/namespaces", Some(namespace)).await.0, 201);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "i" }] },
    });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default" } });
    let (pod, account) = tokio::join!(
        cluster.call(ADMIN, "POST", "/api/v1/namespaces/ns/pods", Some(pod)),
        cluster.call(ADMIN, "POST", "/api/v1/namespaces/ns/serviceaccounts", Some(account)),
    );
    assert_eq!((pod.0, account.0), (201, 201), "{}", pod.1);
}

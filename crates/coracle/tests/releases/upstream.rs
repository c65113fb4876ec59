//! Upstream's `kube-apiserver` on `etcd`: own keys, own ports on loopback, ended with the value.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::api::Api;
use super::beside::program;

/// Where the programs are: what `UPSTREAM_PROGRAMS` names, or where they are built to.
fn programs() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../out/conformance/bin");
    std::env::var_os("UPSTREAM_PROGRAMS").map_or_else(built, PathBuf::from)
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    socket.local_addr().expect("an address").port()
}

fn start(name: &str, folder: &Path, arguments: &[String]) -> Child {
    let log = std::fs::File::create(folder.join(format!("{name}.log"))).expect("a file");
    let path = programs().join(name);
    let mut command = program(&path);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{} is needed ({error}): make -C conformance upstream", path.display()))
}

impl Api {
    /// Upstream's.
    pub fn upstream() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let (etcd_port, peer_port, port) = (free_port(), free_port(), free_port());
        keys(folder.path(), port);
        let at = |name: &str| folder.path().join(name).display().to_string();
        let etcd_url = format!("http://127.0.0.1:{etcd_port}");
        let words = |text: String| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let etcd = words(format!(
            "--data-dir {} --listen-client-urls {etcd_url} --advertise-client-urls {etcd_url} --listen-peer-urls http://127.0.0.1:{peer_port} --log-level error",
            at("etcd")
        ));
        let apiserver = words(format!(
            "--etcd-servers {etcd_url} --secure-port {port} --bind-address 127.0.0.1 --cert-dir {} --client-ca-file {} --service-account-key-file {} --service-account-signing-key-file {} --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.96.0.0/16 --authorization-mode RBAC",
            at("certs"),
            at("ca.crt"),
            at("sa.pub"),
            at("sa.key"),
        ));
        let processes = vec![start("etcd", folder.path(), &etcd), start("kube-apiserver", folder.path(), &apiserver)];
        let api = Self::around(runtime, folder, processes, CancellationToken::new());
        let begun = Instant::now();
        let path = "/api/v1/namespaces/default";
        let there =
            || api.runtime.block_on(api.client.request_text(http::Request::get(path).body(Vec::new()).expect("a request")));
        while there().is_err() {
            assert!(begun.elapsed() < Duration::from_secs(90), "the API does not become ready");
            #[expect(clippy::disallowed_methods, reason = "another program starts")]
            std::thread::sleep(Duration::from_millis(200));
        }
        api
    }
}

/// An authority for clients, an administrator's certificate in a kubeconfig, and the key of service accounts.
fn keys(folder: &Path, port: u16) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "test");
    let certificate = authority.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let mut admin = CertificateParams::default();
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let issued = admin.signed_by(&key, &issuer).expect("a certificate");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("ca.crt", &certificate.pem());
    write("admin.crt", &issued.pem());
    write("admin.key", &key.serialize_pem());
    let accounts = KeyPair::generate().expect("a key");
    write("sa.key", &accounts.serialize_pem());
    write("sa.pub", &accounts.public_key_pem());
    let at = |name: &str| folder.join(name).display().to_string();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "peer",
        "clusters": [{"name": "peer", "cluster": {"server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "peer", "user": {"client-certificate": at("admin.crt"), "client-key": at("admin.key")}}],
        "contexts": [{"name": "peer", "context": {"cluster": "peer", "user": "peer"}}],
    });
    write("kubeconfig", &config.to_string());
}

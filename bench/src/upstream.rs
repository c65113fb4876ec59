//! Upstream's `kube-apiserver` on `etcd`, started beside for the rows that compare: own keys, own ports on loopback, ended with the value.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use acceptance::{Program, Started, within};
use anyhow::{Context as _, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

const ETCD: &str = "http://127.0.0.1:12379";
const PORT: u16 = 16443;

/// A running peer.
pub struct Upstream {
    folder: PathBuf,
    etcd: Started,
    apiserver: Started,
}

impl Upstream {
    /// Starts both, and waits until the API is ready.
    ///
    /// # Errors
    /// When a program is missing or does not become ready.
    pub fn start(programs: &Path) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("coracle-bench-upstream-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        keys(&folder)?;
        let at = |name: &str| folder.join(name).display().to_string();
        let etcd = acceptance::start(Program::new("sh").arguments([
            "-c",
            &format!(
                "exec {}/etcd --data-dir {} --listen-client-urls {ETCD} --advertise-client-urls {ETCD} --listen-peer-urls http://127.0.0.1:12380 --log-level error >{} 2>&1",
                programs.display(), at("etcd"), at("etcd.log")
            ),
        ]))?;
        let apiserver = acceptance::start(Program::new("sh").arguments([
            "-c",
            &format!(
                "exec {}/kube-apiserver --etcd-servers {ETCD} --secure-port {PORT} --bind-address 127.0.0.1 --advertise-address 192.0.2.1 --cert-dir {} --client-ca-file {} --service-account-key-file {} --service-account-signing-key-file {} --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.96.0.0/16 --authorization-mode RBAC --max-requests-inflight 0 --max-mutating-requests-inflight 0 --enable-priority-and-fairness=false >{} 2>&1",
                programs.display(), at("certs"), at("ca.crt"), at("sa.pub"), at("sa.key"), at("apiserver.log")
            ),
        ]))?;
        let peer = Self { folder, etcd, apiserver };
        within(Duration::from_secs(60), || {
            let ready = Program::new("kubectl")
                .arguments(["--kubeconfig", &peer.kubeconfig().display().to_string(), "get", "--raw", "/readyz"])
                .run()?;
            ensure!(ready.code == 0, "{}", ready.said());
            Ok(())
        })
        .with_context(|| fs::read_to_string(peer.folder.join("apiserver.log")).unwrap_or_default())?;
        Ok(peer)
    }

    /// A kubeconfig of an administrator; one path for the value's life.
    pub fn kubeconfig(&self) -> &Path {
        Box::leak(self.folder.join("kubeconfig").into_boxed_path())
    }

    /// Both processes: what upstream needs to keep an object is both.
    pub fn pids(&self) -> Vec<i32> {
        [&self.etcd, &self.apiserver].iter().filter_map(|started| i32::try_from(started.0.id()).ok()).collect()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.apiserver.0.kill();
        let _ = self.etcd.0.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// An authority for clients, an administrator's certificate in a kubeconfig, and the key of service accounts.
fn keys(folder: &Path) -> anyhow::Result<()> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "bench");
    let certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let mut admin = CertificateParams::default();
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let issued = admin.signed_by(&key, &issuer)?;
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"));
    write("ca.crt", &certificate.pem())?;
    write("admin.crt", &issued.pem())?;
    write("admin.key", &key.serialize_pem())?;
    let accounts = KeyPair::generate()?;
    write("sa.key", &accounts.serialize_pem())?;
    write("sa.pub", &accounts.public_key_pem())?;
    let at = |name: &str| folder.join(name).display().to_string();
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "peer",
        "clusters": [{"name": "peer", "cluster": {"server": format!("https://127.0.0.1:{PORT}"), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "peer", "user": {"client-certificate": at("admin.crt"), "client-key": at("admin.key")}}],
        "contexts": [{"name": "peer", "context": {"cluster": "peer", "user": "peer"}}],
    });
    write("kubeconfig", &config.to_string())
}

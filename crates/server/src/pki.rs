//! The cluster's keys and certificates: one authority for clients and servers, the server's own certificates, and the
//! service-account signing keys. Owns the folder it is given, every key in it mode 0600.
//!
//! Only what must outlive a restart is kept on disk (the authority, the service-account keys). The server's certificate
//! and its client certificate towards nodes are made in memory at start and remade while running, at a handshake that
//! finds them old, so that no certificate expires because nobody restarted the server, and a new address of the machine is in
//! the certificate as soon as the server runs there. Never logs or returns a private key, except inside a kubeconfig that was asked for.

mod authority;
mod bootstrap_token;
mod files;
mod kubeconfig;
mod service_account_keys;
mod tls;

pub use authority::{Authority, Issued, Leaf, Usage};
pub use bootstrap_token::{BOOTSTRAPPERS, BootstrapToken, InvalidToken, NODE_BOOTSTRAPPERS, TOKEN_NAMESPACE, TOKEN_TYPE};
pub use kubeconfig::kubeconfig;
pub use service_account_keys::{ServiceAccountKeys, VerifyingKey};
pub use tls::{ServerCertificate, client_config, server_config};

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where time comes from: a parameter, so that expiry can be tested and simulated.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The machine's clock.
pub fn system_clock() -> Clock {
    Arc::new(SystemTime::now)
}

/// How long the authority lives.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
/// How long the server's own certificates live; they are remade at two thirds of it.
pub const SERVER_LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// How long the administrator's certificate in a kubeconfig lives.
pub const ADMIN_LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// The longest life of a certificate that a CertificateSigningRequest can ask for.
pub const SIGNING_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// Who speaks to aggregated API servers in the name of users.
pub const FRONT_PROXY_NAME: &str = "front-proxy-client";
/// The user that the server is when it calls a node.
pub const NODE_CLIENT_NAME: &str = "kube-apiserver-kubelet-client";
/// The group whose members may do everything.
pub const MASTERS: &str = "system:masters";

/// What may go wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The folder cannot be made or its mode cannot be set.
    #[error("cannot prepare the key folder {path}")]
    PrepareFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate file cannot be read.
    #[error("cannot read {path}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate file cannot be written.
    #[error("cannot write {path}")]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate is there without its key, or the other way round.
    #[error("{path} is missing while its other half exists; restore it, or remove both to start a new authority")]
    HalfMissing {
        /// The half that is missing.
        path: PathBuf,
    },
    /// A file is not what its name says.
    #[error("{path} does not hold {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// A key or certificate cannot be made.
    #[error("cannot make {what}")]
    Issue {
        /// What was to be made.
        what: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// The TLS library refuses what was made.
    #[error("cannot configure TLS")]
    ConfigureTls(#[source] rustls::Error),
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Entropy,
    /// The authority is past its end: everything signed by it is refused.
    #[error("the cluster's certificate authority expired; move its folder away to start a new one")]
    AuthorityExpired,
    /// The certificate signing request cannot be used.
    #[error("the certificate request cannot be used: {reason}")]
    RefusedRequest {
        /// Why, for the requester.
        reason: String,
    },
}

/// How the key folder is opened.
#[derive(Clone)]
pub struct Settings {
    /// The folder, made with mode 0700 when missing.
    pub dir: PathBuf,
    /// DNS names, beside those of the `kubernetes` service and `localhost`, that the server answers to.
    pub names: Vec<String>,
    /// Addresses, beside loopback, that the server answers on.
    pub addresses: Vec<IpAddr>,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The address of the `kubernetes` service.
    pub service_address: IpAddr,
    /// Where time comes from.
    pub clock: Clock,
}

impl Settings {
    /// The usual settings for a folder.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            names: Vec::new(),
            addresses: Vec::new(),
            cluster_domain: "cluster.local".into(),
            service_address: IpAddr::from([10, 43, 0, 1]),
            clock: system_clock(),
        }
    }
}

/// The open key folder.
pub struct Pki {
    authority: Arc<Authority>,
    service_account: Arc<ServiceAccountKeys>,
    server: Arc<ServerCertificate>,
    clock: Clock,
}

impl Pki {
    /// Opens the folder; makes the authority and the first service-account key when there are none.
    pub fn open(settings: Settings) -> Result<Self, PkiError> {
        files::prepare_folder(&settings.dir)?;
        let now = (settings.clock)();
        let authority = Arc::new(Authority::open(&settings.dir, now)?);
        if now >= authority.not_after() {
            return Err(PkiError::AuthorityExpired);
        }
        let service_account = Arc::new(ServiceAccountKeys::open(&settings.dir)?);
        let server = Arc::new(ServerCertificate::new(authority.clone(), &settings)?);
        Ok(Self { authority, service_account, server, clock: settings.clock })
    }

    /// The authority that signs every certificate of the cluster.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    /// The keys that sign service-account tokens.
    pub fn service_account_keys(&self) -> &Arc<ServiceAccountKeys> {
        &self.service_account
    }

    /// The authority's certificate, as it stands in kubeconfigs and in `kube-root-ca.crt`.
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// What a joining machine compares: `sha256:<hex of the authority's public key>`, as kubeadm prints it.
    pub fn ca_hash(&self) -> String {
        self.authority.public_key_hash()
    }

    /// What the listener needs for its handshakes.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, PkiError> {
        server_config(self.server.clone())
    }

    /// What the server needs to call a node: its client certificate, and trust in this cluster's authority alone.
    pub fn node_client_config(&self) -> Result<Arc<rustls::ClientConfig>, PkiError> {
        client_config(&self.authority, &self.clock)
    }

    /// What the server needs to call an extension that is trusted by `roots`; `identified` when it passes users on.
    pub fn extension_client_config(
        &self,
        roots: rustls::RootCertStore,
        identified: bool,
    ) -> Result<rustls::ClientConfig, PkiError> {
        tls::extension_client_config(&self.authority, &self.clock, roots, identified)
    }

    /// A fresh client certificate and its key.
    pub fn issue_client(&self, name: &str, groups: &[&str], lifetime: Duration) -> Result<Issued, PkiError> {
        let leaf = Leaf {
            name: name.to_owned(),
            organizations: groups.iter().map(|g| (*g).to_owned()).collect(),
            names: Vec::new(),
            addresses: Vec::new(),
            usage: Usage::Client,
            lifetime,
        };
        self.authority.issue(&leaf, (self.clock)())
    }

    /// A kubeconfig for the administrator, with a certificate of a year in [`MASTERS`].
    pub fn admin_kubeconfig(&self, name: &str, server_url: &str) -> Result<String, PkiError> {
        let issued = self.issue_client("kubernetes-admin", &[MASTERS], ADMIN_LIFETIME)?;
        Ok(kubeconfig(name, server_url, self.ca_pem(), &issued.certificate_pem, &issued.key_pem))
    }

    /// What will expire within `horizon`, worded for a person; empty when all is well.
    pub fn expiring(&self, horizon: Duration) -> Vec<String> {
        let end = self.authority.not_after();
        match end.duration_since((self.clock)()) {
            Err(_) => vec!["the cluster's certificate authority has expired".into()],
            Ok(left) if left <= horizon => {
                vec![format!("the cluster's certificate authority expires in {} days", left.as_secs() / 86_400)]
            }
            Ok(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;

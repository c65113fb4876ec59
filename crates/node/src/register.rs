//! The node's identity and its place in the API: joins by a token, holds certificates and renews them while it runs, keeps its Node object
//! and its Lease. Never touches a pod.

mod authority;
mod certificate;
mod lease;
mod machine;
mod object;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use client::transport::{Config, Credentials, Https, https};
use http::Uri;
use tokio::sync::watch;

pub use authority::Authority;
pub(crate) use certificate::Certificate;
use certificate::Purpose;
pub(crate) use lease::keep_lease;
pub(crate) use machine::{Machine, disk_bytes};
pub(crate) use object::{NodeKeeper, Report};

/// Why the node could not join, or cannot keep its place.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The address of the server cannot be used.
    #[error("the server's address lacks a host")]
    ReadAddress,
    /// The server is not there.
    #[error("cannot reach {server}")]
    ReachServer {
        /// Where.
        server: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No certificate of the server's chain has the hash.
    #[error("no authority of the server has the given hash: the server is another one, or the hash is wrong")]
    PinAuthority,
    /// TLS refuses what it was given.
    #[error("cannot prepare TLS")]
    PrepareTls(#[source] rustls::Error),
    /// The connection to the server cannot be prepared.
    #[error("cannot prepare the connection to the server")]
    PrepareClient(#[source] client::transport::HttpsError),
    /// There is neither a certificate nor a token.
    #[error("the node has no certificate yet and no token to ask for one: give a token")]
    NoToken,
    /// A key or request cannot be made.
    #[error("cannot make a key or a certificate request")]
    MakeKey(#[source] rcgen::Error),
    /// The request for a certificate failed.
    #[error("cannot ask for a certificate")]
    AskCertificate(#[source] kube::Error),
    /// Nobody signed in time.
    #[error("the certificate request is not answered; approve it with kubectl certificate approve")]
    AwaitCertificate,
    /// Someone refused.
    #[error("the certificate request is refused: {0}")]
    CertificateRefused(String),
    /// What was signed is no certificate.
    #[error("the signed certificate cannot be read")]
    ReadCertificate,
    /// A file of the node cannot be written.
    #[error("cannot write {path}")]
    KeepFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The Node object cannot be written.
    #[error("cannot write the Node")]
    WriteNode(#[source] kube::Error),
}

/// Who joins what.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) name: String,
    pub(crate) server: Uri,
    pub(crate) authority: Option<Authority>,
    pub(crate) token: Option<String>,
    /// The folder of keys and certificates.
    pub(crate) folder: PathBuf,
}

/// A node that has joined.
pub(crate) struct Joined {
    pub(crate) client: kube::Client,
    pub(crate) https: Https,
    pub(crate) certificate: Certificate,
    /// The authority's certificate.
    pub(crate) authority_pem: Vec<u8>,
}

/// Joins by the certificate that was kept, or by the token.
pub(crate) async fn join(joining: &Joining) -> Result<Joined, RegisterError> {
    let path = joining.folder.clone();
    std::fs::create_dir_all(&path).map_err(|source| RegisterError::KeepFile { path, source })?;
    let authority_pem = authority_of(joining).await?;
    let config = |credentials| Config { url: joining.server.clone(), authorities_pem: authority_pem.clone(), credentials };
    let kept = Certificate::kept(&joining.folder, Purpose::Client, SystemTime::now());
    let certificate = match kept {
        Some(certificate) => certificate,
        None => {
            let token = joining.token.clone().ok_or(RegisterError::NoToken)?;
            let (client, _) = https(config(Credentials::Token(token))).map_err(RegisterError::PrepareClient)?;
            let certificate = certificate::request(&client, &joining.name, Purpose::Client, &[]).await?;
            certificate.keep(&joining.folder, Purpose::Client)?;
            certificate
        }
    };
    let (client, https) = https(config(credentials(&certificate))).map_err(RegisterError::PrepareClient)?;
    Ok(Joined { client, https, certificate, authority_pem })
}

async fn authority_of(joining: &Joining) -> Result<Vec<u8>, RegisterError> {
    let path = joining.folder.join("ca.crt");
    let pem = match (&joining.authority, std::fs::read(&path)) {
        (None, Ok(kept)) => return Ok(kept),
        (Some(Authority::Hash(_)), Ok(kept)) => return Ok(kept),
        (Some(authority), _) => authority.certificate(&joining.server).await?,
        (None, Err(_)) => return Err(RegisterError::PinAuthority),
    };
    let text = String::from_utf8_lossy(&pem);
    certificate::write_private(&path, &text).map_err(|source| RegisterError::KeepFile { path, source })?;
    Ok(pem)
}

fn credentials(certificate: &Certificate) -> Credentials {
    Credentials::Certificate { chain_pem: certificate.chain.clone().into_bytes(), key_pem: certificate.key.clone().into_bytes() }
}

/// Renews the client certificate at two thirds of its life, for as long as the node runs.
pub(crate) async fn renew_client(joined: Arc<Joined>, name: String, folder: PathBuf) {
    let mut current = joined.certificate.clone();
    loop {
        wait_until(current.renew_at()).await;
        match certificate::request(&joined.client, &name, Purpose::Client, &[]).await {
            Ok(fresh) => {
                let kept = fresh.keep(&folder, Purpose::Client);
                let used = joined.https.renew(&credentials(&fresh));
                if let (Ok(()), Ok(())) = (&kept, &used) {
                    tracing::info!("the node's certificate is renewed");
                }
                current = fresh;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the node's certificate is not renewed yet");
                client::queue::pause(Duration::from_secs(60)).await;
            }
        }
    }
}

/// Holds a serving certificate: the kept one or a new one, and renews it while the node runs.
pub(crate) async fn keep_serving_certificate(
    client: kube::Client,
    name: String,
    folder: PathBuf,
    addresses: Vec<IpAddr>,
    current: watch::Sender<Option<Certificate>>,
) {
    // A kept one may bear an address of yesterday; it is used until the new one is there.
    let kept = Certificate::kept(&folder, Purpose::Serving, SystemTime::now());
    let mut renew_at = kept.as_ref().map_or(SystemTime::UNIX_EPOCH, Certificate::renew_at);
    if let Some(kept) = kept {
        current.send_replace(Some(kept));
    }
    loop {
        wait_until(renew_at).await;
        match certificate::request(&client, &name, Purpose::Serving, &addresses).await {
            Ok(fresh) => {
                if let Err(error) = fresh.keep(&folder, Purpose::Serving) {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a certificate is not kept");
                }
                renew_at = fresh.renew_at();
                current.send_replace(Some(fresh));
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no serving certificate yet");
                client::queue::pause(Duration::from_secs(5)).await;
            }
        }
    }
}

/// Waits for a time of day in steps, since a machine's clock may be set or stand still while it sleeps.
async fn wait_until(at: SystemTime) {
    const STEP_MAX: Duration = Duration::from_secs(6 * 3600);
    while let Ok(left) = at.duration_since(SystemTime::now()) {
        client::queue::pause(left.min(STEP_MAX)).await;
    }
}

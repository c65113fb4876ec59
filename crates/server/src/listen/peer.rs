//! Who is at the other end of a connection: its certificate, judged once against the cluster's authority.

use super::ListenError;
use crate::pki::Authority;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The address at the other end, beside each request.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddress(pub SocketAddr);

/// The certificate at the other end, beside each request of a connection that showed one.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Arc<Peer>);

/// A client certificate whose key the client holds, and what is known of it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The common name: the user.
    pub name: String,
    /// The organizations: the groups.
    pub organizations: Vec<String>,
    /// `X509SHA256=<hex>`: which certificate it was, as upstream records it.
    pub credential_id: String,
    /// Its end; looked at with each request, since connections outlive certificates.
    pub not_after: SystemTime,
    /// Why it is not trusted; none when the cluster's authority signed it for clients.
    pub problem: Option<String>,
}

/// What judges certificates.
pub(super) struct Trust {
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    pub(super) fn new(authority: &Authority) -> Result<Self, ListenError> {
        let failed = |reason: String| ListenError::PrepareTrust { reason };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).map_err(|e| failed(e.to_string()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|e| failed(e.to_string()))?;
        Ok(Self { verifier })
    }

    /// Reads the certificate at the head of the chain and verifies it.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Peer {
        let Some((leaf, intermediates)) = chain.split_first() else {
            return untrusted("x509: no certificate");
        };
        let Ok((_, parsed)) = X509Certificate::from_der(leaf) else {
            return untrusted("x509: malformed certificate");
        };
        let problem = match self.verifier.verify_client_cert(leaf, intermediates, UnixTime::now()) {
            Ok(_) => None,
            Err(error) => Some(format!("x509: {error}")),
        };
        let subject = parsed.subject();
        let texts = |attributes: &mut dyn Iterator<Item = &x509_parser::x509::AttributeTypeAndValue<'_>>| {
            attributes.filter_map(|a| a.as_str().ok().map(str::to_owned)).collect::<Vec<_>>()
        };
        let end = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
        Peer {
            name: texts(&mut subject.iter_common_name()).into_iter().next().unwrap_or_default(),
            organizations: texts(&mut subject.iter_organization()),
            credential_id: credential_id(leaf),
            not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(end),
            problem,
        }
    }
}

fn credential_id(leaf: &CertificateDer<'_>) -> String {
    use sha2::{Digest, Sha256};
    format!("X509SHA256={}", hex::encode(Sha256::digest(leaf)))
}

fn untrusted(problem: &str) -> Peer {
    Peer {
        name: String::new(),
        organizations: Vec::new(),
        credential_id: String::new(),
        not_after: SystemTime::UNIX_EPOCH,
        problem: Some(problem.to_owned()),
    }
}

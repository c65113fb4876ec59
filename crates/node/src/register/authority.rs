//! Which authority a joining node trusts: the one it was given, or the one in the server's chain whose public key has the hash it was
//! told, as kubeadm pins it. Nothing secret is sent before that is settled.

use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::RegisterError;

/// Whom to trust.
#[derive(Clone, Debug)]
pub enum Authority {
    /// This certificate, as PEM.
    Pem(Vec<u8>),
    /// The one with this hash of its public key: `sha256:<hex>`.
    Hash(String),
}

impl Authority {
    /// The authority's certificate, as PEM.
    pub(super) async fn certificate(&self, server: &Uri) -> Result<Vec<u8>, RegisterError> {
        match self {
            Self::Pem(pem) => Ok(pem.clone()),
            Self::Hash(hash) => pinned(&chain(server).await?, hash).ok_or(RegisterError::PinAuthority),
        }
    }
}

/// The first certificate of a chain whose public key has the hash, as PEM.
fn pinned(chain: &[CertificateDer<'static>], hash: &str) -> Option<Vec<u8>> {
    chain.iter().find_map(|der| {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let found = format!("sha256:{}", hex::encode(Sha256::digest(certificate.public_key().raw)));
        found.eq_ignore_ascii_case(hash).then(|| pem(der).into_bytes())
    })
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// What the server presents, believed by nobody yet.
async fn chain(server: &Uri) -> Result<Vec<CertificateDer<'static>>, RegisterError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let seen = Arc::new(Onlooker { provider: Arc::clone(&provider), chain: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(RegisterError::PrepareTls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&seen) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let host = server.host().ok_or(RegisterError::ReadAddress)?;
    let port = server.port_u16().unwrap_or(443);
    let reach = |source| RegisterError::ReachServer { server: server.to_string(), source };
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await.map_err(reach)?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|_| RegisterError::ReadAddress)?;
    let connected = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(reach)?;
    drop(connected);
    Ok(std::mem::take(&mut *seen.chain.lock().unwrap_or_else(PoisonError::into_inner)))
}

#[derive(Debug)]
struct Onlooker {
    provider: Arc<rustls::crypto::CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = all.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

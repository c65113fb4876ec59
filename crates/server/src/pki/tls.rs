//! TLS settings made from the authority: the server's certificate, renewed at a handshake that finds it old, and the client
//! side that calls nodes.

use super::authority::{Authority, Issued, Leaf, Usage};
use super::{Clock, MASTERS, NODE_CLIENT_NAME, PkiError, SERVER_LIFETIME, Settings};
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{ClientConfig, ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// The provider that every part of the program uses.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

struct Renewable {
    key: Arc<CertifiedKey>,
    renew_at: SystemTime,
}

/// A certificate kept in memory with its key; remade when two thirds of its life are over.
struct Renewing {
    authority: Arc<Authority>,
    leaf: Leaf,
    clock: Clock,
    current: ArcSwap<Renewable>,
}

impl std::fmt::Debug for Renewing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewing").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

impl Renewing {
    fn new(authority: Arc<Authority>, leaf: Leaf, clock: Clock) -> Result<Self, PkiError> {
        let current = ArcSwap::from_pointee(renewable(&authority, &leaf, clock())?);
        Ok(Self { authority, leaf, clock, current })
    }

    fn get(&self) -> Arc<CertifiedKey> {
        let current = self.current.load();
        let now = (self.clock)();
        if now < current.renew_at {
            return current.key.clone();
        }
        match renewable(&self.authority, &self.leaf, now) {
            Ok(fresh) => {
                let key = fresh.key.clone();
                self.current.store(Arc::new(fresh));
                tracing::info!(name = %self.leaf.name, "certificate renewed");
                key
            }
            Err(error) => {
                tracing::error!(name = %self.leaf.name, %error, "certificate could not be renewed");
                current.key.clone()
            }
        }
    }
}

fn renewable(authority: &Authority, leaf: &Leaf, now: SystemTime) -> Result<Renewable, PkiError> {
    let issued = authority.issue(leaf, now)?;
    let life = issued.not_after.duration_since(now).unwrap_or_default();
    Ok(Renewable { renew_at: now + life / 3 * 2, key: Arc::new(certified(&issued, authority)?) })
}

fn certified(issued: &Issued, authority: &Authority) -> Result<CertifiedKey, PkiError> {
    let key = PrivateKeyDer::Pkcs8(issued.key_der.clone().into());
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).map_err(PkiError::ConfigureTls)?;
    Ok(CertifiedKey::new(vec![issued.certificate_der.clone(), authority.der().clone()], key))
}

/// The server's own certificate.
#[derive(Debug)]
pub struct ServerCertificate {
    renewing: Renewing,
    authority: Arc<Authority>,
}

impl ServerCertificate {
    /// Makes the first one, for every name and address of the settings.
    pub fn new(authority: Arc<Authority>, settings: &Settings) -> Result<Self, PkiError> {
        let leaf = Leaf {
            name: "kube-apiserver".into(),
            organizations: Vec::new(),
            names: server_names(settings),
            addresses: server_addresses(settings),
            usage: Usage::Server,
            lifetime: SERVER_LIFETIME,
        };
        let renewing = Renewing::new(authority.clone(), leaf, settings.clock.clone())?;
        Ok(Self { renewing, authority })
    }

    /// The authority that client certificates must come from.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }
}

fn server_names(settings: &Settings) -> Vec<String> {
    let domain = &settings.cluster_domain;
    let own = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"].map(str::to_owned);
    let mut names = Vec::from(own);
    names.push(format!("kubernetes.default.svc.{domain}"));
    names.extend(settings.names.iter().cloned());
    names.sort();
    names.dedup();
    names
}

fn server_addresses(settings: &Settings) -> Vec<IpAddr> {
    let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16])];
    addresses.push(settings.service_address);
    addresses.extend(settings.addresses.iter().copied());
    addresses.sort();
    addresses.dedup();
    addresses
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.renewing.get())
    }
}

/// Takes any client certificate whose key the client holds. Whether it is trusted is decided by authentication, so that
/// a stranger's or expired certificate gets `401 Unauthorized` instead of a broken connection, as upstream does.
#[derive(Debug)]
struct Possession {
    provider: Arc<CryptoProvider>,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for Possession {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1, a client certificate asked for but not required.
pub fn server_config(certificate: Arc<ServerCertificate>) -> Result<Arc<ServerConfig>, PkiError> {
    let roots = roots(certificate.authority())?;
    let verifier = Arc::new(Possession { provider: provider(), hints: roots.subjects() });
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(PkiError::ConfigureTls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The trust store that holds this authority alone.
pub(super) fn roots(authority: &Authority) -> Result<RootCertStore, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).map_err(PkiError::ConfigureTls)?;
    Ok(roots)
}

#[derive(Debug)]
struct NodeClientCertificate(Renewing);

impl ResolvesClientCert for NodeClientCertificate {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// How the server calls what extends it: these roots, and with `identified` a certificate that vouches for the users it names.
pub fn extension_client_config(
    authority: &Arc<Authority>,
    clock: &Clock,
    roots: RootCertStore,
    identified: bool,
) -> Result<ClientConfig, PkiError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(PkiError::ConfigureTls)?
        .with_root_certificates(roots);
    let mut config = if identified {
        let leaf = Leaf {
            name: super::FRONT_PROXY_NAME.into(),
            organizations: Vec::new(),
            names: Vec::new(),
            addresses: Vec::new(),
            usage: Usage::Client,
            lifetime: SERVER_LIFETIME,
        };
        builder.with_client_cert_resolver(Arc::new(NodeClientCertificate(Renewing::new(authority.clone(), leaf, clock.clone())?)))
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// How the server calls a node: HTTP/1.1 alone, so that upgrades pass.
pub fn client_config(authority: &Arc<Authority>, clock: &Clock) -> Result<Arc<ClientConfig>, PkiError> {
    let leaf = Leaf {
        name: NODE_CLIENT_NAME.into(),
        organizations: vec![MASTERS.into()],
        names: Vec::new(),
        addresses: Vec::new(),
        usage: Usage::Client,
        lifetime: SERVER_LIFETIME,
    };
    let certificate = Renewing::new(authority.clone(), leaf, clock.clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(authority)?), provider())
        .build()
        .map_err(|e| PkiError::ConfigureTls(rustls::Error::General(e.to_string())))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(PkiError::ConfigureTls)?
        .with_webpki_verifier(verifier)
        .with_client_cert_resolver(Arc::new(NodeClientCertificate(certificate)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

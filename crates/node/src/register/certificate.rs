//! The node's certificates: own keys, signed by request, kept in the node's folder. A key never leaves it.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use kube::api::{Api, ObjectMeta, PostParams, WatchEvent, WatchParams};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::RegisterError;

/// How long the answer to a request may take before the node gives up and asks again.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To call the API as the node.
    Client,
    /// To answer the API.
    Serving,
}

impl Purpose {
    fn signer(self) -> &'static str {
        match self {
            Self::Client => "kubernetes.io/kube-apiserver-client-kubelet",
            Self::Serving => "kubernetes.io/kubelet-serving",
        }
    }

    fn usages(self) -> Vec<String> {
        let last = match self {
            Self::Client => "client auth",
            Self::Serving => "server auth",
        };
        vec!["digital signature".to_owned(), last.to_owned()]
    }

    fn file(self) -> &'static str {
        match self {
            Self::Client => "kubelet-client.pem",
            Self::Serving => "kubelet-server.pem",
        }
    }
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The chain, as PEM.
    pub(crate) chain: String,
    /// The key, as PEM.
    pub(crate) key: String,
    /// From when.
    pub(crate) begins: SystemTime,
    /// Until when.
    pub(crate) ends: SystemTime,
}

impl Certificate {
    fn parse(pem: &str) -> Option<Self> {
        let at = pem.find("-----BEGIN PRIVATE KEY-----")?;
        let (chain, key) = pem.split_at(at);
        let (_, block) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).ok()?;
        let (_, certificate) = X509Certificate::from_der(&block.contents).ok()?;
        let time = |time: x509_parser::time::ASN1Time| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
        };
        let validity = certificate.validity();
        Some(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            begins: time(validity.not_before),
            ends: time(validity.not_after),
        })
    }

    /// When it is to be renewed: at two thirds of its life.
    pub(crate) fn renew_at(&self) -> SystemTime {
        let life = self.ends.duration_since(self.begins).unwrap_or_default();
        self.begins + life * 2 / 3
    }

    /// The one that was kept, if it still is of use.
    pub(crate) fn kept(folder: &Path, purpose: Purpose, now: SystemTime) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(purpose.file())).ok()?;
        Self::parse(&text).filter(|certificate| certificate.ends > now)
    }

    /// Keeps it, for its owner's eyes alone; a crash leaves the old one or the new one.
    pub(crate) fn keep(&self, folder: &Path, purpose: Purpose) -> Result<(), RegisterError> {
        let path = folder.join(purpose.file());
        write_private(&path, &format!("{}{}", self.chain, self.key)).map_err(|source| RegisterError::KeepFile { path, source })
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft: PathBuf = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    std::fs::rename(draft, path)
}

/// Asks for a certificate of the node and waits until it is signed.
pub(crate) async fn request(
    client: &kube::Client,
    node: &str,
    purpose: Purpose,
    addresses: &[IpAddr],
) -> Result<Certificate, RegisterError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(RegisterError::MakeKey)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
    if purpose == Purpose::Serving {
        let name = node.to_owned().try_into().map_err(RegisterError::MakeKey)?;
        params.subject_alt_names = addresses.iter().map(|address| SanType::IpAddress(*address)).collect();
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    let pem = params.serialize_request(&key).and_then(|request| request.pem()).map_err(RegisterError::MakeKey)?;
    let asked = CertificateSigningRequest {
        metadata: ObjectMeta { generate_name: Some("csr-".into()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(pem.into_bytes()),
            signer_name: purpose.signer().into(),
            usages: Some(purpose.usages()),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let api: Api<CertificateSigningRequest> = Api::all(client.clone());
    let made = api.create(&PostParams::default(), &asked).await.map_err(RegisterError::AskCertificate)?;
    let chain = tokio::time::timeout(ANSWER_MAX, answer(&api, &made)).await.map_err(|_| RegisterError::AwaitCertificate)??;
    let text = format!("{chain}{}", key.serialize_pem());
    Certificate::parse(&text).ok_or(RegisterError::ReadCertificate)
}

/// The signed chain of a request that was made.
async fn answer(api: &Api<CertificateSigningRequest>, made: &CertificateSigningRequest) -> Result<String, RegisterError> {
    let name = made.metadata.name.clone().unwrap_or_default();
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let revision = made.metadata.resource_version.clone().unwrap_or_default();
    let events = api.watch(&params, &revision).await.map_err(RegisterError::AskCertificate)?;
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        let object = match event.map_err(RegisterError::AskCertificate)? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => object,
            WatchEvent::Error(status) => return Err(RegisterError::AskCertificate(kube::Error::Api(status))),
            _ => continue,
        };
        let Some(status) = object.status else { continue };
        if let Some(chain) = status.certificate.filter(|chain| !chain.0.is_empty()) {
            return String::from_utf8(chain.0).map_err(|_| RegisterError::ReadCertificate);
        }
        let refusal = status.conditions.iter().flatten().find(|c| matches!(c.type_.as_str(), "Denied" | "Failed"));
        if let Some(refusal) = refusal {
            return Err(RegisterError::CertificateRefused(refusal.message.clone().unwrap_or_default()));
        }
    }
    Err(RegisterError::AwaitCertificate)
}

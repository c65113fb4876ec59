//! The certificate authority: made once, signs leaf certificates and certificate requests.

use super::{AUTHORITY_LIFETIME, PkiError, files};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Certificates count from a little before now: clocks of machines differ.
const BACKDATE: Duration = Duration::from_secs(300);

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Proves who calls.
    Client,
    /// Proves who answers.
    Server,
    /// Both.
    Both,
}

impl Usage {
    fn extended(self) -> Vec<ExtendedKeyUsagePurpose> {
        match self {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}

/// A certificate to be made, with its key.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The common name: the user.
    pub name: String,
    /// The organizations: the groups. At most the first can stand in a certificate made here.
    pub organizations: Vec<String>,
    /// DNS names it answers to.
    pub names: Vec<String>,
    /// Addresses it answers on.
    pub addresses: Vec<IpAddr>,
    /// What it is for.
    pub usage: Usage,
    /// How long it lives; never longer than the authority.
    pub lifetime: Duration,
}

/// A certificate with its key.
pub struct Issued {
    /// The certificate.
    pub certificate_pem: String,
    /// The certificate, as sent in a handshake.
    pub certificate_der: CertificateDer<'static>,
    /// Its private key (PKCS#8).
    pub key_pem: String,
    /// Its private key (PKCS#8, binary).
    pub key_der: Vec<u8>,
    /// When it ends.
    pub not_after: SystemTime,
}

/// The authority of this cluster.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    not_after: SystemTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Authority {
    /// Loads `ca.crt` and `ca.key`, or makes them when both are missing.
    pub fn open(dir: &Path, now: SystemTime) -> Result<Self, PkiError> {
        let (cert_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        match (files::read_if_there(&cert_path)?, files::read_if_there(&key_path)?) {
            (Some(cert), Some(key)) => Self::load(cert, &key, &cert_path, &key_path),
            (None, None) => {
                let (authority, key) = Self::create("coracle", now)?;
                // The key first: a certificate alone could not be told from a lost key.
                files::write_private(&key_path, &key)?;
                files::write_private(&cert_path, &authority.pem)?;
                Ok(authority)
            }
            // The folder was being made when the machine went down: nothing was signed yet.
            (None, Some(_)) => {
                let (authority, key) = Self::create("coracle", now)?;
                files::write_private(&key_path, &key)?;
                files::write_private(&cert_path, &authority.pem)?;
                Ok(authority)
            }
            (Some(_), None) => Err(PkiError::HalfMissing { path: key_path }),
        }
    }

    /// Makes an authority; returns its private key beside it.
    pub fn create(name: &str, now: SystemTime) -> Result<(Self, String), PkiError> {
        let key = generate_key()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("{name}-ca"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let not_after = now + AUTHORITY_LIFETIME;
        set_lifetime(&mut params, now, not_after);
        params.serial_number = Some(serial()?);
        let certificate = params.self_signed(&key).map_err(issue("the authority's certificate"))?;
        let key_pem = key.serialize_pem();
        let authority = Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            not_after: whole_seconds(not_after),
        };
        Ok((authority, key_pem))
    }

    fn load(cert: String, key: &str, cert_path: &Path, key_path: &Path) -> Result<Self, PkiError> {
        let bad_cert = || PkiError::Malformed { path: cert_path.to_owned(), expected: "a PEM certificate" };
        let bad_key = || PkiError::Malformed { path: key_path.to_owned(), expected: "the authority's private key" };
        let key = KeyPair::from_pem(key).map_err(|_| bad_key())?;
        let (_, block) = x509_parser::pem::parse_x509_pem(cert.as_bytes()).map_err(|_| bad_cert())?;
        let der = CertificateDer::from(block.contents);
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| bad_cert())?;
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(bad_key());
        }
        let not_after = from_timestamp(parsed.validity().not_after.timestamp());
        let der = der.into_owned();
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|_| bad_cert())?;
        Ok(Self { issuer, pem: cert, der, not_after })
    }

    /// The certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate, as trust roots take it.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// When it ends.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// `sha256:` and the hash of the public key.
    pub fn public_key_hash(&self) -> String {
        let spki = self.issuer.key().subject_public_key_info();
        format!("sha256:{}", hex::encode(Sha256::digest(spki)))
    }

    /// Makes a certificate with a fresh key.
    pub fn issue(&self, leaf: &Leaf, now: SystemTime) -> Result<Issued, PkiError> {
        let key = generate_key()?;
        let not_after = self.bounded(now, leaf.lifetime);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for organization in leaf.organizations.iter().take(1) {
            params.distinguished_name.push(DnType::OrganizationName, organization.clone());
        }
        params.distinguished_name.push(DnType::CommonName, leaf.name.clone());
        for name in &leaf.names {
            let name = name.clone().try_into().map_err(issue("a certificate's DNS name"))?;
            params.subject_alt_names.push(SanType::DnsName(name));
        }
        params.subject_alt_names.extend(leaf.addresses.iter().copied().map(SanType::IpAddress));
        self.complete(&mut params, leaf.usage, now, not_after)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(issue("a certificate"))?;
        Ok(Issued {
            certificate_pem: certificate.pem(),
            certificate_der: certificate.der().clone(),
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
            not_after: whole_seconds(not_after),
        })
    }

    /// Signs a certificate request. Subject, names and key are the request's; usages and lifetime are the signer's.
    /// The caller has already checked that this subject may be signed.
    pub fn sign_request(&self, request_pem: &str, usage: Usage, lifetime: Duration, now: SystemTime) -> Result<String, PkiError> {
        let refused = |e: rcgen::Error| PkiError::RefusedRequest { reason: e.to_string() };
        let mut request = rcgen::CertificateSigningRequestParams::from_pem(request_pem).map_err(refused)?;
        let not_after = self.bounded(now, lifetime);
        self.complete(&mut request.params, usage, now, not_after)?;
        let certificate = request.signed_by(&self.issuer).map_err(refused)?;
        Ok(certificate.pem())
    }

    fn complete(
        &self,
        params: &mut CertificateParams,
        usage: Usage,
        now: SystemTime,
        not_after: SystemTime,
    ) -> Result<(), PkiError> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usage.extended();
        params.use_authority_key_identifier_extension = true;
        set_lifetime(params, now, not_after);
        params.serial_number = Some(serial()?);
        Ok(())
    }

    fn bounded(&self, now: SystemTime, lifetime: Duration) -> SystemTime {
        (now + lifetime).min(self.not_after)
    }
}

/// A P-256 key.
pub(super) fn generate_key() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(issue("a key"))
}

pub(super) fn issue(what: &'static str) -> impl Fn(rcgen::Error) -> PkiError {
    move |source| PkiError::Issue { what, source }
}

fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| PkiError::Entropy)?;
    // Positive and of full length, as DER wants it.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch(time).as_secs())
}

fn set_lifetime(params: &mut CertificateParams, now: SystemTime, not_after: SystemTime) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(since_epoch(now - BACKDATE).as_secs());
    params.not_after = epoch + Duration::from_secs(since_epoch(not_after).as_secs());
}

fn from_timestamp(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

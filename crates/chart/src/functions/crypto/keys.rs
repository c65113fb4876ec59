//! Private keys: made, read from PEM, written as Go writes them, and signing.

use std::convert::Infallible;

use ed25519_dalek::SigningKey as Ed25519Key;
use rand_core::{TryCryptoRng, TryRng};
use rsa::PrivateKey as RsaKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPrivateKey};
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;

use super::super::Facts;
use crate::golang::der::{self, Reader};
use crate::golang::pem;

/// Why a key cannot be read; the wording is Sprig's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// No PEM at all.
    #[error("no PEM data in input")]
    NoPem,
    /// PEM of something else.
    #[error("no private key data in PEM block of type {0}")]
    NoKey(String),
    /// A sort of key that is not known.
    #[error("invalid private key type {0}")]
    Sort(String),
    /// PKCS#8 that is none.
    #[error("decoding PEM as PKCS#8: x509: failed to parse private key")]
    Pkcs8,
    /// A key of a sort that is none.
    #[error("parsing {0} private key from PEM: x509: failed to parse private key")]
    Content(&'static str),
}

/// The caller's random bytes, as crates of cryptography take them.
pub struct Entropy<'a>(pub &'a dyn Facts);

impl TryRng for Entropy<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.random(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.random(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.random(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Entropy<'_> {}

/// The curves that keys may be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    const ALL: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

    fn identifier(self) -> Vec<u8> {
        match self {
            Curve::P256 => der::identifier(&[1, 2, 840, 10045, 3, 1, 7]),
            Curve::P384 => der::identifier(&[1, 3, 132, 0, 34]),
            Curve::P521 => der::identifier(&[1, 3, 132, 0, 35]),
        }
    }

    fn of_identifier(whole: &[u8]) -> Option<Curve> {
        Self::ALL.into_iter().find(|curve| curve.identifier() == whole)
    }

    /// How many bytes a secret takes.
    fn width(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    fn public(self, secret: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Curve::P256 => p256::SecretKey::from_slice(secret).ok()?.public_key().to_sec1_bytes().into_vec(),
            Curve::P384 => p384::SecretKey::from_slice(secret).ok()?.public_key().to_sec1_bytes().into_vec(),
            Curve::P521 => p521::SecretKey::from_slice(secret).ok()?.public_key().to_sec1_bytes().into_vec(),
        })
    }
}

/// A private key.
pub enum Key {
    /// RSA.
    Rsa(Box<RsaKey>),
    /// On a curve: the secret, and the public point uncompressed.
    Ec {
        /// Which curve.
        curve: Curve,
        /// The secret number.
        secret: Vec<u8>,
        /// The public point.
        public: Vec<u8>,
    },
    /// Ed25519.
    Ed25519(Box<Ed25519Key>),
    /// DSA, which can be kept but signs nothing: the numbers as DER.
    Dsa(Vec<u8>),
}

/// Bits of RSA keys of certificates.
pub const CERTIFICATE_RSA_BITS: usize = 2048;

impl Key {
    /// A new RSA key.
    pub fn new_rsa(facts: &dyn Facts, bits: usize) -> Option<Key> {
        RsaKey::new(&mut Entropy(facts), bits).ok().map(|key| Key::Rsa(Box::new(key)))
    }

    /// A new key on P-256.
    pub fn new_ec(facts: &dyn Facts) -> Option<Key> {
        // A number that is no secret of the curve is drawn one time in 2^32.
        for _ in 0..64 {
            let mut secret = vec![0; Curve::P256.width()];
            facts.random(&mut secret);
            if let Some(public) = Curve::P256.public(&secret) {
                return Some(Key::Ec { curve: Curve::P256, secret, public });
            }
        }
        None
    }

    /// A new Ed25519 key.
    pub fn new_ed25519(facts: &dyn Facts) -> Key {
        let mut secret = [0; 32];
        facts.random(&mut secret);
        Key::Ed25519(Box::new(Ed25519Key::from_bytes(&secret)))
    }

    /// A new DSA key with parameters of its own.
    pub fn new_dsa(facts: &dyn Facts) -> Option<Key> {
        let mut entropy = Entropy(facts);
        let Ok(components) = dsa::Components::try_generate_from_rng_with_key_size(&mut entropy, dsa::KeySize::DSA_2048_256);
        let Ok(key) = dsa::SigningKey::try_generate_from_rng_with_components(&mut entropy, components);
        let public = key.verifying_key();
        let components = public.components();
        let number = |number: &crypto_bigint::BoxedUint| der::integer(&number.to_be_bytes_trimmed_vartime());
        let numbers =
            [number(components.p()), number(components.q()), number(components.g()), number(public.y()), number(key.x())];
        Some(Key::Dsa(der::sequence(&[&[der::integer(&[0])], numbers.as_slice()].concat())))
    }

    /// Reads the first key of a text.
    pub fn read(text: &[u8]) -> Result<Key, KeyError> {
        let block = pem::find(text).ok_or(KeyError::NoPem)?;
        if block.kind == "PRIVATE KEY" {
            return Key::read_pkcs8(&block.bytes).ok_or(KeyError::Pkcs8);
        }
        let sort = block.kind.strip_suffix(" PRIVATE KEY").ok_or_else(|| KeyError::NoKey(block.kind.clone()))?;
        match sort {
            "RSA" => Key::read_rsa(&block.bytes).ok_or(KeyError::Content("RSA")),
            "EC" => Key::read_ec(&block.bytes, None).ok_or(KeyError::Content("EC")),
            "DSA" => Key::read_dsa(&block.bytes).ok_or(KeyError::Content("DSA")),
            _ => Err(KeyError::Sort(block.kind.clone())),
        }
    }

    fn read_rsa(bytes: &[u8]) -> Option<Key> {
        RsaKey::from_pkcs1_der(bytes).ok().map(|key| Key::Rsa(Box::new(key)))
    }

    fn read_ec(bytes: &[u8], outer: Option<Curve>) -> Option<Key> {
        let mut fields = Reader(Reader(bytes).expect(der::SEQUENCE)?.content);
        if fields.expect(der::INTEGER)?.content != [1] {
            return None;
        }
        let secret = fields.expect(der::OCTET_STRING)?.content;
        let named = fields.optional(0xa0).and_then(|element| Curve::of_identifier(element.content));
        let curve = named.or(outer)?;
        let skip = secret.len().saturating_sub(curve.width());
        if secret[..skip].iter().any(|byte| *byte != 0) {
            return None;
        }
        let mut padded = vec![0; curve.width().saturating_sub(secret.len())];
        padded.extend_from_slice(&secret[skip..]);
        let public = curve.public(&padded)?;
        Some(Key::Ec { curve, secret: padded, public })
    }

    fn read_dsa(bytes: &[u8]) -> Option<Key> {
        let whole = Reader(bytes).expect(der::SEQUENCE)?;
        let mut fields = Reader(whole.content);
        for _ in 0..6 {
            fields.expect(der::INTEGER)?;
        }
        Some(Key::Dsa(whole.whole.to_vec()))
    }

    fn read_pkcs8(bytes: &[u8]) -> Option<Key> {
        let mut fields = Reader(Reader(bytes).expect(der::SEQUENCE)?.content);
        fields.expect(der::INTEGER)?;
        let mut algorithm = Reader(fields.expect(der::SEQUENCE)?.content);
        let content = fields.expect(der::OCTET_STRING)?.content;
        let name = algorithm.expect(der::OBJECT_IDENTIFIER)?.whole;
        if name == der::identifier(RSA_ENCRYPTION) {
            return Key::read_rsa(content);
        }
        if name == der::identifier(EC_PUBLIC_KEY) {
            let curve = algorithm.next().and_then(|element| Curve::of_identifier(element.whole));
            return Key::read_ec(content, curve);
        }
        if name == der::identifier(ED25519) {
            let seed: [u8; 32] = Reader(content).expect(der::OCTET_STRING)?.content.try_into().ok()?;
            return Some(Key::Ed25519(Box::new(Ed25519Key::from_bytes(&seed))));
        }
        None
    }

    /// Writes it as PEM, in the form that Go takes for its sort.
    pub fn write(&self) -> String {
        match self {
            Key::Rsa(key) => pem::write(
                "RSA PRIVATE KEY",
                key.to_pkcs1_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default().as_slice(),
            ),
            Key::Ec { curve, secret, public } => {
                let parts = [
                    der::integer(&[1]),
                    der::element(der::OCTET_STRING, secret),
                    der::element(0xa0, &curve.identifier()),
                    der::element(0xa1, &der::bits(public)),
                ];
                pem::write("EC PRIVATE KEY", &der::sequence(&parts))
            }
            Key::Ed25519(key) => {
                let seed = der::element(der::OCTET_STRING, key.as_bytes());
                let parts =
                    [der::integer(&[0]), der::sequence(&[der::identifier(ED25519)]), der::element(der::OCTET_STRING, &seed)];
                pem::write("PRIVATE KEY", &der::sequence(&parts))
            }
            Key::Dsa(numbers) => pem::write("DSA PRIVATE KEY", numbers),
        }
    }

    /// The public key as a certificate holds it, and the bytes that its identifier is made of; none for DSA.
    pub fn public(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let (algorithm, key) = match self {
            Key::Rsa(key) => {
                let numbers = [der::integer(&key.n_bytes()), der::integer(&key.e_bytes())];
                (der::sequence(&[der::identifier(RSA_ENCRYPTION), NULL.to_vec()]), der::sequence(&numbers))
            }
            Key::Ec { curve, public, .. } => {
                (der::sequence(&[der::identifier(EC_PUBLIC_KEY), curve.identifier()]), public.clone())
            }
            Key::Ed25519(key) => (der::sequence(&[der::identifier(ED25519)]), key.verifying_key().as_bytes().to_vec()),
            Key::Dsa(_) => return None,
        };
        Some((der::sequence(&[algorithm, der::bits(&key)]), key))
    }

    /// The name of the signatures that it makes, as a certificate holds it; none for DSA.
    pub fn signature_algorithm(&self) -> Option<Vec<u8>> {
        Some(match self {
            Key::Rsa(_) => der::sequence(&[der::identifier(&[1, 2, 840, 113_549, 1, 1, 11]), NULL.to_vec()]),
            Key::Ec { curve, .. } => {
                let last = match curve {
                    Curve::P256 => 2,
                    Curve::P384 => 3,
                    Curve::P521 => 4,
                };
                der::sequence(&[der::identifier(&[1, 2, 840, 10045, 4, 3, last])])
            }
            Key::Ed25519(_) => der::sequence(&[der::identifier(ED25519)]),
            Key::Dsa(_) => return None,
        })
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Key::Rsa(key) => rsa::pkcs1v15::SigningKey::<sha2::Sha256>::new((**key).clone()).try_sign(message).ok()?.to_vec(),
            Key::Ec { curve: Curve::P256, secret, .. } => {
                let signature: p256::ecdsa::DerSignature =
                    p256::ecdsa::SigningKey::from_slice(secret).ok()?.try_sign(message).ok()?;
                signature.as_bytes().to_vec()
            }
            Key::Ec { curve: Curve::P384, secret, .. } => {
                let signature: p384::ecdsa::DerSignature =
                    p384::ecdsa::SigningKey::from_slice(secret).ok()?.try_sign(message).ok()?;
                signature.as_bytes().to_vec()
            }
            Key::Ec { curve: Curve::P521, secret, .. } => {
                let signature: p521::ecdsa::DerSignature =
                    p521::ecdsa::SigningKey::from_slice(secret).ok()?.try_sign(message).ok()?;
                signature.as_bytes().to_vec()
            }
            Key::Ed25519(key) => key.try_sign(message).ok()?.to_bytes().to_vec(),
            Key::Dsa(_) => return None,
        })
    }
}

const NULL: &[u8] = &[5, 0];
const RSA_ENCRYPTION: &[u32] = &[1, 2, 840, 113_549, 1, 1, 1];
const EC_PUBLIC_KEY: &[u32] = &[1, 2, 840, 10045, 2, 1];
const ED25519: &[u32] = &[1, 3, 101, 112];

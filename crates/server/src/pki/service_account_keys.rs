//! The keys of service-account tokens: the newest signs, every kept one verifies.

use super::authority::{generate_key, issue};
use super::{PkiError, files};
use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use rcgen::{KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many keys are kept: tokens live at most a year, so keys rotated less often than yearly never outdate a token.
const KEYS_KEPT: usize = 4;

/// One key that verifies tokens.
pub struct VerifyingKey {
    /// The key id in a token's header.
    pub id: String,
    /// What checks a signature.
    pub decoding: DecodingKey,
    /// The uncompressed point.
    point: Vec<u8>,
}

impl VerifyingKey {
    /// The key as it stands in `/openid/v1/jwks`.
    pub fn jwk(&self) -> serde_json::Value {
        let (x, y) = self.point[1..].split_at((self.point.len() - 1) / 2);
        serde_json::json!({
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// The keys in force, swapped whole when rotated.
pub struct KeyList {
    /// The newest key's id.
    pub signing_id: String,
    /// The newest key.
    pub signing: EncodingKey,
    /// Every kept key, newest first.
    pub verifying: Vec<VerifyingKey>,
}

/// The file of keys and what is loaded from it.
pub struct ServiceAccountKeys {
    path: PathBuf,
    list: ArcSwap<KeyList>,
}

impl ServiceAccountKeys {
    /// Loads `service-account.keys`, or makes the first key.
    pub fn open(dir: &Path) -> Result<Self, PkiError> {
        let path = dir.join("service-account.keys");
        let text = match files::read_if_there(&path)? {
            Some(text) => text,
            None => {
                let text = generate_key()?.serialize_pem();
                files::write_private(&path, &text)?;
                text
            }
        };
        let list = ArcSwap::from_pointee(parse(&text, &path)?);
        Ok(Self { path, list })
    }

    /// The keys in force.
    pub fn current(&self) -> Arc<KeyList> {
        self.list.load_full()
    }

    /// Makes a new signing key; tokens signed by the kept older ones stay valid.
    pub fn rotate(&self) -> Result<(), PkiError> {
        let old = files::read_if_there(&self.path)?.unwrap_or_default();
        let mut blocks = vec![generate_key()?.serialize_pem()];
        blocks.extend(pem_blocks(&old).into_iter().take(KEYS_KEPT - 1));
        let text = blocks.join("\n");
        let list = parse(&text, &self.path)?;
        files::write_private(&self.path, &text)?;
        self.list.store(Arc::new(list));
        Ok(())
    }

    /// The public keys, as `/openid/v1/jwks` serves them.
    pub fn jwks(&self) -> serde_json::Value {
        let keys: Vec<_> = self.list.load().verifying.iter().map(VerifyingKey::jwk).collect();
        serde_json::json!({ "keys": keys })
    }
}

const END: &str = "-----END PRIVATE KEY-----";

fn pem_blocks(text: &str) -> Vec<String> {
    text.split_inclusive(END).filter(|b| b.contains("BEGIN PRIVATE KEY")).map(|b| format!("{}\n", b.trim())).collect()
}

fn parse(text: &str, path: &Path) -> Result<KeyList, PkiError> {
    let malformed = || PkiError::Malformed { path: path.to_owned(), expected: "P-256 private keys" };
    let pairs: Vec<KeyPair> = pem_blocks(text)
        .iter()
        .map(|block| KeyPair::from_pem(block).map_err(issue("a service-account key")))
        .collect::<Result<_, _>>()
        .map_err(|_| malformed())?;
    if pairs.is_empty() || pairs.iter().any(|p| !p.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256)) {
        return Err(malformed());
    }
    let verifying: Vec<VerifyingKey> = pairs
        .iter()
        .map(|pair| VerifyingKey {
            id: key_id(pair),
            decoding: DecodingKey::from_ec_der(pair.public_key_raw()),
            point: pair.public_key_raw().to_vec(),
        })
        .collect();
    Ok(KeyList { signing_id: verifying[0].id.clone(), signing: EncodingKey::from_ec_der(&pairs[0].serialize_der()), verifying })
}

/// As upstream: the hash of the public key.
fn key_id(pair: &KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(pair.subject_public_key_info()))
}

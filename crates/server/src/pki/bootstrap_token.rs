//! Bootstrap tokens: what a new machine shows once to ask for its own certificate. `abcdef.0123456789abcdef`.

use super::PkiError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::str::FromStr;

/// The group of every bootstrap token.
pub const BOOTSTRAPPERS: &str = "system:bootstrappers";
/// The group whose certificate requests are approved by themselves.
pub const NODE_BOOTSTRAPPERS: &str = "system:bootstrappers:kubeadm:default-node-token";
/// Where the Secrets of bootstrap tokens live.
pub const TOKEN_NAMESPACE: &str = "kube-system";
/// Their Secret type.
pub const TOKEN_TYPE: &str = "bootstrap.kubernetes.io/token";

const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// A token: the id is public and names its Secret, the secret is not.
#[derive(Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    /// Six characters.
    pub id: String,
    /// Sixteen characters.
    pub secret: String,
}

/// The text is not a bootstrap token.
#[derive(Debug, thiserror::Error)]
#[error("a bootstrap token is six and sixteen lower-case letters or digits with a dot between")]
pub struct InvalidToken;

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootstrapToken({}.…)", self.id)
    }
}

impl fmt::Display for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.id, self.secret)
    }
}

impl FromStr for BootstrapToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let (id, secret) = text.split_once('.').ok_or(InvalidToken)?;
        let fits = |part: &str, len| part.len() == len && part.bytes().all(|b| ALPHABET.contains(&b));
        if !fits(id, 6) || !fits(secret, 16) {
            return Err(InvalidToken);
        }
        Ok(Self { id: id.into(), secret: secret.into() })
    }
}

impl BootstrapToken {
    /// A fresh random token.
    pub fn generate() -> Result<Self, PkiError> {
        Ok(Self { id: random_text(6)?, secret: random_text(16)? })
    }

    /// The name of its Secret in `kube-system`.
    pub fn secret_name(&self) -> String {
        format!("bootstrap-token-{}", self.id)
    }

    /// The Secret that makes the server accept it; `expires` is RFC 3339, none for a token without end.
    pub fn manifest(&self, expires: Option<&str>, description: &str) -> serde_json::Value {
        let mut data = vec![
            ("token-id", self.id.as_str()),
            ("token-secret", &self.secret),
            ("usage-bootstrap-authentication", "true"),
            ("usage-bootstrap-signing", "true"),
            ("auth-extra-groups", NODE_BOOTSTRAPPERS),
        ];
        data.extend(expires.map(|expires| ("expiration", expires)));
        data.extend((!description.is_empty()).then_some(("description", description)));
        let data: serde_json::Map<String, serde_json::Value> =
            data.into_iter().map(|(key, text)| (key.to_owned(), STANDARD.encode(text).into())).collect();
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": self.secret_name(), "namespace": TOKEN_NAMESPACE },
            "type": TOKEN_TYPE,
            "data": data,
        })
    }
}

/// Random lower-case letters and digits, each equally likely.
fn random_text(len: usize) -> Result<String, PkiError> {
    let mut text = String::with_capacity(len);
    let mut bytes = [0_u8; 32];
    while text.len() < len {
        getrandom::fill(&mut bytes).map_err(|_| PkiError::Entropy)?;
        // 252 is the largest multiple of 36 in a byte: above it some characters would be likelier.
        let fair = bytes.iter().filter(|b| **b < 252).map(|b| ALPHABET[usize::from(b % 36)] as char);
        text.extend(fair.take(len - text.len()));
    }
    Ok(text)
}

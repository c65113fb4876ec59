//! The session token: 256 bits from the system's generator; only its SHA-256 ever reaches Redis or a log.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Bytes of entropy in a token; ASVS 7.2.3 asks for at least 128 bits.
const TOKEN_BYTES: usize = 32;

/// What the browser holds. Wiped when dropped, and never printed.
pub struct Token(Zeroizing<String>);

/// What Redis holds: the SHA-256 of a token, in hex. Safe to show to its owner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenHash(String);

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0_u8; TOKEN_BYTES]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// The token in a cookie; `None` when it cannot be one of ours, so that junk never reaches Redis.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        (bytes.len() == TOKEN_BYTES).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text for the cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What stands for this token in Redis.
    pub fn hash(&self) -> TokenHash {
        TokenHash(hex::encode(Sha256::digest(self.0.as_bytes())))
    }

    /// The value that every form of this session carries against forged requests. It cannot be derived from the stored hash.
    pub fn form_secret(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(b"form\0");
        digest.update(self.0.as_bytes());
        hex::encode(digest.finalize())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl TokenHash {
    /// From the text in Redis or a form; `None` unless it is a SHA-256 in lower-case hex.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        valid.then(|| Self(text.to_owned()))
    }

    /// The hex text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it to tell sessions apart on a page.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_cookie_and_two_tokens_differ() {
        let token = Token::generate().unwrap();
        let returned = Token::parse(token.expose()).unwrap();
        assert_eq!(returned.hash(), token.hash());
        assert_ne!(Token::generate().unwrap().hash(), token.hash());
        assert_ne!(token.form_secret(), token.hash().as_str());
    }

    #[test]
    fn junk_is_no_token_and_nothing_prints_one() {
        for junk in ["", "abc", "../../etc", &"A".repeat(42), &"A".repeat(44)] {
            assert!(Token::parse(junk).is_none(), "{junk}");
        }
        let token = Token::generate().unwrap();
        assert!(!format!("{token:?}").contains(token.expose()));
    }
}

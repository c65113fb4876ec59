//! Service-account tokens: ES256 JWTs bound to an audience, an end and, mostly, a pod. A token is good as long as what it is bound
//! to exists; signatures are verified once and remembered, bindings are looked at with each request.

mod binding;
mod claims;

pub use claims::{Claims, KubernetesClaims, Reference};

use super::{Verdict, bearer, certificate::CREDENTIAL_ID};
use crate::pki::ServiceAccountKeys;
use crate::security::{Objects, Security};
use api::identity::Identity;
use http::request::Parts;
use jsonwebtoken::{Algorithm, Header, Validation};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

/// Who signs the tokens, and the audience of those that the API accepts.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// Verified tokens remembered: about 3 KB each.
const REMEMBERED_MAX: usize = 2048;
/// Clocks of machines differ by at most this many seconds.
const LEEWAY_SECONDS: i64 = 60;

/// A token is not good.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours at all.
    #[error("not a token of this issuer")]
    Foreign,
    /// Ours by its words, but not by its signature.
    #[error("the signature is wrong")]
    Signature,
    /// Its time is over or has not come.
    #[error("the token is expired or not valid yet")]
    Time,
    /// Meant for somebody else.
    #[error("the token is meant for other audiences")]
    Audience,
    /// What it is bound to is gone or was replaced.
    #[error("the token's {0} is gone or was replaced")]
    Binding(&'static str),
}

/// A token cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign a service-account token")]
pub struct SignError(#[source] jsonwebtoken::errors::Error);

/// Signs and verifies tokens.
pub struct Tokens {
    keys: Arc<ServiceAccountKeys>,
    verified: RwLock<HashMap<Box<str>, Arc<Claims>>>,
}

impl Tokens {
    /// With the cluster's keys.
    pub fn new(keys: Arc<ServiceAccountKeys>) -> Self {
        Self { keys, verified: RwLock::default() }
    }

    /// Signs a token with the newest key.
    pub fn sign(&self, claims: &Claims) -> Result<String, SignError> {
        let keys = self.keys.current();
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(keys.signing_id.clone());
        header.typ = None;
        jsonwebtoken::encode(&header, claims, &keys.signing).map_err(SignError)
    }

    /// The claims of a token whose signature is good; time, audience and bindings are not looked at.
    fn verify_signature(&self, token: &str) -> Result<Arc<Claims>, TokenError> {
        if let Some(claims) = self.verified.read().unwrap_or_else(PoisonError::into_inner).get(token) {
            return Ok(claims.clone());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Foreign)?;
        let keys = self.keys.current();
        let key = keys.verifying.iter().find(|k| header.kid.as_deref() == Some(k.id.as_str()));
        let key = key.ok_or(TokenError::Foreign)?;
        // Time and audience are checked below, by our clock and against the audiences of the caller.
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation);
        let claims = Arc::new(decoded.map_err(|_| TokenError::Signature)?.claims);
        let mut verified = self.verified.write().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= REMEMBERED_MAX {
            verified.clear();
        }
        verified.insert(token.into(), claims.clone());
        Ok(claims)
    }

    /// Whether a token is good now for one of these audiences; returns who it is and the audiences that fit.
    pub fn review(
        &self,
        token: &str,
        audiences: &[&str],
        objects: &dyn Objects,
        now: SystemTime,
    ) -> Result<(Identity, Vec<String>), TokenError> {
        let claims = self.verify_signature(token)?;
        if claims.issuer != ISSUER {
            return Err(TokenError::Foreign);
        }
        let now = seconds(now);
        if now > claims.expires.saturating_add(LEEWAY_SECONDS)
            || claims.not_before.is_some_and(|start| now < start.saturating_sub(LEEWAY_SECONDS))
        {
            return Err(TokenError::Time);
        }
        let fitting: Vec<String> = claims.audiences.iter().filter(|a| audiences.contains(&a.as_str())).cloned().collect();
        if fitting.is_empty() {
            return Err(TokenError::Audience);
        }
        binding::check(&claims.kubernetes, objects, now)?;
        Ok((identity(&claims), fitting))
    }
}

/// Seconds since 1970.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn identity(claims: &Claims) -> Identity {
    let bound = &claims.kubernetes;
    let account = &bound.service_account;
    let mut identity = Identity::service_account(&bound.namespace, &account.name, &account.uid);
    let mut extra = |key: &str, value: &str| {
        identity.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
    };
    if let Some(pod) = &bound.pod {
        extra("pod-name", &pod.name);
        extra("pod-uid", &pod.uid);
    }
    if let Some(node) = &bound.node {
        extra("node-name", &node.name);
        extra("node-uid", &node.uid);
    }
    if let Some(id) = &claims.id {
        identity.extra.insert(CREDENTIAL_ID.into(), vec![format!("JTI={id}")]);
    }
    identity
}

/// A JWT in the request's bearer token.
pub(super) fn recognise(parts: &Parts, security: &Security, objects: &dyn Objects) -> Verdict {
    let Some(token) = bearer(parts) else { return Verdict::NotMine };
    if token.bytes().filter(|b| *b == b'.').count() != 2 {
        return Verdict::NotMine;
    }
    match security.tokens.review(&token, &[ISSUER], objects, security.now()) {
        Ok((identity, _)) => Verdict::Known(identity),
        Err(TokenError::Foreign) => Verdict::NotMine,
        Err(error) => Verdict::Refused(error.to_string()),
    }
}

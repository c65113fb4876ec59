//! Bootstrap tokens: Secrets of type `bootstrap.kubernetes.io/token` in `kube-system`.

use super::{Verdict, bearer};
use crate::pki::{BOOTSTRAPPERS, BootstrapToken, TOKEN_NAMESPACE, TOKEN_TYPE};
use crate::security::{Objects, Security};
use api::document::{Value, meta};
use api::identity::Identity;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use std::time::SystemTime;
use subtle::ConstantTimeEq;

pub(super) fn recognise(parts: &Parts, security: &Security, objects: &dyn Objects) -> Verdict {
    let Some(token) = bearer(parts) else { return Verdict::NotMine };
    let Ok(token) = token.parse::<BootstrapToken>() else { return Verdict::NotMine };
    match accept(&token, objects, security.now()) {
        Ok(identity) => Verdict::Known(identity),
        Err(why) => Verdict::Refused(format!("bootstrap token {}: {why}", token.id)),
    }
}

fn accept(token: &BootstrapToken, objects: &dyn Objects, now: SystemTime) -> Result<Identity, &'static str> {
    let secret = objects.object("", "secrets", TOKEN_NAMESPACE, &token.secret_name()).ok_or("no such token")?;
    if meta::is_deleted(&secret) {
        return Err("the token is being deleted");
    }
    if secret.str_at(&["type"]) != Some(TOKEN_TYPE) {
        return Err("the secret has another type");
    }
    let stored = datum(&secret, "token-secret").unwrap_or_default();
    if stored.is_empty() || !bool::from(stored.as_bytes().ct_eq(token.secret.as_bytes())) {
        return Err("wrong secret");
    }
    if datum(&secret, "token-id").as_deref() != Some(&token.id) {
        return Err("the secret holds another token");
    }
    if let Some(expires) = datum(&secret, "expiration").filter(|e| !e.is_empty()) {
        let expires = meta::parse_time(&expires).ok_or("unreadable expiration")?;
        if SystemTime::from(expires) <= now {
            return Err("expired");
        }
    }
    if datum(&secret, "usage-bootstrap-authentication").as_deref() != Some("true") {
        return Err("not for authentication");
    }
    let mut groups = vec![BOOTSTRAPPERS.to_owned()];
    for group in datum(&secret, "auth-extra-groups").unwrap_or_default().split(',').map(str::trim) {
        if group.is_empty() {
            continue;
        }
        // A token must not be able to name, say, system:masters.
        if !group.starts_with("system:bootstrappers:") {
            return Err("a group outside system:bootstrappers");
        }
        groups.push(group.to_owned());
    }
    Ok(Identity::new(format!("system:bootstrap:{}", token.id), groups))
}

fn datum(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret.str_at(&["data", key])?;
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

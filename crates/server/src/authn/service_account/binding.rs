//! Whether what a token is bound to is still there.

use super::{KubernetesClaims, LEEWAY_SECONDS, Reference, TokenError};
use crate::security::Objects;
use api::document::{Value, meta};

/// Every object that the token names exists under its uid and is not long deleted.
pub(super) fn check(bound: &KubernetesClaims, objects: &dyn Objects, now: i64) -> Result<(), TokenError> {
    let namespace = bound.namespace.as_str();
    let alive = |what: &'static str, resource: &str, namespace: &str, wanted: &Reference| {
        let found = objects.object("", resource, namespace, &wanted.name).ok_or(TokenError::Binding(what))?;
        if meta::uid(&found) != wanted.uid || gone(&found, now) {
            return Err(TokenError::Binding(what));
        }
        Ok(())
    };
    alive("service account", "serviceaccounts", namespace, &bound.service_account)?;
    if let Some(secret) = &bound.secret {
        alive("secret", "secrets", namespace, secret)?;
    }
    match (&bound.pod, &bound.node) {
        (Some(pod), _) => alive("pod", "pods", namespace, pod),
        // Beside a pod the node is a fact about the pod; alone it is what the token is bound to.
        (None, Some(node)) => alive("node", "nodes", "", node),
        (None, None) => Ok(()),
    }
}

/// Deleted for longer than a request may be on its way.
fn gone(object: &Value, now: i64) -> bool {
    meta::deletion_timestamp(object)
        .and_then(meta::parse_time)
        .is_some_and(|deleted| deleted.as_second().saturating_add(LEEWAY_SECONDS) < now)
}

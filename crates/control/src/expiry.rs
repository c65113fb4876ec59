//! What goes when its time is over: bootstrap tokens, and certificate requests that nobody needs any more. The time stands in each object.

use std::{sync::Arc, time::Duration};

use client::{Cache, Key, Options, Queue, reconcile::Next};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    certificates::v1::{CertificateSigningRequest, PodCertificateRequest},
    core::v1::Secret,
};
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};

use crate::{
    apply::{self, ApplyError},
    wiring::{Wiring, Work},
};

const TOKENS: &str = "type=bootstrap.kubernetes.io/token";
/// How long a request for a pod's certificate is kept: the node that asked has seen the answer long before.
const POD_REQUEST_KEPT: SignedDuration = SignedDuration::from_mins(15);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The controller of bootstrap tokens.
pub fn tokens(wiring: Wiring) -> Work {
    Box::pin(async move {
        let options = Options { namespace: Some("kube-system".to_owned()), fields: TOKENS.to_owned(), ..Options::default() };
        let secrets = Cache::<Secret>::start(wiring.client.clone(), options);
        let queue = Queue::new();
        wiring.enqueue_changes(&secrets, &queue);
        let client = wiring.client.clone();
        let reconcile = move |key: Key| {
            let (secret, client) = (secrets.get(&key), client.clone());
            async move {
                let Some((secret, end)) = secret.and_then(|secret| Some((Arc::clone(&secret), end_of(&secret)?))) else {
                    return Ok::<_, ApplyError>(Next::OnChange);
                };
                let left = end.duration_since(Timestamp::now());
                if left.is_positive() {
                    return Ok(Next::After(left.try_into().unwrap_or(Duration::from_secs(1))));
                }
                apply::delete(&client, &*secret).await.map_err(ApplyError::write("a token"))?;
                Ok(Next::OnChange)
            }
        };
        wiring.work(queue, 1, reconcile).await;
    })
}

/// When a token ends, if ever.
fn end_of(secret: &Secret) -> Option<Timestamp> {
    let text = secret.data.as_ref()?.get("expiration")?;
    std::str::from_utf8(&text.0).ok()?.parse().ok()
}

/// The controller of certificate requests: those that were answered an hour ago, that nobody answered in a day, or whose certificate has ended.
pub fn requests(wiring: Wiring) -> Work {
    Box::pin(async move {
        let requests = wiring.cache::<CertificateSigningRequest>();
        let queue = Queue::new();
        wiring.enqueue_changes(&requests, &queue);
        let client = wiring.client.clone();
        let reconcile = move |key: Key| {
            let (request, api) = (requests.get(&key), Api::<CertificateSigningRequest>::all(client.clone()));
            async move {
                let Some((request, end)) = request.and_then(|request| Some((Arc::clone(&request), needless_at(&request)?)))
                else {
                    return Ok(Next::OnChange);
                };
                let left = end.duration_since(Timestamp::now());
                if left.is_positive() {
                    return Ok(Next::After(left.try_into().unwrap_or(Duration::from_secs(1))));
                }
                let exactly = Preconditions { uid: request.metadata.uid.clone(), resource_version: None };
                match api.delete(key.name(), &DeleteParams::default().preconditions(exactly)).await {
                    Err(error) if !apply::is_not_found(&error) => Err(ApplyError::write("a certificate request")(error)),
                    _ => Ok(Next::OnChange),
                }
            }
        };
        wiring.work(queue, 1, reconcile).await;
    })
}

/// The controller of requests for pods' certificates.
pub fn pod_requests(wiring: Wiring) -> Work {
    Box::pin(async move {
        let requests = wiring.cache::<PodCertificateRequest>();
        let queue = Queue::new();
        wiring.enqueue_changes(&requests, &queue);
        let client = wiring.client.clone();
        let reconcile = move |key: Key| {
            let (request, client) = (requests.get(&key), client.clone());
            async move {
                let Some(request) = request else { return Ok::<_, ApplyError>(Next::OnChange) };
                let made = request.metadata.creation_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
                let left = POD_REQUEST_KEPT - Timestamp::now().duration_since(made);
                if left.is_positive() {
                    return Ok(Next::After(left.try_into().unwrap_or(Duration::from_secs(1))));
                }
                apply::delete(&client, &*request).await.map_err(ApplyError::write("a request for a pod's certificate"))?;
                Ok(Next::OnChange)
            }
        };
        wiring.work(queue, 1, reconcile).await;
    })
}

/// When nobody needs a request any more.
fn needless_at(request: &CertificateSigningRequest) -> Option<Timestamp> {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let answered = conditions.filter_map(|condition| condition.last_update_time.as_ref().map(|time| time.0)).max();
    match answered {
        Some(at) => at.checked_add(HOUR).ok(),
        None => request.metadata.creation_timestamp.as_ref()?.0.checked_add(HOUR * 24).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answered_request_is_needed_for_an_hour_and_any_other_for_a_day() {
        let of = |status: serde_json::Value| -> Option<Timestamp> {
            let metadata = json!({"creationTimestamp": "2026-01-01T00:00:00Z"});
            let spec = json!({"request": "", "signerName": "s", "usages": []});
            needless_at(&serde_json::from_value(json!({"metadata": metadata, "spec": spec, "status": status})).unwrap())
        };
        assert_eq!(of(json!({})).unwrap().to_string(), "2026-01-02T00:00:00Z");
        let approved = json!({"conditions": [{"type": "Approved", "status": "True", "lastUpdateTime": "2026-01-01T05:00:00Z"}]});
        assert_eq!(of(approved).unwrap().to_string(), "2026-01-01T06:00:00Z");
    }
}

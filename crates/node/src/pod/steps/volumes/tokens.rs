//! Tokens of service accounts for one pod: asked for once, renewed before they end, never written anywhere but into the volume.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection};
use kube::api::{Api, PostParams};
use tokio::sync::Mutex;

use crate::pod::steps::chain;
use crate::site::Site;

/// A token and when to ask for the next.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) renew_at: Timestamp,
}

/// The tokens of a pod, by audience and wanted life.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<(String, i64), Token>>);

impl Tokens {
    /// The token that a projection asks for, fresh enough.
    pub(crate) async fn get(&self, site: &Site, pod: &Pod, source: &ServiceAccountTokenProjection) -> Result<Token, String> {
        let audience = source.audience.clone().unwrap_or_default();
        let seconds = source.expiration_seconds.unwrap_or(3600);
        let key = (audience.clone(), seconds);
        let mut known = self.0.lock().await;
        if let Some(token) = known.get(&key).filter(|token| token.renew_at > Timestamp::now()) {
            return Ok(token.clone());
        }
        let token = ask(site, pod, &audience, seconds).await?;
        known.insert(key, token.clone());
        Ok(token)
    }
}

async fn ask(site: &Site, pod: &Pod, audience: &str, seconds: i64) -> Result<Token, String> {
    let spec = pod.spec.as_ref();
    let account = spec.and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: if audience.is_empty() { None } else { Some(vec![audience.to_owned()]) },
            expiration_seconds: Some(seconds),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".into()),
                kind: Some("Pod".into()),
                name: pod.metadata.name.clone(),
                uid: pod.metadata.uid.clone(),
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(site.client.clone(), namespace);
    let asked: Result<TokenRequest, kube::Error> =
        api.create_subresource("token", account, &PostParams::default(), &request).await;
    let answer = asked.map_err(|error| format!("failed to fetch token: {}", chain(&error)))?;
    let status = answer.status.ok_or("failed to fetch token: the answer has none")?;
    let now = Timestamp::now();
    let life = status.expiration_timestamp.map_or(seconds, |end| end.0.duration_since(now).as_secs());
    // At four fifths of its life, and at the latest after a day.
    let wait = (life * 4 / 5).clamp(1, 24 * 3600);
    let renew_at = now.checked_add(SignedDuration::from_secs(wait)).unwrap_or(now);
    let text = status.token.ok_or("failed to fetch token: the answer has none")?;
    Ok(Token { text, renew_at })
}

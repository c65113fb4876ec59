//! Who may ask the node's endpoint: certificates of the cluster's authority or tokens that the API vouches for, and of these whoever the
//! API allows the part of the node that the path means. Answers are remembered for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, StatusCode, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::Refusal;

/// How long a yes and a no are remembered, as upstream does.
const YES: Duration = Duration::from_secs(300);
const NO: Duration = Duration::from_secs(30);
/// How long a token is believed.
const TOKEN: Duration = Duration::from_secs(120);
/// So many answers are remembered.
const REMEMBERED_MAX: usize = 1024;
/// Its members may do everything, as the server itself says.
const MASTERS: &str = "system:masters";

/// Someone who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Caller {
    name: String,
    groups: Vec<String>,
}

type Remembered<K, V> = Mutex<HashMap<K, (V, Instant)>>;

/// The gate of one node.
pub(super) struct Gate {
    client: kube::Client,
    node: Arc<str>,
    callers: Remembered<[u8; 32], Option<Caller>>,
    answers: Remembered<(Caller, &'static str, &'static str), bool>,
}

impl Gate {
    pub(super) fn new(client: kube::Client, node: Arc<str>) -> Self {
        Self { client, node, callers: Mutex::default(), answers: Mutex::default() }
    }

    /// Lets a request pass or refuses it.
    pub(super) async fn check(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        certificate: Option<&CertificateDer<'static>>,
    ) -> Result<(), Refusal> {
        let caller = match certificate.and_then(of_certificate) {
            Some(caller) => Some(caller),
            None => self.of_token(headers).await,
        };
        let caller = caller.ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "Unauthorized"))?;
        if caller.groups.iter().any(|group| group == MASTERS) {
            return Ok(());
        }
        let (verb, part) = (verb(method), part(path));
        let key = (caller.clone(), verb, part);
        let allowed = match remembered(&self.answers, &key) {
            Some(allowed) => allowed,
            None => {
                let allowed = self.ask(&caller, verb, part).await;
                remember(&self.answers, key, allowed, if allowed { YES } else { NO });
                allowed
            }
        };
        let shown = format!("Forbidden (user={}, verb={verb}, resource=nodes, subresource(s)=[{part}])\n", caller.name);
        if allowed { Ok(()) } else { Err(Refusal::new(StatusCode::FORBIDDEN, shown)) }
    }

    async fn of_token(&self, headers: &HeaderMap) -> Option<Caller> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let token = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer "))?.trim();
        let key: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if let Some(known) = remembered(&self.callers, &key) {
            return known;
        }
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let status = answer.ok()?.status?;
        let caller = status
            .user
            .filter(|_| status.authenticated == Some(true))
            .map(|user| Caller { name: user.username.unwrap_or_default(), groups: user.groups.unwrap_or_default() });
        remember(&self.callers, key, caller.clone(), TOKEN);
        caller
    }

    async fn ask(&self, caller: &Caller, verb: &str, part: &str) -> bool {
        let attributes = ResourceAttributes {
            verb: Some(verb.into()),
            version: Some("v1".into()),
            resource: Some("nodes".into()),
            subresource: Some(part.into()),
            name: Some(self.node.to_string()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(caller.name.clone()),
            groups: Some(caller.groups.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = Api::<SubjectAccessReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        answer.ok().and_then(|answer| answer.status).is_some_and(|status| status.allowed)
    }
}

fn remembered<K: std::hash::Hash + Eq, V: Clone>(all: &Remembered<K, V>, key: &K) -> Option<V> {
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.get(key).filter(|(_, until)| *until > Instant::now()).map(|(value, _)| value.clone())
}

fn remember<K: std::hash::Hash + Eq, V>(all: &Remembered<K, V>, key: K, value: V, lasts: Duration) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() >= REMEMBERED_MAX {
        all.clear();
    }
    all.insert(key, (value, Instant::now() + lasts));
}

/// Whom a certificate names; the handshake has verified it.
fn of_certificate(der: &CertificateDer<'static>) -> Option<Caller> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let text = |a: &x509_parser::x509::AttributeTypeAndValue<'_>| a.as_str().ok().map(str::to_owned);
    let subject = certificate.subject();
    let name = subject.iter_common_name().find_map(text)?;
    Some(Caller { name, groups: subject.iter_organization().filter_map(text).collect() })
}

/// The part of a node that a path means.
fn part(path: &str) -> &'static str {
    match path.split('/').nth(1).unwrap_or_default() {
        "stats" => "stats",
        "metrics" => "metrics",
        "logs" => "log",
        _ => "proxy",
    }
}

fn verb(method: &Method) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "get",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_a_part_of_the_node() {
        for (path, expected) in [
            ("/stats/summary", "stats"),
            ("/metrics/resource", "metrics"),
            ("/containerLogs/a/b/c", "proxy"),
            ("/exec/a/b/c", "proxy"),
            ("/pods", "proxy"),
        ] {
            assert_eq!(part(path), expected, "{path}");
        }
    }
}

//! Certificates for one pod: each projected source has its key, which never leaves the volume, and asks a signer; the answer is renewed before it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{PodCertificateRequest, PodCertificateRequestSpec};
use k8s_openapi::api::core::v1::{Pod, PodCertificateProjection, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ObjectMeta, PostParams, WatchEvent, WatchParams};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, RsaKeySize};
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::pod::steps::chain;
use crate::site::Site;

/// How long a pod that starts waits for its signer before it says so and begins anew.
const FIRST_MAX: Duration = Duration::from_secs(120);
/// The first and the longest pause after a request that could not be made.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A request that vanished unanswered is made anew after this.
const ANSWER_MAX: Duration = Duration::from_secs(600);
/// Renewals are spread over this, so that pods which began together do not ask together.
const SPREAD_SECONDS: u64 = 300;

/// A key and the chain that a signer made for it, as PEM.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) key: String,
    pub(super) chain: String,
}

#[derive(Clone, Debug)]
enum State {
    /// Nothing yet; the last thing that went wrong.
    Pending(String),
    Issued(Credentials),
    /// The signer will not; this is for good.
    Refused(String),
}

struct Entry {
    state: watch::Receiver<State>,
    _task: AbortOnDropHandle<()>,
}

/// The certificates of a pod, by volume and place among its sources.
#[derive(Default)]
pub(crate) struct Certificates(Mutex<HashMap<(String, usize), Entry>>);

/// Who asks, and for what.
struct Asking {
    site: Arc<Site>,
    pod: Arc<Pod>,
    source: PodCertificateProjection,
    /// Woken when there is a newer certificate.
    changed: Arc<Notify>,
}

/// An answer: what was issued, and when to ask again.
enum Answer {
    Issued(Credentials, Timestamp),
    Refused(String),
}

impl Certificates {
    /// The certificate of a source; asks for it if nobody did, and waits for the first one.
    pub(super) async fn get(
        &self,
        site: &Arc<Site>,
        pod: &Arc<Pod>,
        changed: &Arc<Notify>,
        place: (&str, usize),
        source: &PodCertificateProjection,
    ) -> Result<Credentials, String> {
        let mut state = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = known.entry((place.0.to_owned(), place.1)).or_insert_with(|| {
                let (sender, state) = watch::channel(State::Pending(String::new()));
                let (site, pod, changed) = (Arc::clone(site), Arc::clone(pod), Arc::clone(changed));
                let asking = Asking { site, pod, source: source.clone(), changed };
                Entry { state, _task: AbortOnDropHandle::new(tokio::spawn(asking.run(sender))) }
            });
            entry.state.clone()
        };
        let answered = state.wait_for(|state| !matches!(state, State::Pending(_)));
        // Whether it came in time or not, the state says all.
        drop(tokio::time::timeout(FIRST_MAX, answered).await);
        let state = state.borrow().clone();
        match state {
            State::Issued(credentials) => Ok(credentials),
            State::Refused(why) => Err(why),
            State::Pending(why) if why.is_empty() => Err("credential bundle is not issued yet".into()),
            State::Pending(why) => Err(format!("credential bundle is not issued yet: {why}")),
        }
    }
}

impl Asking {
    /// Asks, and asks again when it is time, until the pod is gone or the signer refuses.
    async fn run(self, state: watch::Sender<State>) {
        let mut pause = RETRY.0;
        loop {
            let wait = match self.ask().await {
                Ok(Answer::Issued(credentials, renew_at)) => {
                    if matches!(state.send_replace(State::Issued(credentials)), State::Issued(_)) {
                        self.changed.notify_one();
                    }
                    pause = RETRY.0;
                    renew_at.duration_since(Timestamp::now()).try_into().unwrap_or(RETRY.0)
                }
                Ok(Answer::Refused(why)) => {
                    state.send_replace(State::Refused(why));
                    return;
                }
                Err(why) => {
                    tracing::debug!(why, "a pod's certificate could not be asked for");
                    state.send_if_modified(|state| {
                        let pending = matches!(state, State::Pending(_));
                        if pending {
                            *state = State::Pending(why);
                        }
                        pending
                    });
                    let wait = pause;
                    pause = (pause * 2).min(RETRY.1);
                    wait
                }
            };
            #[expect(clippy::disallowed_methods, reason = "a certificate says itself when it is to be renewed")]
            tokio::time::sleep(wait).await;
        }
    }

    /// One request, to its end.
    async fn ask(&self) -> Result<Answer, String> {
        let (key, stub) = key_and_stub(&self.source.key_type).await?;
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let requests: Api<PodCertificateRequest> = Api::namespaced(self.site.client.clone(), namespace);
        let request = self.request(namespace, stub).await?;
        let made = requests.create(&PostParams::default(), &request).await;
        let made = made.map_err(|error| format!("while creating on API: {}", chain(&error)))?;
        let answered = tokio::time::timeout(ANSWER_MAX, self.follow(&requests, made)).await;
        let answered = answered.map_err(|_| "nobody answered the PodCertificateRequest in time".to_owned())??;
        Ok(self.judge(&answered, key))
    }

    async fn request(&self, namespace: &str, stub: Vec<u8>) -> Result<PodCertificateRequest, String> {
        let account = self.pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).unwrap_or_default();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.site.client.clone(), namespace);
        let found = accounts.get(&account).await.map_err(|error| format!("while fetching service account: {}", chain(&error)))?;
        let (name, uid) = (self.pod.metadata.name.clone().unwrap_or_default(), self.pod.metadata.uid.clone().unwrap_or_default());
        let owner = OwnerReference {
            api_version: "v1".into(),
            kind: "Pod".into(),
            name: name.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        };
        Ok(PodCertificateRequest {
            metadata: ObjectMeta {
                namespace: Some(namespace.into()),
                generate_name: Some("req-".into()),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            spec: PodCertificateRequestSpec {
                signer_name: self.source.signer_name.clone(),
                pod_name: name,
                pod_uid: uid,
                service_account_name: account,
                service_account_uid: found.metadata.uid.unwrap_or_default(),
                node_name: self.site.name.to_string(),
                node_uid: self.site.node.borrow().metadata.uid.clone().unwrap_or_default(),
                max_expiration_seconds: self.source.max_expiration_seconds,
                stub_pkc_s10_request: ByteString(stub),
                unverified_user_annotations: self.source.user_annotations.clone(),
            },
            status: None,
        })
    }

    /// Waits until the request has ended, one way or another.
    async fn follow(
        &self,
        requests: &Api<PodCertificateRequest>,
        made: PodCertificateRequest,
    ) -> Result<PodCertificateRequest, String> {
        let name = made.metadata.name.clone().unwrap_or_default();
        // A node sees its own requests alone, and has to say so.
        let fields = format!("metadata.name={name},spec.nodeName={}", self.site.name);
        let mut from = made.metadata.resource_version.clone().unwrap_or_default();
        loop {
            let events = requests.watch(&WatchParams::default().fields(&fields), &from).await;
            let mut events = events.map_err(|error| format!("while watching PodCertificateRequest: {}", chain(&error)))?.boxed();
            while let Some(event) = events.next().await {
                match event {
                    Ok(WatchEvent::Added(request) | WatchEvent::Modified(request)) => {
                        from = request.metadata.resource_version.clone().unwrap_or(from);
                        if verdict(&request).is_some() {
                            return Ok(request);
                        }
                    }
                    Ok(WatchEvent::Deleted(_)) => return Err("PodCertificateRequest appears to have been deleted".into()),
                    Ok(WatchEvent::Bookmark(_)) => {}
                    Ok(WatchEvent::Error(status)) => return Err(status.message),
                    Err(error) => return Err(chain(&error)),
                }
            }
        }
    }

    fn judge(&self, request: &PodCertificateRequest, key: String) -> Answer {
        let verdict = verdict(request);
        let full =
            [&request.metadata.namespace, &request.metadata.name].map(|part| part.as_deref().unwrap_or_default()).join("/");
        match verdict {
            Some(("Issued", ..)) => {
                let status = request.status.clone().unwrap_or_default();
                let spread = SignedDuration::from_secs(i64::try_from(spread(&full)).unwrap_or(0));
                let renew_at = status.begin_refresh_at.map_or_else(Timestamp::now, |time| time.0);
                let renew_at = renew_at.checked_add(spread).unwrap_or(renew_at);
                Answer::Issued(Credentials { key, chain: status.certificate_chain.unwrap_or_default() }, renew_at)
            }
            other => {
                let (kind, reason, message) = other.unwrap_or(("Failed", "", ""));
                let (event, did, past) = match kind {
                    "Denied" => ("Denied", "was denied", "denied"),
                    _ => ("Failed", "failed", "failed"),
                };
                let text = format!("PodCertificateRequest {full} {did}, reason={reason:?}, message={message:?}");
                self.site.warning(&self.pod, None, event, text);
                Answer::Refused(format!("PodCertificateRequest was permanently {past}: reason={reason:?} message={message:?}"))
            }
        }
    }
}

/// How a request ended: kind, reason and message.
fn verdict(request: &PodCertificateRequest) -> Option<(&str, &str, &str)> {
    let conditions = request.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut ended = conditions.filter(|condition| matches!(condition.type_.as_str(), "Issued" | "Denied" | "Failed"));
    ended.find(|condition| condition.status == "True").map(|c| (c.type_.as_str(), c.reason.as_str(), c.message.as_str()))
}

/// Some seconds that differ from request to request, whose names are random.
fn spread(name: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() % SPREAD_SECONDS
}

/// A fresh key as PEM, and the empty request that proves that we hold it, as DER.
async fn key_and_stub(kind: &str) -> Result<(String, Vec<u8>), String> {
    let kind = kind.to_owned();
    // RSA keys take hundreds of milliseconds.
    let made = tokio::task::spawn_blocking(move || {
        let key = match kind.as_str() {
            "RSA3072" => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
            "RSA4096" => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
            "ECDSAP256" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            "ECDSAP384" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            "ECDSAP521" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
            "ED25519" => KeyPair::generate_for(&rcgen::PKCS_ED25519),
            other => return Err(format!("unknown key type {other:?}")),
        };
        let failed = |error: rcgen::Error| format!("while generating keypair: {error}");
        let key = key.map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let stub = params.serialize_request(&key).map_err(failed)?;
        Ok((key.serialize_pem(), stub.der().to_vec()))
    });
    made.await.unwrap_or_else(|error| Err(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::prelude::FromDer as _;

    #[tokio::test]
    async fn a_request_is_empty_and_signed_by_its_own_key() {
        for kind in ["ECDSAP256", "ECDSAP384", "ED25519", "RSA3072"] {
            let (key, stub) = key_and_stub(kind).await.unwrap();
            assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"), "{kind}");
            let (_, request) = X509CertificationRequest::from_der(&stub).unwrap();
            request.verify_signature().unwrap();
            assert_eq!(request.certification_request_info.subject.iter().count(), 0, "{kind}");
        }
        assert!(key_and_stub("ECDSAP521").await.is_ok());
        assert!(key_and_stub("other").await.is_err());
    }
}

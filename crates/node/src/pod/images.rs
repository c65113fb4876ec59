//! Gets the image of a container: present, fetched or refused, as its pull policy says. One pull of an image at a time, whoever asks.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use k8s_openapi::api::core::v1::Pod;
use runtime::image::{Credentials, Image, ImageError};

use super::steps::chain;
use crate::site::Site;

type Pull = Shared<BoxFuture<'static, Result<Image, NotPulled>>>;

/// Why a pull brought nothing.
#[derive(Clone, Debug)]
struct NotPulled {
    why: String,
    /// The registry was not even reached.
    unreachable: bool,
}

/// The pulls that run.
#[derive(Default)]
pub(crate) struct Pulls {
    running: Mutex<HashMap<String, Pull>>,
    /// The ids of the images that came.
    fetched: Mutex<BTreeSet<String>>,
    /// An image has come.
    pub(crate) done: tokio::sync::Notify,
}

impl Pulls {
    /// The ids of the images that came by a pull of this agent.
    pub(crate) fn fetched(&self) -> BTreeSet<String> {
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why there is no image.
#[derive(Clone, Debug)]
pub(crate) struct NoImage {
    /// The reason of the container's state.
    pub(crate) reason: &'static str,
    /// Its message.
    pub(crate) message: String,
}

/// The policy when none is given: tags that move are asked for each time.
pub(crate) fn default_policy(image: &str) -> &'static str {
    let last = image.rsplit('/').next().unwrap_or_default();
    if image.ends_with(":latest") || !last.contains([':', '@']) { "Always" } else { "IfNotPresent" }
}

/// The image, pulled if need be. `container` is told about in events; none when nobody asked yet.
pub(crate) async fn ensure(site: &Site, pod: &Pod, container: Option<&str>, image: &str, policy: &str) -> Result<Image, NoImage> {
    let found = site.images.find(image);
    match (found, policy) {
        (Some(found), "IfNotPresent" | "Never") => {
            if container.is_some() {
                let message = format!("Container image \"{image}\" already present on machine");
                site.normal(pod, container, "Pulled", message);
            }
            Ok(found)
        }
        (None, "Never") => {
            let message = format!("Container image \"{image}\" is not present with pull policy of Never");
            site.warning(pod, container, "ErrImageNeverPull", message.clone());
            Err(NoImage { reason: "ErrImageNeverPull", message })
        }
        _ => pull(site, pod, container, image).await,
    }
}

async fn pull(site: &Site, pod: &Pod, container: Option<&str>, image: &str) -> Result<Image, NoImage> {
    if !is_reference(image) {
        let message = format!(
            "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid reference format"
        );
        site.warning(pod, container, "InspectFailed", message.clone());
        return Err(NoImage { reason: "InvalidImageName", message });
    }
    if container.is_some() {
        site.normal(pod, container, "Pulling", format!("Pulling image \"{image}\""));
    }
    let begun = Instant::now();
    match join(site, pod, image).await {
        Ok(found) => {
            if container.is_some() {
                let took = go_duration(begun.elapsed());
                let message = format!(
                    "Successfully pulled image \"{image}\" in {took} ({took} including waiting). Image size: {} bytes.",
                    found.bytes
                );
                site.normal(pod, container, "Pulled", message);
            }
            Ok(found)
        }
        // What a person loaded by hand may have no registry at all; what another's credentials fetched is not given away so.
        Err(NotPulled { unreachable: true, why }) if site.images.find(image).is_some_and(|found| found.loaded) => {
            let found = site.images.find(image).ok_or(NoImage { reason: "ErrImagePull", message: why })?;
            if container.is_some() {
                let message = format!("Container image \"{image}\" already present on machine, and its registry is out of reach");
                site.normal(pod, container, "Pulled", message);
            }
            Ok(found)
        }
        Err(NotPulled { why, .. }) => {
            site.warning(pod, container, "Failed", format!("Failed to pull image \"{image}\": {why}"));
            site.warning(pod, container, "Failed", "Error: ErrImagePull".into());
            Err(NoImage { reason: "ErrImagePull", message: why })
        }
    }
}

/// Joins the pull that runs, or starts one.
async fn join(site: &Site, pod: &Pod, image: &str) -> Result<Image, NotPulled> {
    let credentials = credentials(site, pod, image).await;
    // Another's secret must not let a pod in: pulls are joined by the credentials too.
    let key = format!("{image} {credentials:?}");
    let pull = {
        let mut running = site.pulls.running.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || {
            let (images, name) = (site.images.clone(), image.to_owned());
            let credentials = credentials.into_iter().next();
            let failed = |error: ImageError| NotPulled { why: chain(&error), unreachable: error.is_unreachable() };
            async move { images.pull(&name, credentials).await.map_err(failed) }.boxed().shared()
        };
        running.entry(key.clone()).or_insert_with(fresh).clone()
    };
    let pulled = pull.await;
    site.pulls.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    if let Ok(image) = &pulled {
        site.pulls.fetched.lock().unwrap_or_else(PoisonError::into_inner).insert(image.id.clone());
        site.pulls.done.notify_one();
    }
    pulled
}

/// Whether a text has the form of an image's name.
fn is_reference(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or_default();
    let path = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(path, _)| path);
    let repository = path.split_once('/').filter(|(host, _)| host.contains(['.', ':'])).map_or(path, |(_, rest)| rest);
    let good =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c));
    !repository.is_empty() && repository.split('/').all(good)
}

/// The registry that an image's name means.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => "docker.io",
    }
}

/// What the pull secrets of the pod say for the image's registry, the first that fits first.
async fn credentials(site: &Site, pod: &Pod, image: &str) -> Vec<Credentials> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut all = Vec::new();
    let secrets = pod.spec.as_ref().and_then(|spec| spec.image_pull_secrets.as_ref());
    for secret in secrets.into_iter().flatten() {
        let Some(found) = site.objects.secret(namespace, &secret.name).await.get() else { continue };
        let auths = match found.kind.as_str() {
            "kubernetes.io/dockerconfigjson" => found.data.get(".dockerconfigjson").and_then(|bytes| auths(bytes, true)),
            "kubernetes.io/dockercfg" => found.data.get(".dockercfg").and_then(|bytes| auths(bytes, false)),
            _ => None,
        };
        all.extend(auths.into_iter().flatten().filter(|(host, _)| fits(host, image)).map(|(_, credentials)| credentials));
    }
    all
}

fn fits(host: &str, image: &str) -> bool {
    let host = host.trim_start_matches("https://").trim_start_matches("http://");
    let host = host.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    host == registry(image) || image.starts_with(&format!("{host}/"))
}

fn auths(bytes: &[u8], nested: bool) -> Option<Vec<(String, Credentials)>> {
    let all: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let all = if nested { all.get("auths")? } else { &all };
    let entries = all.as_object()?.iter().filter_map(|(host, entry)| Some((host.clone(), entry_credentials(entry)?)));
    Some(entries.collect())
}

fn entry_credentials(entry: &serde_json::Value) -> Option<Credentials> {
    let text = |key: &str| entry.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    if let (Some(username), Some(password)) = (text("username"), text("password")) {
        return Some(Credentials::Basic { username, password });
    }
    let both = base64::engine::general_purpose::STANDARD.decode(text("auth")?).ok()?;
    let both = String::from_utf8(both).ok()?;
    let (username, password) = both.split_once(':')?;
    Some(Credentials::Basic { username: username.into(), password: password.into() })
}

/// A duration as Go prints it, to three places.
fn go_duration(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 { format!("{}ms", duration.as_millis()) } else { format!("{seconds:.3}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_follows_from_the_tag() {
        for (image, policy) in [
            ("a", "Always"),
            ("a:latest", "Always"),
            ("a:1", "IfNotPresent"),
            ("host:5000/a", "Always"),
            ("host:5000/a@sha256:0", "IfNotPresent"),
        ] {
            assert_eq!(default_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn names_that_are_none_are_told() {
        for (image, good) in
            [("busybox:1", true), ("h.io:5000/a/b@sha256:1", true), ("UPPER", false), ("a//b", false), ("", false)]
        {
            assert_eq!(is_reference(image), good, "{image}");
        }
    }

    #[test]
    fn pull_secrets_are_found_by_registry() {
        let secret =
            br#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"},"r.example:5000":{"username":"a","password":"b"}}}"#;
        let found = auths(secret, true).unwrap();
        let of = |image: &str| found.iter().find(|(host, _)| fits(host, image)).map(|(_, c)| c.clone());
        let basic = |username: &str, password: &str| Credentials::Basic { username: username.into(), password: password.into() };
        assert_eq!(of("redis:8"), Some(basic("u", "p")));
        assert_eq!(of("r.example:5000/x"), Some(basic("a", "b")));
        assert_eq!(of("other.example/x"), None);
    }
}

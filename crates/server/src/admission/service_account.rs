//! A pod runs as a service account: `default` when it names none, its token mounted unless someone said no.

use super::{Ground, Operation, Review};
use crate::State;
use api::document::{Value, meta};
use api::status::Status;
use std::time::Duration;

const MIRROR: &str = "kubernetes.io/config.mirror";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "kube-api-access-";
/// Seconds that a mounted token lives; the odd figure marks tokens whose use beyond it is only counted, as upstream.
pub(crate) const MOUNTED_TOKEN_SECONDS: i64 = 3607;
const ENFORCE_MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";
/// Letters and digits of generated names: no vowels, nothing to misread.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// How long a pod waits for the `default` account of a namespace that was made a moment ago.
const DEFAULT_ACCOUNT_WAIT: Duration = Duration::from_secs(1);

/// A namespace and its first pod often come together, and a controller makes the account between them: waits until it is there.
/// A pod for which it never comes is refused by the plugin.
pub(super) async fn wait_for_default(review: &Review<'_>, state: &State) {
    let named = account_name(review.object);
    if !review.creates_pod() || !matches!(named, "" | "default") || meta::annotation(review.object, MIRROR).is_some() {
        return;
    }
    let key = format!("/core/serviceaccounts/{}/default", review.namespace);
    let namespace = format!("/core/namespaces//{}", review.namespace);
    let snapshot = state.snapshot();
    if snapshot.get(&key).is_some() || snapshot.get(&namespace).is_none() {
        return;
    }
    let Ok(mut watch) = state.store.watch(&key, snapshot.revision()) else { return };
    let appears = async {
        while state.snapshot().get(&key).is_none() {
            if watch.next().await.is_err() {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DEFAULT_ACCOUNT_WAIT, appears).await;
}

pub(super) fn mutate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !review.creates_pod() || meta::annotation(review.object, MIRROR).is_some() {
        return Ok(());
    }
    if account_name(review.object).is_empty() {
        review.object.set_at(&["spec", "serviceAccountName"], "default");
        review.object.set_at(&["spec", "serviceAccount"], "default");
    }
    let account = account(review, ground)?;
    if automounts(&account, review.object) {
        mount_token(review.object);
    }
    if review.object.array_at(&["spec", "imagePullSecrets"]).is_empty() {
        let secrets = account.array_at(&["imagePullSecrets"]);
        if !secrets.is_empty() {
            review.object.set_at(&["spec", "imagePullSecrets"], secrets.to_vec());
        }
    }
    Ok(())
}

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !review.group.is_empty() || review.resource != "pods" {
        return Ok(());
    }
    match (review.operation, review.subresource) {
        (Operation::Update, "ephemeralcontainers") => {}
        (Operation::Create, "") => {}
        _ => return Ok(()),
    }
    if review.operation == Operation::Create && meta::annotation(review.object, MIRROR).is_some() {
        return validate_mirror(review);
    }
    if account_name(review.object).is_empty() {
        let (namespace, name) = (review.namespace, meta::name(review.object));
        return Err(review.forbidden(format!("no service account specified for pod {namespace}/{name}")));
    }
    let account = account(review, ground)?;
    if meta::annotation(&account, ENFORCE_MOUNTABLE) == Some("true")
        && let Some(why) = unmountable(&account, review.object)
    {
        return Err(review.forbidden(why));
    }
    Ok(())
}

fn account_name(pod: &Value) -> &str {
    pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default()
}

fn account(review: &Review<'_>, ground: &Ground<'_>) -> Result<Value, Status> {
    let (namespace, name) = (review.namespace, account_name(review.object));
    ground.objects.object("", "serviceaccounts", namespace, name).ok_or_else(|| {
        let why = format!("serviceaccount \"{name}\" not found");
        review.forbidden(format!("error looking up service account {namespace}/{name}: {why}"))
    })
}

fn automounts(account: &Value, pod: &Value) -> bool {
    pod.bool_at(&["spec", "automountServiceAccountToken"])
        .or_else(|| account.bool_at(&["automountServiceAccountToken"]))
        .unwrap_or(true)
}

fn mount_token(pod: &mut Value) {
    let existing = pod.array_at(&["spec", "volumes"]).iter().filter_map(|v| v.str_at(&["name"]));
    let existing = existing.filter(|n| n.starts_with(VOLUME)).map(str::to_owned).next();
    let name = existing.clone().unwrap_or_else(|| format!("{VOLUME}{}", random_suffix()));
    let mut needed = false;
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod.get_mut(&["spec", list]).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let mounts = container.array_at(&["volumeMounts"]);
            // What is mounted there already keeps the token out.
            if mounts.iter().any(|m| m.str_at(&["mountPath"]) == Some(MOUNT_PATH)) {
                continue;
            }
            let mut mounts = mounts.to_vec();
            mounts.push(Value::from(serde_json::json!({ "name": name, "readOnly": true, "mountPath": MOUNT_PATH })));
            container.set_at(&["volumeMounts"], mounts);
            needed = true;
        }
    }
    if needed && existing.is_none() {
        let mut volumes = pod.array_at(&["spec", "volumes"]).to_vec();
        volumes.push(token_volume(&name));
        pod.set_at(&["spec", "volumes"], volumes);
    }
}

fn token_volume(name: &str) -> Value {
    Value::from(serde_json::json!({
        "name": name,
        "projected": {
            "sources": [
                { "serviceAccountToken": { "expirationSeconds": MOUNTED_TOKEN_SECONDS, "path": "token" } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [{
                    "path": "namespace",
                    "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" },
                }] } },
            ],
            "defaultMode": 420,
        },
    }))
}

fn random_suffix() -> String {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    bytes.iter().take(5).map(|b| ALPHABET[usize::from(*b) % ALPHABET.len()] as char).collect()
}

fn validate_mirror(review: &Review<'_>) -> Result<(), Status> {
    if !account_name(review.object).is_empty() {
        return Err(review.forbidden("a mirror pod may not reference service accounts"));
    }
    if !secret_names(review.object).is_empty() {
        return Err(review.forbidden("a mirror pod may not reference secrets"));
    }
    for volume in review.object.array_at(&["spec", "volumes"]) {
        let mut sources = volume.array_at(&["projected", "sources"]).iter();
        if sources.any(|s| s.get(&["serviceAccountToken"]).is_some()) {
            return Err(review.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
        }
    }
    Ok(())
}

/// Every secret that a pod names.
pub(super) fn secret_names(pod: &Value) -> Vec<String> {
    use crate::authz::node::{NeededKind, pod_needs};
    pod_needs(pod, "", "").into_iter().filter(|n| n.0 == NeededKind::Secret).map(|n| n.2).collect()
}

fn unmountable(account: &Value, pod: &Value) -> Option<String> {
    let own = meta::name(account);
    let names = |field: &str| -> Vec<&str> { account.array_at(&[field]).iter().filter_map(|s| s.str_at(&["name"])).collect() };
    let (mountable, pullable) = (names("secrets"), names("imagePullSecrets"));
    for (at, secret) in pod.array_at(&["spec", "imagePullSecrets"]).iter().enumerate() {
        let name = secret.str_at(&["name"]).unwrap_or_default();
        if !pullable.contains(&name) {
            return Some(format!(
                "imagePullSecrets[{at}].name=\"{name}\" is not allowed because service account {own} does not reference that imagePullSecret"
            ));
        }
    }
    let pulls: Vec<&str> = pod.array_at(&["spec", "imagePullSecrets"]).iter().filter_map(|s| s.str_at(&["name"])).collect();
    let outside = secret_names(pod).into_iter().find(|n| !mountable.contains(&n.as_str()) && !pulls.contains(&n.as_str()))?;
    Some(format!(
        "volume with secret.secretName=\"{outside}\" is not allowed because service account {own} does not reference that secret"
    ))
}

//! How objects are written: made when they are missing, changed when they differ from what was last written. Chooses nothing.

use client::feed::parse_revision;
use http::{Method, Request, header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Where the hash of what was written is noted, so that what the server adds to an object is no difference.
pub const HASH: &str = "coracle.dev/written";

/// Something could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An object of a kind that is not in [`RESOURCES`].
    #[error("there is no resource for {kind}")]
    FindResource {
        /// The kind.
        kind: String,
    },
    /// A request cannot be built.
    #[error("cannot build the request for {what}")]
    Build {
        /// Kind and name.
        what: String,
        /// Why.
        #[source]
        source: http::Error,
    },
    /// The API refused a read.
    #[error("cannot read {what}")]
    Read {
        /// Kind and name.
        what: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// The API refused a write.
    #[error("cannot write {what}")]
    Write {
        /// Kind and name.
        what: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// A cache does not show an own write.
    #[error("cannot see an own write")]
    SeeWrite(#[from] client::cache::Behind),
}

/// The resources of the kinds that are written here: kind, plural, namespaced.
const RESOURCES: &[(&str, &str, bool)] = &[
    ("Namespace", "namespaces", false),
    ("ServiceAccount", "serviceaccounts", true),
    ("ConfigMap", "configmaps", true),
    ("Service", "services", true),
    ("Pod", "pods", true),
    ("PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("PodDisruptionBudget", "poddisruptionbudgets", true),
    ("NetworkPolicy", "networkpolicies", true),
    ("ClusterRole", "clusterroles", false),
    ("ClusterRoleBinding", "clusterrolebindings", false),
    ("CustomResourceDefinition", "customresourcedefinitions", false),
];

/// The hash of an object as it is to be written.
#[must_use]
pub fn hash(object: &Value) -> String {
    hex::encode(&Sha256::digest(object.to_string().as_bytes())[..8])
}

/// Makes an object, or changes it if it was written differently last time.
///
/// # Errors
/// When the API refuses.
pub async fn ensure(client: &kube::Client, object: &Value) -> Result<(), ApplyError> {
    let mut wanted = object.clone();
    let hash = hash(object);
    wanted["metadata"]["annotations"][HASH] = json!(hash);
    if create(client, &wanted).await?.is_some() {
        return Ok(());
    }
    let (path, what) = place(object)?;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("{path}/{name}");
    let found: Value = client
        .request(request(Method::GET, &path, "", Vec::new(), &what)?)
        .await
        .map_err(|source| ApplyError::Read { what: what.clone(), source })?;
    if found["metadata"]["annotations"][HASH] == json!(hash) {
        return Ok(());
    }
    let body = wanted.to_string().into_bytes();
    let changed = client.request::<Value>(request(Method::PATCH, &path, "application/merge-patch+json", body, &what)?).await;
    changed.map(drop).map_err(|source| ApplyError::Write { what, source })
}

/// Makes an object. Its resourceVersion; nothing when one of that name is there already.
///
/// # Errors
/// When the API refuses for another reason than that it is there.
pub async fn create(client: &kube::Client, object: &Value) -> Result<Option<u64>, ApplyError> {
    let (path, what) = place(object)?;
    let body = object.to_string().into_bytes();
    match client.request::<Value>(request(Method::POST, &path, "application/json", body, &what)?).await {
        Ok(made) => Ok(Some(parse_revision(made["metadata"]["resourceVersion"].as_str()))),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
        Err(source) => Err(ApplyError::Write { what, source }),
    }
}

/// The path of an object's collection, and kind and name for people.
fn place(object: &Value) -> Result<(String, String), ApplyError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, version) = (text(&object["kind"]), text(&object["apiVersion"]));
    let Some((_, plural, namespaced)) = RESOURCES.iter().find(|(name, ..)| *name == kind) else {
        return Err(ApplyError::FindResource { kind });
    };
    let root = if version.contains('/') { "apis" } else { "api" };
    let namespace = if *namespaced { format!("namespaces/{}/", text(&object["metadata"]["namespace"])) } else { String::new() };
    let what = format!("{kind} {}", text(&object["metadata"]["name"]));
    Ok((format!("/{root}/{version}/{namespace}{plural}"), what))
}

fn request(method: Method, path: &str, content: &str, body: Vec<u8>, what: &str) -> Result<Request<Vec<u8>>, ApplyError> {
    let mut builder = Request::builder().method(method).uri(path);
    if !content.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, content);
    }
    builder.body(body).map_err(|source| ApplyError::Build { what: what.to_owned(), source })
}

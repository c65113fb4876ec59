//! How plans are carried out: errors with what was attempted, many creates at once, deletes of what may be gone already. Chooses nothing.

use client::{cache::Behind, feed::parse_revision};
use k8s_openapi::{
    api::core::v1::{Namespace, Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Resource,
    api::{DeleteParams, PostParams, Preconditions},
    core::{NamespaceResourceScope, PartialObjectMeta, Request},
};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

/// The creates of the first batch; each later one is twice as large, so that a refusal is met by one create and not by hundreds.
const FIRST_BATCH: usize = 1;

/// A plan could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Something could not be read.
    #[error("cannot read {what}")]
    Read {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// Something could not be written.
    #[error("cannot write {what}")]
    Write {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// An object cannot be turned into what is sent.
    #[error("cannot encode {what}")]
    Encode {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The cache does not show a write.
    #[error("cannot see an own write")]
    SeeWrite(#[from] Behind),
}

impl ApplyError {
    /// Reading `what` failed.
    pub fn read(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Read { what, source }
    }

    /// Writing `what` failed.
    pub fn write(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Write { what, source }
    }

    /// Whether what was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Read { source, .. } | Self::Write { source, .. } if is_not_found(source))
    }
}

/// Whether what was asked for is not there.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Whether something of that name is there already.
pub fn is_there_already(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_already_exists())
}

/// Whether the namespace is going away, so that nothing new may be made in it.
pub fn namespace_is_ending(error: &kube::Error) -> bool {
    let ending = |status: &kube::core::Status| {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        status.code == 403 && causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
    };
    matches!(error, kube::Error::Api(status) if ending(status))
}

/// What people are told of a failed request.
pub fn message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// What became of many creates.
#[derive(Default)]
pub struct Created {
    /// The metadata of what is there now.
    pub metas: Vec<ObjectMeta>,
    /// Why the rest is not; nothing was tried after it.
    pub error: Option<kube::Error>,
}

impl Created {
    /// The resourceVersion that shows all of them.
    pub fn revision(&self) -> u64 {
        self.metas.iter().map(|meta| parse_revision(meta.resource_version.as_deref())).max().unwrap_or(0)
    }
}

/// Creates `count` pods alike, whose names the server generates: in batches that double, each batch at once.
///
/// # Errors
/// When the pod cannot be encoded; refusals are part of the result.
pub async fn create_pods(client: &kube::Client, namespace: &str, pod: &Pod, count: usize) -> Result<Created, ApplyError> {
    let body = serde_json::to_vec(pod).map_err(|source| ApplyError::Encode { what: "a pod", source })?;
    let path = Pod::url_path(&(), Some(namespace));
    let mut created = Created::default();
    let mut batch = FIRST_BATCH;
    while created.metas.len() < count && created.error.is_none() {
        let mut running = JoinSet::new();
        for _ in 0..batch.min(count - created.metas.len()) {
            let (client, body, path) = (client.clone(), body.clone(), path.clone());
            running.spawn(async move { create_raw::<Pod>(&client, &path, body).await });
        }
        while let Some(result) = running.join_next().await {
            match result {
                Ok(Ok(meta)) => created.metas.push(meta),
                Ok(Err(error)) => created.error = Some(error),
                Err(_) => {}
            }
        }
        batch *= 2;
    }
    Ok(created)
}

/// Creates from bytes, and reads no more of the answer than its metadata.
async fn create_raw<K: Resource<DynamicType = ()>>(
    client: &kube::Client,
    path: &str,
    body: Vec<u8>,
) -> Result<ObjectMeta, kube::Error> {
    let request = Request::new(path).create(&PostParams::default(), body).map_err(kube::Error::BuildRequest)?;
    let partial: PartialObjectMeta<K> = client.request(request).await?;
    Ok(partial.metadata)
}

/// Deletes exactly this object. Whether it was there.
///
/// # Errors
/// What the server says, but that it is gone or another by now.
pub async fn delete<K>(client: &kube::Client, object: &K) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + std::fmt::Debug,
{
    let meta = object.meta();
    let api = kube::Api::<PartialObjectMeta<K>>::namespaced(client.clone(), meta.namespace.as_deref().unwrap_or_default());
    let precondition = Preconditions { uid: meta.uid.clone(), resource_version: None };
    match api.delete(meta.name.as_deref().unwrap_or_default(), &DeleteParams::background().preconditions(precondition)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a namespace takes new objects.
pub fn takes_objects(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_none()
        && namespace.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Terminating")
}

//! The API as releases need it: kinds by discovery, objects as JSON. It decides nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::{Method, Request, header};
use serde_json::{Value as Json, json};

/// Who applies, in the eyes of the API.
const MANAGER: &str = "helm";

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It cannot be built.
    #[error("cannot build the request for {path}: {cause}")]
    Build {
        /// Where.
        path: String,
        /// Why.
        cause: http::Error,
    },
    /// The API refused it.
    #[error("{0}")]
    Ask(String),
    /// The cluster has no such kind.
    #[error(
        "resource mapping not found for name: {name:?} namespace: {namespace:?} from \"\": no matches for kind {kind:?} in version {version:?}\nensure CRDs are installed first"
    )]
    FindKind {
        /// The object.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Its kind.
        kind: String,
        /// Its version.
        version: String,
    },
}

#[derive(Clone)]
struct Kind {
    plural: String,
    namespaced: bool,
}

/// A cluster, and the namespace that is meant where an object says none.
pub struct Cluster {
    pub(super) client: kube::Client,
    /// Where the release lives.
    pub namespace: String,
    kinds: Mutex<BTreeMap<(String, String), Kind>>,
}

/// A field of an object as text.
pub(super) fn text<'o>(object: &'o Json, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

impl Cluster {
    /// A cluster behind a client.
    #[must_use]
    pub fn new(client: kube::Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), kinds: Mutex::default() }
    }

    /// A request; nothing where there is no such object.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Vec<u8>,
    ) -> Result<Option<Json>, ClusterError> {
        let mut request = Request::builder().method(method).uri(path);
        if !content.is_empty() {
            request = request.header(header::CONTENT_TYPE, content);
        }
        let request = request.body(body).map_err(|cause| ClusterError::Build { path: path.to_owned(), cause })?;
        match self.client.request::<Json>(request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(kube::Error::Api(status)) => Err(ClusterError::Ask(status.message.clone())),
            Err(error) => Err(ClusterError::Ask(error.to_string())),
        }
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Json>, ClusterError> {
        self.ask(Method::GET, path, "", Vec::new()).await
    }

    async fn kind(&self, object: &Json) -> Result<Kind, ClusterError> {
        let (version, kind) = (text(object, "/apiVersion").to_owned(), text(object, "/kind").to_owned());
        let key = (version.clone(), kind.clone());
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let root = if version.contains('/') { "apis" } else { "api" };
        let list = self.read(&format!("/{root}/{version}")).await?.unwrap_or_default();
        let resources = list["resources"].as_array().map_or(&[][..], Vec::as_slice);
        let found =
            resources.iter().find(|it| it["kind"] == kind.as_str() && !text(it, "/name").contains('/')).ok_or_else(|| {
                ClusterError::FindKind {
                    name: text(object, "/metadata/name").to_owned(),
                    namespace: text(object, "/metadata/namespace").to_owned(),
                    kind: kind.clone(),
                    version: version.clone(),
                }
            })?;
        let found = Kind { plural: text(found, "/name").to_owned(), namespaced: found["namespaced"] == true };
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
        Ok(found)
    }

    /// The namespace that an object is in; none for one of the whole cluster.
    pub(super) fn namespace_of<'o>(&'o self, object: &'o Json) -> &'o str {
        match text(object, "/metadata/namespace") {
            "" => &self.namespace,
            namespace => namespace,
        }
    }

    /// The path of an object's collection.
    pub(super) async fn collection(&self, object: &Json) -> Result<String, ClusterError> {
        let kind = self.kind(object).await?;
        let version = text(object, "/apiVersion");
        let root = if version.contains('/') { "apis" } else { "api" };
        let place = if kind.namespaced { format!("namespaces/{}/", self.namespace_of(object)) } else { String::new() };
        Ok(format!("/{root}/{version}/{place}{}", kind.plural))
    }

    async fn path(&self, object: &Json) -> Result<String, ClusterError> {
        Ok(format!("{}/{}", self.collection(object).await?, text(object, "/metadata/name")))
    }

    /// The object as it is in the cluster.
    pub async fn find(&self, object: &Json) -> Result<Option<Json>, ClusterError> {
        let path = self.path(object).await?;
        self.read(&path).await
    }

    /// Server-side apply.
    pub async fn apply(&self, object: &Json, force: bool) -> Result<Json, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}&force={force}", self.path(object).await?);
        let body = object.to_string().into_bytes();
        let applied = self.ask(Method::PATCH, &path, "application/apply-patch+yaml", body).await?;
        applied.ok_or_else(|| ClusterError::Ask(format!("{path}: not found")))
    }

    /// Makes an object; nothing where it is there.
    pub async fn create(&self, object: &Json) -> Result<Option<Json>, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}", self.collection(object).await?);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(object.to_string().into_bytes())
            .map_err(|cause| ClusterError::Build { path: path.clone(), cause })?;
        match self.client.request::<Json>(request).await {
            Ok(made) => Ok(Some(made)),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            Err(kube::Error::Api(status)) => Err(ClusterError::Ask(status.message.clone())),
            Err(error) => Err(ClusterError::Ask(error.to_string())),
        }
    }

    /// Three-way merge in the client, for releases from before server-side apply.
    pub async fn merge(&self, old: Option<&Json>, new: &Json) -> Result<Json, ClusterError> {
        let Some(live) = self.find(new).await? else {
            return Ok(self.create(new).await?.unwrap_or_default());
        };
        let mut patch = new.clone();
        forget_dropped(&mut patch, old.unwrap_or(&Json::Null));
        let path = format!("{}?fieldManager={MANAGER}", self.path(new).await?);
        let builtin = !text(new, "/apiVersion").contains('.') || text(new, "/apiVersion").contains(".k8s.io/");
        let content = if builtin { "application/strategic-merge-patch+json" } else { "application/merge-patch+json" };
        let changed = self.ask(Method::PATCH, &path, content, patch.to_string().into_bytes()).await?;
        Ok(changed.unwrap_or(live))
    }

    /// Deletes an object; false where it was not there.
    pub async fn delete(&self, object: &Json, propagation: &str) -> Result<bool, ClusterError> {
        let path = self.path(object).await?;
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation});
        let gone = self.ask(Method::DELETE, &path, "application/json", body.to_string().into_bytes()).await?;
        Ok(gone.is_some())
    }
}

/// Fields of the last revision that the new one does not say are unset.
fn forget_dropped(new: &mut Json, old: &Json) {
    let (Some(new), Some(old)) = (new.as_object_mut(), old.as_object()) else { return };
    for (key, before) in old {
        match new.get_mut(key) {
            None => drop(new.insert(key.clone(), Json::Null)),
            Some(now) => forget_dropped(now, before),
        }
    }
}

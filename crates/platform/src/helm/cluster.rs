//! The API as releases need it: kinds by discovery, objects as JSON. It decides nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use http::{Method, Request, header};
use serde_json::{Value as Json, json};

use super::merge;

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
    /// The API did not answer.
    #[error("{0}")]
    Ask(String),
    /// The API refused it.
    #[error("{message}")]
    Refuse {
        /// Its status code.
        code: u16,
        /// What it said.
        message: String,
    },
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

impl From<kube::Error> for ClusterError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Refuse { code: status.code, message: status.message.clone() },
            error => Self::Ask(error.to_string()),
        }
    }
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
            Err(error) => Err(error.into()),
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

    /// A kind as the API's own errors name it: `configmaps`, `deployments.apps`.
    pub(super) async fn resource(&self, object: &Json) -> Result<String, ClusterError> {
        let kind = self.kind(object).await?;
        Ok(match text(object, "/apiVersion").rsplit_once('/') {
            Some((group, _)) => format!("{}.{group}", kind.plural),
            None => kind.plural,
        })
    }

    async fn path(&self, object: &Json) -> Result<String, ClusterError> {
        Ok(format!("{}/{}", self.collection(object).await?, text(object, "/metadata/name")))
    }

    /// The object as it is in the cluster.
    pub async fn find(&self, object: &Json) -> Result<Option<Json>, ClusterError> {
        let path = self.path(object).await?;
        self.read(&path).await
    }

    async fn read_as(&self, path: &str, table: bool) -> Result<Option<Json>, ClusterError> {
        if !table {
            return self.read(path).await;
        }
        let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
        let request = Request::get(path).header(header::ACCEPT, accept).body(Vec::new());
        let request = request.map_err(|cause| ClusterError::Build { path: path.to_owned(), cause })?;
        match self.client.request::<Json>(request).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            answer => Ok(Some(answer?)),
        }
    }

    /// An object as it is, or as a table of it.
    pub(super) async fn show(&self, object: &Json, table: bool) -> Result<Option<Json>, ClusterError> {
        let path = self.path(object).await?;
        self.read_as(&path, table).await
    }

    /// The list of the pods that a selector fits, or a table of them.
    pub(super) async fn pods(&self, namespace: &str, selector: &str, table: bool) -> Result<Option<Json>, ClusterError> {
        let selector = selector.replace('=', "%3D").replace(',', "%2C").replace('/', "%2F");
        self.read_as(&format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}"), table).await
    }

    /// Server-side apply.
    pub async fn apply(&self, object: &Json, force: bool) -> Result<Json, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}&force={force}&fieldValidation=Strict", self.path(object).await?);
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
            Err(error) => Err(error.into()),
        }
    }

    /// Writes an object as it stands.
    pub async fn replace(&self, object: &Json) -> Result<Json, ClusterError> {
        let path = format!("{}?fieldManager={MANAGER}&fieldValidation=Strict", self.path(object).await?);
        let written = self.ask(Method::PUT, &path, "application/json", object.to_string().into_bytes()).await?;
        written.ok_or_else(|| ClusterError::Refuse { code: 404, message: format!("{path}: not found") })
    }

    /// Three-way merge in the client, for releases from before server-side apply. `before` is what was applied last, and
    /// what those may have applied since that came to no end.
    pub(super) async fn merge(&self, before: &[&Json], new: &Json) -> Result<Json, ClusterError> {
        let Some(live) = self.find(new).await? else {
            return Ok(self.create(new).await?.unwrap_or_default());
        };
        let (patch, form) = merge::patch(before, new);
        if patch.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(live);
        }
        let path = format!("{}?fieldManager={MANAGER}", self.path(new).await?);
        let changed = self.ask(Method::PATCH, &path, form, patch.to_string().into_bytes()).await?;
        Ok(changed.unwrap_or(live))
    }

    /// Fields that were set by merging count as applied from now on: else this manager would be in its own way.
    pub(super) async fn adopt_fields(&self, object: &Json) -> Result<(), ClusterError> {
        let Some(live) = self.find(object).await? else { return Ok(()) };
        let Some(fields) = adopted(&live) else { return Ok(()) };
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": fields},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
        ]);
        let path = self.path(object).await?;
        self.ask(Method::PATCH, &path, "application/json-patch+json", patch.to_string().into_bytes()).await.map(drop)
    }

    /// Deletes an object; false where it was not there.
    pub async fn delete(&self, object: &Json, propagation: &str) -> Result<bool, ClusterError> {
        let path = self.path(object).await?;
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation});
        let gone = self.ask(Method::DELETE, &path, "application/json", body.to_string().into_bytes()).await?;
        Ok(gone.is_some())
    }
}

/// The logs of a pod's containers, those that run before the others first.
///
/// # Errors
/// When there is no such pod, or a log cannot be read.
pub async fn logs(cluster: &Cluster, pod: &str) -> Result<Vec<(String, String)>, ClusterError> {
    let path = format!("/api/v1/namespaces/{}/pods/{pod}", cluster.namespace);
    let missing = || ClusterError::Ask(format!("unable to get pod {pod}: pods {pod:?} not found"));
    let found = cluster.read(&path).await?.ok_or_else(missing)?;
    let mut logs = Vec::new();
    for container in ["/spec/initContainers", "/spec/containers"].iter().filter_map(|at| found.pointer(at)?.as_array()).flatten()
    {
        let name = text(container, "/name");
        let path = format!("{path}/log?container={name}");
        let request = Request::get(&path).body(Vec::new()).map_err(|cause| ClusterError::Build { path: path.clone(), cause })?;
        logs.push((name.to_owned(), cluster.client.request_text(request).await?));
    }
    Ok(logs)
}

/// The managed fields with this manager's updates turned into what it applied; nothing where there are none.
fn adopted(live: &Json) -> Option<Vec<Json>> {
    let all = live.pointer("/metadata/managedFields")?.as_array()?;
    let own = |it: &Json, how: &str| it["manager"] == MANAGER && it["operation"] == how && it.get("subresource").is_none();
    let (updated, mut rest): (Vec<Json>, Vec<Json>) = all.iter().cloned().partition(|it| own(it, "Update"));
    let mut updated = updated.into_iter();
    let mut first = updated.next()?;
    first["operation"] = json!("Apply");
    if let Some(place) = rest.iter().position(|it| own(it, "Apply")) {
        let mut applied = rest.swap_remove(place);
        add_fields(&mut applied["fieldsV1"], &first["fieldsV1"]);
        first = applied;
    }
    updated.for_each(|more| add_fields(&mut first["fieldsV1"], &more["fieldsV1"]));
    rest.push(first);
    Some(rest)
}

fn add_fields(to: &mut Json, from: &Json) {
    let (Some(to), Some(from)) = (to.as_object_mut(), from.as_object()) else { return };
    for (key, below) in from {
        match to.get_mut(key) {
            None => drop(to.insert(key.clone(), below.clone())),
            Some(there) => add_fields(there, below),
        }
    }
}

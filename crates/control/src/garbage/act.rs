//! Verdicts are carried out, each on the object as the API has it right now, so that a stale graph deletes nothing.

use decide::garbage::{ORPHAN, Place, Uid, Verdict};
use http::{Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};

use super::{Collector, Job, Object, lock};
use crate::apply::{self, ApplyError};

impl Collector {
    /// Judges an object and does what the verdict says.
    pub(super) async fn judge(&self, uid: Uid) -> Result<(), ApplyError> {
        let Some(place) = self.graph().place(uid).cloned() else { return Ok(()) };
        let Some(path) = self.path(&place) else { return Ok(()) };
        let Some(meta) = self.read(&path, uid).await? else {
            self.gone([uid]);
            return Ok(());
        };
        let mut gone = Vec::new();
        for owner in meta.owner_references.iter().flatten() {
            if self.is_gone(owner, &place.namespace, uid).await? {
                gone.push(owner.uid.clone());
            }
        }
        let verdict = self.graph().judge(&meta, |owner| gone.contains(&owner.uid));
        match verdict {
            Verdict::Keep => Ok(()),
            Verdict::LookAt(uids) => {
                self.enqueue(uids);
                Ok(())
            }
            Verdict::Release(finalizer) => self.release(&path, &meta, finalizer).await,
            Verdict::Orphan(below) => {
                for (dependent, place) in below {
                    self.disown(dependent, &place, &meta).await?;
                }
                self.release(&path, &meta, ORPHAN).await
            }
            Verdict::KeepOwners(owners) => self.patch(&path, &meta, json!({ "ownerReferences": owners })).await,
            Verdict::Delete { policy, unblock } => {
                if unblock {
                    let free = |owner: &OwnerReference| OwnerReference { block_owner_deletion: Some(false), ..owner.clone() };
                    let owners: Vec<_> = meta.owner_references.iter().flatten().map(free).collect();
                    self.patch(&path, &meta, json!({ "ownerReferences": owners })).await?;
                    self.queue.add(Job::Judge(uid));
                    return self.delete(&path, &meta, policy, false).await;
                }
                self.delete(&path, &meta, policy, true).await
            }
        }
    }

    fn path(&self, place: &Place) -> Option<String> {
        Some(format!("{}/{}", self.kind(place.kind)?.path(&place.namespace), place.name))
    }

    /// The object's metadata; none when it is not there, or another one of its name is.
    async fn read(&self, path: &str, uid: Uid) -> Result<Option<ObjectMeta>, ApplyError> {
        let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let request = Request::get(path).header(header::ACCEPT, accept).body(Vec::new()).map_err(kube::Error::HttpError);
        let found = match request {
            Ok(request) => self.client.request::<Object>(request).await,
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => Ok(Some(found.metadata).filter(|meta| meta.uid.as_deref().map(Uid::parse) == Some(uid))),
            Err(error) if apply::is_not_found(&error) => Ok(None),
            Err(error) => Err(ApplyError::read("an object")(error)),
        }
    }

    /// Whether an owner is not there. One whose kind is unknown may come back with it: then its dependent is judged again.
    async fn is_gone(&self, owner: &OwnerReference, namespace: &str, dependent: Uid) -> Result<bool, ApplyError> {
        let uid = Uid::parse(&owner.uid);
        if self.graph().knows(uid) {
            return Ok(false);
        }
        let mut kind = self.kind_of(&owner.api_version, &owner.kind);
        if kind.is_none() {
            lock(&self.unsettled).insert(dependent);
            // It may have come before this was noted.
            kind = self.kind_of(&owner.api_version, &owner.kind);
        }
        let Some(kind) = kind else { return Ok(false) };
        let namespace = if kind.namespaced { namespace } else { "" };
        if kind.namespaced && namespace.is_empty() {
            return Ok(false);
        }
        Ok(self.read(&format!("{}/{}", kind.path(namespace), owner.name), uid).await?.is_none())
    }

    /// Takes an owner away from an object.
    async fn disown(&self, dependent: Uid, place: &Place, owner: &ObjectMeta) -> Result<(), ApplyError> {
        let Some(path) = self.path(place) else { return Ok(()) };
        let Some(meta) = self.read(&path, dependent).await? else { return Ok(()) };
        let mut owners = meta.owner_references.clone().unwrap_or_default();
        owners.retain(|reference| Some(&reference.uid) != owner.uid.as_ref());
        self.patch(&path, &meta, json!({ "ownerReferences": owners })).await
    }

    async fn release(&self, path: &str, meta: &ObjectMeta, finalizer: &str) -> Result<(), ApplyError> {
        let left: Vec<_> = meta.finalizers.iter().flatten().filter(|name| *name != finalizer).collect();
        self.patch(path, meta, json!({ "finalizers": left })).await
    }

    /// Changes the metadata of exactly this version of an object.
    async fn patch(&self, path: &str, meta: &ObjectMeta, mut fields: Value) -> Result<(), ApplyError> {
        fields["uid"] = json!(meta.uid);
        fields["resourceVersion"] = json!(meta.resource_version);
        let request = Request::patch(path).header(header::CONTENT_TYPE, "application/merge-patch+json");
        self.send(request, &json!({ "metadata": fields })).await
    }

    async fn delete(&self, path: &str, meta: &ObjectMeta, policy: &str, exact: bool) -> Result<(), ApplyError> {
        let mut preconditions = json!({ "uid": meta.uid });
        if exact {
            preconditions["resourceVersion"] = json!(meta.resource_version);
        }
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy, "preconditions": preconditions,
        });
        self.send(Request::delete(path).header(header::CONTENT_TYPE, "application/json"), &options).await
    }

    async fn send(&self, request: http::request::Builder, body: &Value) -> Result<(), ApplyError> {
        let request = request.body(body.to_string().into_bytes()).map_err(kube::Error::HttpError);
        let sent = match request {
            Ok(request) => self.client.request::<Value>(request).await,
            Err(error) => Err(error),
        };
        match sent {
            Err(error) if !apply::is_not_found(&error) => Err(ApplyError::write("an object")(error)),
            _ => Ok(()),
        }
    }
}

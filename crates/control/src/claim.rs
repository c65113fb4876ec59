//! Objects become a controller's own, or cease to be, as `decide::ownership` says. Chooses nothing.

use std::{fmt::Debug, sync::Arc};

use client::{Cache, cache::Cached};
use decide::ownership::{self, Claim};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde_json::json;

use crate::apply::{self, ApplyError};

/// The candidates that are the owner's own once adoptions and releases are done.
///
/// # Errors
/// When one of these fails for another reason than that its object is gone.
pub async fn claim<O, K>(
    client: &kube::Client,
    cache: &Cache<K>,
    owner: &O,
    candidates: Vec<Arc<K>>,
    selected: impl Fn(&K) -> bool,
) -> Result<Vec<Arc<K>>, ApplyError>
where
    O: Cached + Resource<Scope = NamespaceResourceScope> + Debug,
    K: Cached + Resource<Scope = NamespaceResourceScope> + Debug,
{
    let mut own = Vec::with_capacity(candidates.len());
    let mut may_adopt = None;
    for object in candidates {
        match ownership::claim(owner.meta(), object.meta(), selected(&object)) {
            Claim::Own => own.push(object),
            Claim::Ignore => {}
            Claim::Release => {
                let reference = json!([{ "$patch": "delete", "uid": owner.meta().uid }]);
                if let Some(released) = patch(client, object.meta(), reference).await? {
                    cache.caught_up(&released).await?;
                }
            }
            Claim::Adopt => {
                let may = match may_adopt {
                    Some(may) => may,
                    None => *may_adopt.insert(lives(client, owner).await?),
                };
                let reference = owner.controller_owner_ref(&()).map(|reference| json!([reference]));
                if let Some(reference) = reference.filter(|_| may)
                    && let Some(adopted) = patch::<K>(client, object.meta(), reference).await?
                {
                    cache.caught_up(&adopted).await?;
                    own.push(cache.find(&adopted.namespace().unwrap_or_default(), &adopted.name_any()).unwrap_or(object));
                }
            }
        }
    }
    Ok(own)
}

/// Whether the owner is there and not being deleted, as the API says right now: nobody adopts for a dead owner.
async fn lives<O>(client: &kube::Client, owner: &O) -> Result<bool, ApplyError>
where
    O: Cached + Resource<Scope = NamespaceResourceScope> + Debug,
{
    let api: Api<O> = Api::namespaced(client.clone(), &owner.namespace().unwrap_or_default());
    let now = api.get_opt(&owner.name_any()).await.map_err(ApplyError::read("the owner"))?;
    Ok(now.is_some_and(|now| now.meta().uid == owner.meta().uid && now.meta().deletion_timestamp.is_none()))
}

async fn patch<K>(client: &kube::Client, meta: &ObjectMeta, references: serde_json::Value) -> Result<Option<K>, ApplyError>
where
    K: Cached + Resource<Scope = NamespaceResourceScope> + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), meta.namespace.as_deref().unwrap_or_default());
    let patch = json!({ "metadata": { "uid": meta.uid, "ownerReferences": references } });
    let name = meta.name.as_deref().unwrap_or_default();
    match api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        Ok(patched) => Ok(Some(patched)),
        Err(error) if apply::is_not_found(&error) => Ok(None),
        // Another object of that name: its owner will see to it.
        Err(kube::Error::Api(status)) if status.code == 409 || status.code == 422 => Ok(None),
        Err(error) => Err(ApplyError::write("an owner reference")(error)),
    }
}

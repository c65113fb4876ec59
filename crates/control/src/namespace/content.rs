//! The content of a namespace: deleted kind by kind, counted, and watched until it is gone.

use std::collections::BTreeMap;

use client::feed::{self, Event, Form, Revisioned, Source, parse_revision};
use http::{Request, header};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    apply::{self, ApplyError},
    discovery::Resource,
};

const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// What is left of a namespace.
#[derive(Default)]
pub struct Remains {
    /// Resources with objects, and how many.
    pub objects: Vec<(Resource, usize)>,
    /// Finalizers, and on how many objects.
    pub finalizers: BTreeMap<String, usize>,
    /// Why not all was deleted.
    pub error: Option<ApplyError>,
}

impl Remains {
    /// Whether nothing is left and nothing failed.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.error.is_none()
    }
}

#[derive(Clone, Deserialize)]
struct Object {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Object>,
}

impl Revisioned for Object {
    fn revision(&self) -> u64 {
        parse_revision(self.metadata.resource_version.as_deref())
    }
}

/// Deletes all objects of these resources in a namespace, and counts what is left.
pub async fn empty(client: &kube::Client, namespace: &str, resources: &[Resource]) -> Remains {
    let mut remains = Remains::default();
    let each = futures::future::join_all(resources.iter().map(|resource| empty_one(client, namespace, resource))).await;
    for (resource, result) in resources.iter().zip(each) {
        match result {
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                for finalizer in left.iter().flat_map(|object| object.metadata.finalizers.iter().flatten()) {
                    *remains.finalizers.entry(finalizer.clone()).or_default() += 1;
                }
                remains.objects.push((resource.clone(), left.len()));
            }
            Err(error) => remains.error = Some(error),
        }
    }
    remains
}

async fn empty_one(client: &kube::Client, namespace: &str, resource: &Resource) -> Result<Vec<Object>, ApplyError> {
    let path = resource.path(namespace);
    let found = list(client, &path).await?;
    if found.is_empty() {
        return Ok(found);
    }
    if resource.has("deletecollection") {
        send(client, &format!("{path}?propagationPolicy=Background")).await?;
    } else {
        for object in found.iter().filter(|object| object.metadata.deletion_timestamp.is_none()) {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            send(client, &format!("{path}/{name}?propagationPolicy=Background")).await?;
        }
    }
    list(client, &path).await
}

async fn list(client: &kube::Client, path: &str) -> Result<Vec<Object>, ApplyError> {
    let request = Request::get(path).header(header::ACCEPT, METADATA).body(Vec::new()).map_err(kube::Error::HttpError);
    let found = match request {
        Ok(request) => client.request::<List>(request).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(list) => Ok(list.items),
        // The kind is not served any more.
        Err(error) if apply::is_not_found(&error) => Ok(Vec::new()),
        Err(error) => Err(ApplyError::read("what is in a namespace")(error)),
    }
}

async fn send(client: &kube::Client, path: &str) -> Result<(), ApplyError> {
    let request = Request::delete(path).body(Vec::new()).map_err(kube::Error::HttpError);
    let sent = match request {
        Ok(request) => client.request::<Value>(request).await,
        Err(error) => Err(error),
    };
    match sent {
        Err(error) if !apply::is_not_found(&error) => Err(ApplyError::write("what is in a namespace")(error)),
        _ => Ok(()),
    }
}

/// Waits until a resource has no object in a namespace.
pub async fn gone(client: &kube::Client, namespace: &str, resource: &Resource) {
    let source = Source {
        client: client.clone(),
        path: resource.path(namespace),
        labels: String::new(),
        fields: String::new(),
        form: Form::Metadata,
    };
    let (sender, mut count) = watch::channel(usize::MAX);
    let mut there = std::collections::HashSet::new();
    let take = move |event: Event<Object>| {
        match event {
            Event::Replaced(objects, _) => there = objects.into_iter().filter_map(|object| object.metadata.uid).collect(),
            Event::Applied(object, _) => there.extend(object.metadata.uid),
            Event::Deleted(object, _) => {
                object.metadata.uid.map(|uid| there.remove(&uid));
            }
            Event::Reached(_) => return,
        }
        sender.send_replace(there.len());
    };
    tokio::select! {
        () = feed::follow(source, |_: &mut Object| {}, take) => {}
        _ = count.wait_for(|count| *count == 0) => {}
    }
}

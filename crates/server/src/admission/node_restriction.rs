//! What a node may write: its own Node without stealing workloads by labels and taints, the status of its own pods, tokens for its own
//! pods, its own Lease. The node authorizer decides by names alone; here the objects are seen.

mod pod_certificate;

use super::{Ground, Operation, Review, service_account::secret_names};
use crate::authz::node::VOLUME_NODE;
use api::document::{Map, Value, meta};
use api::status::Status;
use std::collections::BTreeSet;

const MIRROR: &str = "kubernetes.io/config.mirror";
const RESTRICTED: &str = "node-restriction.kubernetes.io";
/// Labels of kubernetes.io that a node may set on itself.
const OWN_LABELS: [&str; 13] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "node.kubernetes.io/windows-build",
    "node.kubernetes.io/exclude-from-external-load-balancers",
];
/// Domains whose labels a node may set on itself.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let Some(node) = review.identity.node_name() else { return Ok(()) };
    match (review.group, review.resource, review.subresource) {
        ("", "pods", "") => pod(review, ground, node),
        ("", "pods", "status") => pod_status(review, node),
        ("", "pods", "eviction") => eviction(review, ground, node),
        ("", "pods", other) => {
            Err(review.forbidden(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed")))
        }
        ("", "nodes", _) => own_node(review, node),
        ("", "persistentvolumes", _) => volume(review, node),
        ("", "persistentvolumeclaims", "status") => claim_status(review, node),
        ("", "persistentvolumeclaims", _) => Err(review.forbidden("may only update PVC status")),
        ("", "serviceaccounts", "token") => token(review, ground, node),
        ("coordination.k8s.io", "leases", _) => lease(review, node),
        ("storage.k8s.io", "csinodes", _) => csi_node(review, node),
        ("certificates.k8s.io", "certificatesigningrequests", "") => certificate(review, node),
        ("certificates.k8s.io", "podcertificaterequests", _) => pod_certificate::validate(review, ground, node),
        _ => Ok(()),
    }
}

fn runs_on(pod: &Value, node: &str) -> bool {
    pod.str_at(&["spec", "nodeName"]) == Some(node)
}

fn pod(review: &Review<'_>, ground: &Ground<'_>, node: &str) -> Result<(), Status> {
    match review.operation {
        Operation::Create => mirror_pod(review, ground, node),
        Operation::Delete => {
            let stored = ground.objects.object("", "pods", review.namespace, review.name);
            let Some(stored) = stored else { return Err(Status::not_found("", "pods", review.name)) };
            if runs_on(&stored, node) {
                return Ok(());
            }
            Err(review.forbidden(format!("node {node:?} can only delete pods with spec.nodeName set to itself")))
        }
        other => Err(review.forbidden(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            other.as_str()
        ))),
    }
}

fn mirror_pod(review: &Review<'_>, ground: &Ground<'_>, node: &str) -> Result<(), Status> {
    let pod = &*review.object;
    let refuse = |why: String| Err(review.forbidden(why));
    if meta::annotation(pod, MIRROR).is_none() {
        return refuse(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    if !runs_on(pod, node) {
        return refuse(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let owners = pod.array_at(&["metadata", "ownerReferences"]);
    let [owner] = owners else {
        let what = if owners.is_empty() { "an owner reference" } else { "a single owner reference" };
        return refuse(format!("node {node:?} can only create pods with {what} set to itself"));
    };
    let is = |field, value| owner.str_at(&[field]) == Some(value);
    if !is("apiVersion", "v1") || !is("kind", "Node") || !is("name", node) {
        return refuse(format!("node {node:?} can only create pods with an owner reference set to itself"));
    }
    if owner.bool_at(&["controller"]) != Some(true) {
        return refuse(format!("node {node:?} can only create pods with a controller owner reference set to itself"));
    }
    if owner.bool_at(&["blockOwnerDeletion"]) == Some(true) {
        return refuse(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let Some(stored) = ground.objects.object("", "nodes", "", node) else {
        return Err(Status::not_found("", "nodes", node));
    };
    let (own, given) = (meta::uid(&stored), owner.str_at(&["uid"]).unwrap_or_default());
    if own != given {
        return refuse(format!("node {node} UID mismatch: expected {given} got {own}"));
    }
    let needs = crate::authz::node::pod_needs(pod, "", "");
    if !needs.is_empty() || !secret_names(pod).is_empty() {
        return refuse(format!("node {node:?} can not create pods that reference other objects"));
    }
    Ok(())
}

fn pod_status(review: &Review<'_>, node: &str) -> Result<(), Status> {
    let Some(old) = review.old.filter(|_| review.operation == Operation::Update) else {
        return Err(review.forbidden(format!("unexpected operation {:?}", review.operation.as_str())));
    };
    if !runs_on(old, node) {
        let why = format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself");
        return Err(review.forbidden(why));
    }
    if !changed(meta::labels(old), meta::labels(review.object)).is_empty() {
        return Err(review.forbidden(format!("node {node:?} cannot update labels through pod status")));
    }
    let claims = ["status", "resourceClaimStatuses"];
    if old.get(&claims) != review.object.get(&claims) {
        return Err(review.forbidden(format!("node {node:?} cannot update resource claim statues")));
    }
    Ok(())
}

fn eviction(review: &Review<'_>, ground: &Ground<'_>, node: &str) -> Result<(), Status> {
    let name = if review.name.is_empty() { meta::name(review.object) } else { review.name };
    let Some(pod) = ground.objects.object("", "pods", review.namespace, name) else {
        return Err(Status::not_found("", "pods", name));
    };
    if runs_on(&pod, node) {
        return Ok(());
    }
    Err(review.forbidden(format!("node {node} can only evict pods with spec.nodeName set to itself")))
}

fn claim_status(review: &Review<'_>, node: &str) -> Result<(), Status> {
    let Some(old) = review.old.filter(|_| review.operation == Operation::Update) else {
        return Err(review.forbidden(format!("unexpected operation {:?}", review.operation.as_str())));
    };
    let bare = |claim: &Value| {
        let mut claim = claim.clone();
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            claim.remove_at(&["status", field]);
        }
        claim.remove_at(&["metadata", "resourceVersion"]);
        claim.remove_at(&["metadata", "managedFields"]);
        claim
    };
    if bare(old) == bare(review.object) {
        return Ok(());
    }
    Err(review
        .forbidden(format!("node {node:?} is not allowed to update fields other than status.quantity and status.conditions")))
}

/// A node takes the finalizer of a volume away whose folder it removed, and changes nothing else.
fn volume(review: &Review<'_>, node: &str) -> Result<(), Status> {
    let Some(old) = review.old.filter(|_| review.operation == Operation::Update && review.subresource.is_empty()) else {
        return Err(review.forbidden(format!("unexpected operation {:?}", review.operation.as_str())));
    };
    if meta::annotation(old, VOLUME_NODE) != Some(node) {
        return Err(review.forbidden(format!("node {node:?} can only update volumes whose folder it has")));
    }
    let bare = |volume: &Value| {
        let mut volume = volume.clone();
        for field in ["finalizers", "resourceVersion", "managedFields"] {
            volume.remove_at(&["metadata", field]);
        }
        volume
    };
    let added = meta::finalizers(review.object).any(|finalizer| !meta::has_finalizer(old, finalizer));
    if bare(old) == bare(review.object) && !added {
        return Ok(());
    }
    Err(review.forbidden(format!("node {node:?} can only remove finalizers of volumes")))
}

fn own_node(review: &Review<'_>, node: &str) -> Result<(), Status> {
    let requested = if review.name.is_empty() { meta::name(review.object) } else { review.name };
    if requested != node {
        return Err(review.forbidden(format!("node {node:?} is not allowed to modify node {requested:?}")));
    }
    match (review.operation, review.old) {
        (Operation::Create, _) => {
            let outside = forbidden_labels(changed(meta::labels(review.object), None));
            if outside.is_empty() {
                return Ok(());
            }
            let why = format!("node {node:?} is not allowed to set the following labels: {}", outside.join(", "));
            Err(review.forbidden(why))
        }
        (Operation::Update, Some(old)) => {
            if old.array_at(&["spec", "taints"]) != review.object.array_at(&["spec", "taints"]) {
                return Err(review.forbidden(format!("node {node:?} is not allowed to modify taints")));
            }
            let owners = ["metadata", "ownerReferences"];
            if old.array_at(&owners) != review.object.array_at(&owners) {
                return Err(review.forbidden(format!("node {node:?} is not allowed to modify ownerReferences")));
            }
            let outside = forbidden_labels(changed(meta::labels(review.object), meta::labels(old)));
            if outside.is_empty() {
                return Ok(());
            }
            Err(review.forbidden(format!("is not allowed to modify labels: {}", outside.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Keys whose values differ.
fn changed(new: Option<&Map>, old: Option<&Map>) -> BTreeSet<String> {
    let pairs = |map: Option<&Map>| -> BTreeSet<(String, String)> {
        let all = map.into_iter().flat_map(|m| m.iter());
        all.map(|(k, v)| (k.to_string(), v.as_str().unwrap_or_default().to_owned())).collect()
    };
    pairs(new).symmetric_difference(&pairs(old)).map(|(key, _)| key.clone()).collect()
}

fn forbidden_labels(changed: BTreeSet<String>) -> Vec<String> {
    let within = |namespace: &str, domain: &str| namespace == domain || namespace.ends_with(&format!(".{domain}"));
    let outside = |label: &String| {
        let namespace = label.split_once('/').map_or("", |(namespace, _)| namespace);
        if within(namespace, RESTRICTED) {
            return true;
        }
        let own = OWN_LABELS.contains(&label.as_str()) || OWN_DOMAINS.iter().any(|d| within(namespace, d));
        (within(namespace, "kubernetes.io") || within(namespace, "k8s.io")) && !own
    };
    changed.into_iter().filter(outside).collect()
}

fn token(review: &Review<'_>, ground: &Ground<'_>, node: &str) -> Result<(), Status> {
    let bound = |field| review.object.str_at(&["spec", "boundObjectRef", field]).unwrap_or_default();
    if bound("apiVersion") != "v1" || bound("kind") != "Pod" || bound("name").is_empty() {
        return Err(review.forbidden("node requested token not bound to a pod"));
    }
    let uid = bound("uid");
    if uid.is_empty() {
        return Err(review.forbidden("node requested token with a pod binding without a uid"));
    }
    let Some(pod) = ground.objects.object("", "pods", review.namespace, bound("name")) else {
        return Err(Status::not_found("", "pods", bound("name")));
    };
    if meta::uid(&pod) != uid {
        return Err(review.forbidden(format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        )));
    }
    if !runs_on(&pod, node) {
        return Err(review.forbidden("node requested token bound to a pod scheduled on a different node"));
    }
    let audiences: Vec<&str> = review.object.array_at(&["spec", "audiences"]).iter().filter_map(Value::as_str).collect();
    match audiences[..] {
        [] => Ok(()),
        [one] if mounts_audience(&pod, one) => Ok(()),
        [one] => Err(review.forbidden(format!("audience {one:?} not found in pod spec volume"))),
        _ => Err(review.forbidden("node may only request 0 or 1 audiences")),
    }
}

fn mounts_audience(pod: &Value, audience: &str) -> bool {
    let volumes = pod.array_at(&["spec", "volumes"]).iter();
    volumes.flat_map(|v| v.array_at(&["projected", "sources"])).any(|source| {
        let Some(token) = source.get(&["serviceAccountToken"]) else { return false };
        let named = token.str_at(&["audience"]).unwrap_or_default();
        named == audience || named.is_empty() && audience == crate::authn::service_account::ISSUER
    })
}

fn lease(review: &Review<'_>, node: &str) -> Result<(), Status> {
    let name = if review.name.is_empty() { meta::name(review.object) } else { review.name };
    if review.namespace != "kube-node-lease" {
        return Err(review.forbidden("can only access leases in the \"kube-node-lease\" system namespace"));
    }
    if name != node {
        return Err(review.forbidden("can only access node lease with the same name as the requesting node"));
    }
    Ok(())
}

fn csi_node(review: &Review<'_>, node: &str) -> Result<(), Status> {
    let name = if review.name.is_empty() { meta::name(review.object) } else { review.name };
    if name == node {
        return Ok(());
    }
    Err(review.forbidden("can only access CSINode with the same name as the requesting node"))
}

/// A node asks for certificates in its own name alone.
fn certificate(review: &Review<'_>, _: &str) -> Result<(), Status> {
    use crate::signing;
    let signer = review.object.str_at(&["spec", "signerName"]).unwrap_or_default();
    if review.operation != Operation::Create || ![signing::NODE_CLIENT, signing::NODE_SERVING].contains(&signer) {
        return Ok(());
    }
    let request = signing::Request::read(review.object).map_err(|e| review.forbidden(format!("unable to parse csr: {e}")))?;
    if request.name == review.identity.name {
        return Ok(());
    }
    Err(review.forbidden("can only create a node CSR with CN set to the node's own username"))
}

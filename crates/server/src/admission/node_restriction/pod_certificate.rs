//! A node asks for certificates of pods that run on it, for signers whose certificates those pods mount.

use super::{Ground, MIRROR, Operation, Review, runs_on};
use crate::authz::{Attributes, ResourceTarget, Target};
use api::document::{Value, meta};
use api::status::Status;

const GROUP: &str = "certificates.k8s.io";
/// The verb by which a node may also be allowed to ask for signers that no volume names.
const ASK: &str = "request-serviceaccounts-podcertificate-signer";

pub(super) fn validate(review: &Review<'_>, ground: &Ground<'_>, node: &str) -> Result<(), Status> {
    if review.operation != Operation::Create {
        return Err(review.forbidden(format!("unexpected operation {}", review.operation.as_str())));
    }
    if !review.subresource.is_empty() {
        return Err(review.forbidden(format!("unexpected subresource {}", review.subresource)));
    }
    let given = |field: &str| review.object.str_at(&["spec", field]).unwrap_or_default();
    if given("nodeName") != node {
        let named = given("nodeName");
        let why = format!("PodCertificateRequest.Spec.NodeName={named:?}, which is not the requesting node {node:?}");
        return Err(review.forbidden(why));
    }
    let pod_name = format!("{}/{}", review.namespace, given("podName"));
    let find = |resource: &str, namespace: &str, name: &str| {
        let found = ground.objects.object("", resource, namespace, name);
        found.ok_or_else(|| Status::not_found("", resource, name))
    };
    // A wrong uid may be one that is not seen yet: no refusal for good, so that the node tries again.
    let differs = |what: &str, given: &str, running: &str| {
        Status::internal(format!(
            "PodCertificateRequest for pod {pod_name:?} names {what} UID {given:?}, which differs from {running:?}"
        ))
    };
    let own = find("nodes", "", node)?;
    if meta::uid(&own) != given("nodeUID") {
        return Err(differs("node", given("nodeUID"), meta::uid(&own)));
    }
    let pod = find("pods", review.namespace, given("podName"))?;
    if meta::uid(&pod) != given("podUID") {
        return Err(differs("pod", given("podUID"), meta::uid(&pod)));
    }
    if !runs_on(&pod, node) {
        return Err(
            review.forbidden(format!("pod {pod_name:?} is not running on node {node:?} named in the PodCertificateRequest"))
        );
    }
    if meta::annotation(&pod, MIRROR).is_some() {
        return Err(review.forbidden(format!("pod {pod_name:?} is a mirror pod")));
    }
    let account = pod.str_at(&["spec", "serviceAccountName"]).unwrap_or_default();
    if account != given("serviceAccountName") {
        let named = given("serviceAccountName");
        let why = format!(
            "PodCertificateRequest for pod {pod_name:?} contains serviceAccountName ({named:?}) that differs from running pod ({account:?})"
        );
        return Err(review.forbidden(why));
    }
    let account = find("serviceaccounts", review.namespace, account)?;
    if meta::uid(&account) != given("serviceAccountUID") {
        return Err(differs("service account", given("serviceAccountUID"), meta::uid(&account)));
    }
    let signer = given("signerName");
    if mounts(&pod, signer) || may_ask(review, ground, signer) {
        return Ok(());
    }
    Err(review.forbidden(format!("pod {pod_name:?} does not mount a podCertificate projected volume for signer {signer:?}")))
}

fn mounts(pod: &Value, signer: &str) -> bool {
    let volumes = pod.array_at(&["spec", "volumes"]).iter();
    let mut sources = volumes.flat_map(|volume| volume.array_at(&["projected", "sources"]));
    sources.any(|source| source.str_at(&["podCertificate", "signerName"]) == Some(signer))
}

fn may_ask(review: &Review<'_>, ground: &Ground<'_>, signer: &str) -> bool {
    let resource = signer.replace('/', ":");
    let target = ResourceTarget {
        group: GROUP,
        version: review.version,
        resource: &resource,
        namespace: review.namespace,
        name: review.object.str_at(&["spec", "serviceAccountName"]).unwrap_or_default(),
        ..<_>::default()
    };
    let attributes = Attributes { identity: review.identity, verb: ASK, target: Target::Resource(target) };
    ground.security.indexes.authorize(&attributes).allowed()
}

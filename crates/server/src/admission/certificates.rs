//! Who may approve and sign certificate requests of which signer, and what nobody may ask for.

use super::{Ground, Operation, Review};
use crate::authz::{Attributes, ResourceTarget, Target};
use crate::signing;
use api::document::Value;
use api::identity::MASTERS;
use api::status::Status;

fn is_request(review: &Review<'_>) -> bool {
    review.group == signing::GROUP && review.resource == signing::RESOURCE
}

fn signer(request: &Value) -> &str {
    request.str_at(&["spec", "signerName"]).unwrap_or_default()
}

/// `signers` are a virtual resource: `domain/name`, or `domain/*` for all of a domain.
fn may(review: &Review<'_>, ground: &Ground<'_>, verb: &str, signer: &str) -> bool {
    let ask = |name: &str| {
        let target = ResourceTarget { group: signing::GROUP, version: "*", resource: "signers", name, ..<_>::default() };
        let attributes = Attributes { identity: review.identity, verb, target: Target::Resource(target) };
        ground.security.indexes.authorize(&attributes).allowed()
    };
    ask(signer) || signer.split_once('/').is_some_and(|(domain, _)| ask(&format!("{domain}/*")))
}

pub(super) fn approval(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !is_request(review) || review.subresource != "approval" || review.operation != Operation::Update {
        return Ok(());
    }
    // The stored signer counts: the update might try to change it.
    let signer = review.old.map(signer).unwrap_or_default().to_owned();
    if may(review, ground, "approve", &signer) {
        return Ok(());
    }
    Err(review.forbidden(format!("user not permitted to approve requests with signerName {signer:?}")))
}

pub(super) fn signing(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !is_request(review) || review.subresource != "status" || review.operation != Operation::Update {
        return Ok(());
    }
    let Some(old) = review.old else { return Ok(()) };
    let same = |field| old.get(&["status", field]) == review.object.get(&["status", field]);
    let signer = signer(old).to_owned();
    if same("certificate") && same("conditions") || may(review, ground, "sign", &signer) {
        return Ok(());
    }
    Err(review.forbidden(format!("user not permitted to sign requests with signerName {signer:?}")))
}

pub(super) fn subject(review: &mut Review<'_>, _: &Ground<'_>) -> Result<(), Status> {
    let creates = review.operation == Operation::Create && review.subresource.is_empty();
    if !is_request(review) || !creates || signer(review.object) != signing::CLIENT {
        return Ok(());
    }
    let request = signing::Request::read(review.object).map_err(|e| review.forbidden(format!("failed to parse CSR: {e}")))?;
    if request.organizations.iter().any(|o| o == MASTERS) {
        let why = format!("use of {} signer with {MASTERS} group is not allowed", signing::CLIENT);
        return Err(review.forbidden(why));
    }
    Ok(())
}

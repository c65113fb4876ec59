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
pub(super) fn may(review: &Review<'_>, ground: &Ground<'_>, verb: &str, signer: &str) -> bool {
    let ask = |name: &str| {
        let target = ResourceTarget { group: signing::GROUP, version: "*", resource: "signers", name, ..<_>::default() };
        let attributes = Attributes { identity: review.identity, verb, target: Target::Resource(target) };
        ground.security.indexes.authorize(&attributes).allowed()
    };
    ask(signer) || signer.split_once('/').is_some_and(|(domain, _)| ask(&format!("{domain}/*")))
}

/// Facts of a certificate request that are never the client's to say: who made it, and who decided on it where.
pub(super) fn guard(review: &mut Review<'_>, _: &Ground<'_>) -> Result<(), Status> {
    if !is_request(review) {
        return Ok(());
    }
    match (review.operation, review.subresource, review.old) {
        (Operation::Create, "", _) => {
            review.object.remove_at(&["status"]);
            set_requester(review);
        }
        (Operation::Update, "", Some(old)) => {
            for field in REQUESTER {
                match old.get(&["spec", field]) {
                    Some(value) => review.object.set_at(&["spec", field], value.clone()),
                    None => drop(review.object.remove_at(&["spec", field])),
                }
            }
        }
        (Operation::Update, "status", Some(old)) => keep_verdicts(review.object, old),
        _ => {}
    }
    Ok(())
}

const REQUESTER: [&str; 4] = ["username", "uid", "groups", "extra"];

fn set_requester(review: &mut Review<'_>) {
    let identity = review.identity;
    for field in REQUESTER {
        review.object.remove_at(&["spec", field]);
    }
    review.object.set_at(&["spec", "username"], identity.name.as_str());
    review.object.set_at(&["spec", "groups"], identity.groups.clone());
    if !identity.uid.is_empty() {
        review.object.set_at(&["spec", "uid"], identity.uid.as_str());
    }
    for (key, values) in &identity.extra {
        review.object.set_at(&["spec", "extra", key], values.clone());
    }
}

/// Signers write the certificate; whether it may be made is decided at `approval` alone.
fn keep_verdicts(object: &mut Value, old: &Value) {
    let verdict = |c: &Value| matches!(c.str_at(&["type"]), Some("Approved" | "Denied"));
    let path = ["status", "conditions"];
    let mut conditions: Vec<Value> = old.array_at(&path).iter().filter(|c| verdict(c)).cloned().collect();
    conditions.extend(object.array_at(&path).iter().filter(|c| !verdict(c)).cloned());
    if !conditions.is_empty() || !object.array_at(&path).is_empty() {
        object.set_at(&path, conditions);
    }
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

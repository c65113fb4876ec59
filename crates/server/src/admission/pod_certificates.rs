//! Trust bundles and pod certificates, where what is asked is inside of X.509: anchors are authorities, requests are signed by their key, and an
//! issued certificate fits its request. Who may attest and sign for a signer is asked here, too.

mod issued;

use super::{Ground, Operation, Review, certificates::may};
use crate::signing;
use api::document::Value;
use api::status::{FieldError, Status};
use aws_lc_rs::signature;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

const BUNDLE_MAX: usize = 1024 * 1024;
const STUB: &str = "spec.stubPKCS10Request";
/// `ecdsa-with-SHA512`, which the library does not verify.
const ECDSA_SHA512: &str = "1.2.840.10045.4.3.4";

fn is(review: &Review<'_>, resource: &str) -> bool {
    review.group == signing::GROUP && review.resource == resource
}

fn invalid(review: &Review<'_>, kind: &str, errors: &[FieldError]) -> Result<(), Status> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(review.group, kind, review.name, errors)) }
}

pub(super) fn bundle(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !is(review, "clustertrustbundles") || !matches!(review.operation, Operation::Create | Operation::Update) {
        return Ok(());
    }
    let text = |object: &Value| object.str_at(&["spec", "trustBundle"]).unwrap_or_default().to_owned();
    // What does not change is not read again: it may have been taken by other rules.
    if review.old.is_none_or(|old| text(old) != text(review.object)) {
        invalid(review, "ClusterTrustBundle", &anchors(&text(review.object)))?;
    }
    let signer = review.object.str_at(&["spec", "signerName"]).unwrap_or_default().to_owned();
    if signer.is_empty() || may(review, ground, "attest", &signer) {
        return Ok(());
    }
    Err(review.forbidden(format!("user not permitted to attest for signerName {signer:?}")))
}

/// What is wrong with a bundle: each entry is the certificate of an authority, and none stands twice.
fn anchors(text: &str) -> Vec<FieldError> {
    let field = "spec.trustBundle";
    if text.len() > BUNDLE_MAX {
        return vec![FieldError::too_long(field, BUNDLE_MAX)];
    }
    let told = |detail: String| FieldError::invalid(field, "<value omitted>", detail);
    let (mut errors, mut seen) = (Vec::new(), Vec::<(Vec<u8>, Vec<usize>)>::new());
    for (at, entry) in Pem::iter_from_buffer(text.as_bytes()).enumerate() {
        let problem = match &entry {
            Ok(pem) if pem.label != "CERTIFICATE" => Some(format!("has bad block type: {}", pem.label)),
            Ok(pem) => match pem.parse_x509() {
                Ok(certificate) if certificate.is_ca() => None,
                Ok(_) => Some("does not have the CA bit set".to_owned()),
                Err(_) => Some("does not parse as X.509".to_owned()),
            },
            Err(_) => Some("does not parse as X.509".to_owned()),
        };
        match (problem, entry) {
            (Some(problem), _) => errors.push(told(format!("entry {at} {problem}"))),
            (None, Ok(pem)) => match seen.iter_mut().find(|(contents, _)| *contents == pem.contents) {
                Some((_, places)) => places.push(at),
                None => seen.push((pem.contents, vec![at])),
            },
            (None, Err(_)) => {}
        }
    }
    if errors.is_empty() && seen.is_empty() {
        errors.push(told("at least one trust anchor must be provided".to_owned()));
    }
    if errors.is_empty() {
        for (_, places) in seen.iter().filter(|(_, places)| places.len() > 1) {
            let list: Vec<String> = places.iter().map(usize::to_string).collect();
            errors.push(told(format!("duplicate trust anchor (indices [{}])", list.join(" "))));
        }
    }
    errors
}

pub(super) fn request(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if !is(review, "podcertificaterequests") {
        return Ok(());
    }
    match (review.operation, review.subresource, review.old) {
        (Operation::Create, ..) => {
            let problem = stub_key(review.object).err();
            let errors: Vec<FieldError> =
                problem.map(|detail| FieldError::invalid(STUB, Value::Null, detail)).into_iter().collect();
            invalid(review, "PodCertificateRequest", &errors)
        }
        (Operation::Update, "status", Some(old)) if old.get(&["status"]) != review.object.get(&["status"]) => {
            let now = jiff::Timestamp::try_from(ground.security.now()).unwrap_or_default();
            invalid(review, "PodCertificateRequest", &issued::problems(review.object, old, now))?;
            let signer = old.str_at(&["spec", "signerName"]).unwrap_or_default().to_owned();
            if may(review, ground, "sign", &signer) {
                return Ok(());
            }
            let who = &review.identity.name;
            let text = format!("User {who:?} is not permitted to \"sign\" for signer {signer:?}");
            invalid(review, "PodCertificateRequest", &[FieldError::forbidden("spec.signerName", text)])
        }
        _ => Ok(()),
    }
}

/// The public key of a request, in DER, if the request is well-formed, of a key that may be used, and signed by that key.
fn stub_key(request: &Value) -> Result<Vec<u8>, String> {
    let stub = request.str_at(&["spec", "stubPKCS10Request"]).and_then(|text| STANDARD.decode(text).ok());
    let stub = stub
        .filter(|stub| !stub.is_empty())
        .ok_or("exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set")?;
    let (_, parsed) = X509CertificationRequest::from_der(&stub).map_err(|_| "must be a valid PKCS#10 CSR")?;
    let key = &parsed.certification_request_info.subject_pki;
    check_key(key)?;
    if !is_signed(&parsed) {
        return Err("invalid signature".into());
    }
    Ok(key.raw.to_vec())
}

fn check_key(key: &SubjectPublicKeyInfo<'_>) -> Result<(), String> {
    const ED25519: &str = "1.3.101.112";
    match key.parsed() {
        _ if key.algorithm.algorithm.to_id_string() == ED25519 => Ok(()),
        Ok(PublicKey::EC(point)) if matches!(point.key_size(), 256 | 384 | 521 | 528) => Ok(()),
        Ok(PublicKey::EC(_)) => Err("elliptic public keys must use curve P256, P384, or P521".into()),
        Ok(PublicKey::RSA(rsa)) if matches!(rsa.key_size(), 3072 | 4096) => Ok(()),
        Ok(PublicKey::RSA(_)) => Err("RSA keys must have modulus size 3072 or 4096".into()),
        _ => Err("unknown public key type; supported types are Ed25519, ECDSA, and RSA".into()),
    }
}

fn is_signed(request: &X509CertificationRequest<'_>) -> bool {
    if request.signature_algorithm.algorithm.to_id_string() != ECDSA_SHA512 {
        return request.verify_signature().is_ok();
    }
    let info = &request.certification_request_info;
    let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P521_SHA512_ASN1, &info.subject_pki.subject_public_key.data);
    key.verify(info.raw, &request.signature_value.data).is_ok()
}

#[cfg(test)]
mod tests;

use super::*;
use crate::testing::json;
use api::value;
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::time::{Duration, SystemTime};

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

fn details(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("{}\n", error.detail)).collect()
}

#[test]
fn a_bundle_is_of_authorities_each_once() {
    let (one, _) = authority("one");
    let (two, _) = authority("two");
    let leaf = rcgen::generate_simple_self_signed(["leaf".to_owned()]).unwrap().cert.pem();
    assert_eq!(details(&anchors(&format!("{one}{two}"))), "");
    assert_eq!(details(&anchors("")), "at least one trust anchor must be provided\n");
    assert_eq!(details(&anchors(&format!("{one}{two}{one}"))), "duplicate trust anchor (indices [0 2])\n");
    assert_eq!(details(&anchors(&format!("{one}{leaf}"))), "entry 1 does not have the CA bit set\n");
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert_eq!(details(&anchors(&key)), "entry 0 has bad block type: PRIVATE KEY\n");
    assert_eq!(anchors(&"x".repeat(BUNDLE_MAX + 1)).len(), 1);
}

fn request_of(key: &KeyPair) -> Value {
    let stub = CertificateParams::default().serialize_request(key).unwrap();
    let mut request = value!({"metadata": {"name": "r"}, "spec": {"maxExpirationSeconds": 7200}});
    request.set_at(&["spec", "stubPKCS10Request"], STANDARD.encode(stub.der()));
    request
}

#[test]
fn a_request_is_signed_by_a_key_that_may_be_used() {
    for algorithm in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ECDSA_P521_SHA512, &rcgen::PKCS_ED25519]
    {
        assert!(stub_key(&request_of(&KeyPair::generate_for(algorithm).unwrap())).is_ok(), "{algorithm:?}");
    }
    let weak = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    assert_eq!(stub_key(&request_of(&weak)).unwrap_err(), "RSA keys must have modulus size 3072 or 4096");
    let mut forged = request_of(&KeyPair::generate().unwrap());
    let mut bytes = STANDARD.decode(forged.str_at(&["spec", "stubPKCS10Request"]).unwrap()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    forged.set_at(&["spec", "stubPKCS10Request"], STANDARD.encode(bytes));
    assert_eq!(stub_key(&forged).unwrap_err(), "invalid signature");
    assert!(stub_key(&json(r#"{"spec":{}}"#)).is_err());
}

/// The request as a signer answers it, with a certificate of so many seconds.
fn answered(request: &Value, key: &KeyPair, seconds: u64, now: Timestamp) -> Value {
    let (anchor, issuer) = authority("ca");
    let begins = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now.as_second()).unwrap());
    let mut params = CertificateParams::new(["pod.example".to_owned()]).unwrap();
    params.not_before = begins.into();
    params.not_after = (begins + Duration::from_secs(seconds)).into();
    let leaf = params.signed_by(key, &issuer).unwrap().pem();
    let at = |seconds: i64| now.checked_add(SignedDuration::from_secs(seconds)).unwrap().to_string();
    let seconds = i64::try_from(seconds).unwrap();
    let mut answered = request.clone();
    answered.set_at(&["status"], value!({"conditions": [{"type": "Issued", "status": "True"}]}));
    for (field, text) in [
        ("certificateChain", format!("{leaf}{anchor}")),
        ("notBefore", at(0)),
        ("notAfter", at(seconds)),
        ("beginRefreshAt", at(seconds / 2)),
    ] {
        answered.set_at(&["status", field], text);
    }
    answered
}

#[test]
fn what_was_issued_is_what_was_asked_for() {
    let key = KeyPair::generate().unwrap();
    let (request, now) = (request_of(&key), Timestamp::from_second(1_800_000_000).unwrap());
    let problems = |new: &Value| details(&issued::problems(new, &request, now));
    let good = answered(&request, &key, 3600, now);
    assert_eq!(problems(&good), "");
    let other = answered(&request, &KeyPair::generate().unwrap(), 3600, now);
    assert_eq!(problems(&other), "leaf certificate was not issued to the requested public key\n");
    assert_eq!(problems(&answered(&request, &key, 600, now)), "leaf certificate lifetime must be >= 1 hour\n");
    let long = answered(&request, &key, 7201, now);
    assert_eq!(problems(&long), "leaf certificate lifetime must be <= spec.maxExpirationSeconds (7200)\n");
    let late = now.checked_add(SignedDuration::from_mins(6)).unwrap();
    let text = details(&issued::problems(&good, &request, late));
    assert_eq!(text, "must be set to within 5 minutes of kube-apiserver's current time\n");
    let with = |field: &str, value: Value| {
        let mut changed = good.clone();
        changed.set_at(&["status", field], value);
        problems(&changed)
    };
    assert_eq!(with("beginRefreshAt", now.to_string().into()), "must be at least 10 minutes after status.notBefore\n");
    assert!(with("notAfter", Value::Null).starts_with("must be present"));
    assert!(with("certificateChain", "".into()).contains("at least one certificate"));
}

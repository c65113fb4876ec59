//! Keys and certificates beside Helm's: alike but for what is random, signed so that they verify, and read by the other side.
#![expect(clippy::disallowed_methods, reason = "the clock is the one that Helm looks at")]

mod oracle;

#[path = "functions/seed.rs"]
#[expect(dead_code, reason = "only numbers are drawn here")]
mod seed;
#[path = "functions/world.rs"]
mod world;

use serde_json::{Value as Json, json};
use x509_parser::prelude::{FromDer, X509Certificate};

const KEYS: [&str; 4] = [".Values.ecKey", ".Values.ecKey8", ".Values.rsaKey", ".Values.edKey"];

fn ours(text: &str, values: &Json) -> String {
    world::render(text, values, "UTC")
}

fn theirs(text: &str, values: &Json) -> String {
    let answer = oracle::ask(&[oracle::template(text, values)]).pop().expect("an answer");
    answer.map_or_else(|error| format!("error: {error}"), |files| files.into_values().collect())
}

fn der(pem: &str) -> Vec<u8> {
    let (_, block) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap_or_else(|error| panic!("{error}: {pem}"));
    block.contents
}

/// All of a certificate that is not random: who, whose key, what it may, how it is signed, and for how long.
fn kept(bytes: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(bytes).expect("a certificate");
    let validity = certificate.validity();
    format!(
        "{:?} {:?} {:?} {:?} {:02x?} {:?} {}",
        certificate.version(),
        certificate.signature_algorithm,
        certificate.issuer().as_raw(),
        certificate.subject().as_raw(),
        certificate.public_key().raw,
        certificate
            .extensions()
            .iter()
            .map(|extension| (extension.oid.clone(), extension.critical, extension.value.to_vec()))
            .collect::<Vec<_>>(),
        validity.not_after.timestamp() - validity.not_before.timestamp(),
    )
}

#[test]
fn certificates_say_what_those_of_helm_say() {
    let values = world::values();
    let mut calls = Vec::new();
    for key in KEYS {
        for name in ["\"example.com\"", "\"\"", "\"Ünï*\""] {
            calls.push(format!("genCAWithKey {name} 365 {key}"));
            calls.push(format!(
                "genSelfSignedCertWithKey {name} (list \"10.0.0.1\" \"::1\" \"::ffff:1.2.3.4\") (list \"a.b\" \"*.c\") 30 {key}"
            ));
            calls.push(format!("genSelfSignedCertWithKey {name} nil nil -3 {key}"));
            calls.push(format!(
                "genSignedCertWithKey {name} (list \"1.2.3.4\") nil 20000 (genCAWithKey \"authority\" 40000 .Values.ecKey) {key}"
            ));
        }
    }
    let templates: Vec<String> = calls.iter().map(|call| format!("{{{{ ({call}).Cert }}}}")).collect();
    let cases: Vec<Json> = templates.iter().map(|text| oracle::template(text, &values)).collect();
    for ((call, text), answer) in calls.iter().zip(&templates).zip(oracle::ask(&cases)) {
        let theirs: String = answer.unwrap_or_else(|error| panic!("{call}: {error}")).into_values().collect();
        assert_eq!(kept(&der(&ours(text, &values))), kept(&der(&theirs)), "{call}");
    }
}

#[test]
fn signatures_verify_and_helm_reads_what_ours_made() {
    for key in ["genPrivateKey \"ecdsa\"", "genPrivateKey \"ed25519\"", "(genCA \"x\" 1).Key"] {
        let key = ours(&format!("{{{{ {key} }}}}"), &world::values());
        let values = json!({ "key": key });
        let text = "{{ $ca := genCAWithKey \"ca\" 30 .Values.key }}{{ $c := genSignedCertWithKey \"leaf\" (list \"10.0.0.1\") (list \"a.b\") 3 $ca .Values.key }}{{ toJson (list $ca.Cert $c.Cert $c.Key) }}";
        let made: Vec<String> = serde_json::from_str(&ours(text, &values)).expect("three texts");
        let (authority, leaf) = (der(&made[0]), der(&made[1]));
        let (_, authority) = X509Certificate::from_der(&authority).expect("an authority");
        let (_, leaf) = X509Certificate::from_der(&leaf).expect("a leaf");
        authority.verify_signature(None).expect("an authority signs itself");
        leaf.verify_signature(Some(authority.public_key())).expect("a leaf is signed by its authority");
        let values = json!({ "ca": made[0], "leaf": made[1], "key": made[2] });
        let text = "{{ $ca := buildCustomCert (b64enc .Values.ca) (b64enc .Values.key) }}{{ $c := genSignedCert \"next\" nil nil 1 $ca }}{{ eq $ca.Cert .Values.ca }} {{ kindOf $c.Cert }}";
        assert_eq!(theirs(text, &values), "true string");
        assert_eq!(
            theirs("{{ (buildCustomCert (b64enc .Values.leaf) (b64enc .Values.key)).Key | eq .Values.key }}", &values),
            "true"
        );
    }
}

#[test]
fn what_one_side_encrypts_the_other_decrypts() {
    for plain in ["x", "sixteen bytes ok", "a longer text that takes several blocks of the cipher"] {
        let values = json!({ "plain": plain });
        let encrypt = "{{ encryptAES \"a password\" .Values.plain }}";
        for (cipher, decrypt) in [(ours(encrypt, &values), theirs as fn(&str, &Json) -> String), (theirs(encrypt, &values), ours)]
        {
            assert_eq!(decrypt("{{ decryptAES \"a password\" .Values.cipher }}", &json!({ "cipher": cipher })), plain);
        }
    }
}

#[test]
fn a_dsa_key_is_read_but_signs_nothing() {
    let text = "{{ genCAWithKey \"x\" 1 .Values.dsaKey }}";
    let values = world::values();
    assert_eq!(ours(text, &values), theirs(text, &values));
}

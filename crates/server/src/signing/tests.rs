use super::*;
use crate::testing::Cluster;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

fn object(signer: &str, user: &str, groups: &[&str], name: &str, sans: &[&str], usages: &[&str]) -> Value {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, name);
    for san in sans {
        params.subject_alt_names.push(match san.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*san).try_into().unwrap()),
        });
    }
    let pem = params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap();
    Value::from(serde_json::json!({
        "metadata": { "name": "csr" },
        "spec": { "request": STANDARD.encode(pem), "signerName": signer, "username": user, "groups": groups, "usages": usages },
    }))
}

const CLIENT_USAGES: &[&str] = &["digital signature", "client auth"];
const SERVER_USAGES: &[&str] = &["digital signature", "server auth"];
const TOKEN_GROUPS: &[&str] = &["system:bootstrappers:kubeadm:default-node-token", "system:authenticated"];
const NODE_GROUPS: &[&str] = &["system:nodes", "system:authenticated"];

#[test]
fn a_joining_node_gets_its_certificate_without_a_person() {
    let cluster = Cluster::with_defaults();
    let (pki, indexes) = (&cluster.security.pki, &cluster.security.indexes);
    let csr = object(NODE_CLIENT, "system:bootstrap:abcdef", TOKEN_GROUPS, "system:node:n1", &[], CLIENT_USAGES);
    let action = decide(&csr, indexes, &[]);
    assert_eq!(action, Action::Approve("Auto approving kubelet client certificate after SubjectAccessReview."));
    let approved = answered(&csr, &action, pki.authority(), cluster.security.now()).unwrap();
    assert_eq!(decide(&approved, indexes, &[]), Action::Sign);
    let signed = answered(&approved, &Action::Sign, pki.authority(), cluster.security.now()).unwrap();
    assert_eq!(decide(&signed, indexes, &[]), Action::Wait);
    let pem = STANDARD.decode(signed.str_at(&["status", "certificate"]).unwrap()).unwrap();
    let (_, block) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&block.contents).unwrap();
    assert_eq!(certificate.subject().iter_common_name().next().unwrap().as_str().unwrap(), "system:node:n1");
    assert!(certificate.extended_key_usage().unwrap().unwrap().value.client_auth);
    assert!(!certificate.is_ca());
    let (_, ca) = x509_parser::certificate::X509Certificate::from_der(pki.authority().der()).unwrap();
    certificate.verify_signature(Some(ca.public_key())).unwrap();
}

#[test]
fn requests_are_approved_only_for_those_who_may_and_in_their_own_name() {
    let cluster = Cluster::with_defaults();
    let node =
        Value::from(serde_json::json!({ "metadata": {"name": "n2"}, "status": {"addresses": [{"address": "10.41.0.2"}]} }));
    let decide = |csr: &Value| super::decide(csr, &cluster.security.indexes, std::slice::from_ref(&node));
    let approved = |csr: &Value| matches!(decide(csr), Action::Approve(_));
    let n1 = "system:node:n1";
    assert!(approved(&object(NODE_CLIENT, n1, NODE_GROUPS, n1, &[], CLIENT_USAGES)));
    assert!(!approved(&object(NODE_CLIENT, n1, NODE_GROUPS, "system:node:n2", &[], CLIENT_USAGES)));
    assert!(!approved(&object(NODE_CLIENT, "ann", &["system:authenticated"], n1, &[], CLIENT_USAGES)));
    assert!(!approved(&object(NODE_CLIENT, n1, NODE_GROUPS, n1, &["n1"], CLIENT_USAGES)));
    assert!(!approved(&object(NODE_CLIENT, n1, NODE_GROUPS, n1, &[], SERVER_USAGES)));
    assert!(!approved(&object(CLIENT, n1, NODE_GROUPS, n1, &[], CLIENT_USAGES)));
    assert!(approved(&object(NODE_SERVING, n1, NODE_GROUPS, n1, &["n1", "10.41.0.1"], SERVER_USAGES)));
    assert!(!approved(&object(NODE_SERVING, n1, NODE_GROUPS, n1, &["n1", "10.41.0.2"], SERVER_USAGES)));
    assert!(!approved(&object(NODE_SERVING, n1, NODE_GROUPS, n1, &["n2"], SERVER_USAGES)));
    assert!(!approved(&object(NODE_SERVING, n1, NODE_GROUPS, "system:node:n2", &["n2"], SERVER_USAGES)));
    assert!(!approved(&object("example.com/other", n1, NODE_GROUPS, n1, &[], CLIENT_USAGES)));
}

#[test]
fn an_approved_request_that_the_signer_may_not_sign_fails() {
    let cluster = Cluster::with_defaults();
    let mut csr = object(NODE_CLIENT, "ann", &[], "system:node:n1", &["n1"], CLIENT_USAGES);
    csr.set_at(&["status", "conditions"], vec![Value::from(serde_json::json!({"type": "Approved", "status": "True"}))]);
    assert!(matches!(decide(&csr, &cluster.security.indexes, &[]), Action::Fail(_)));
    csr.set_at(&["spec", "request"], STANDARD.encode("rubbish"));
    assert!(matches!(decide(&csr, &cluster.security.indexes, &[]), Action::Fail(_)));
    csr.set_at(&["status", "conditions"], vec![Value::from(serde_json::json!({"type": "Denied", "status": "True"}))]);
    assert_eq!(decide(&csr, &cluster.security.indexes, &[]), Action::Wait);
}

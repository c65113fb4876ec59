//! Who makes trust bundles, and for which pods a node asks.

use super::*;

#[test]
fn only_who_may_attest_for_a_signer_makes_its_trust_bundle() {
    let cluster = cluster();
    let write = |identity: Identity| Write {
        identity,
        resource: "certificates.k8s.io/clustertrustbundles",
        namespace: "",
        name: "b",
        ..Write::default()
    };
    let anchor = {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["ca".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem()
    };
    let bundle = |signer: &str| {
        let mut bundle = json(r#"{"metadata":{"name":"b"}}"#);
        bundle.set_at(&["spec", "signerName"], signer);
        bundle.set_at(&["spec", "trustBundle"], anchor.as_str());
        String::from_utf8(bundle.to_json()).unwrap()
    };
    let ann = || Identity::new("ann", ["system:authenticated"]);
    assert!(write(ann()).run(&cluster, &bundle("")).is_ok());
    let text = refusal(write(ann()).run(&cluster, &bundle("a.io/b")));
    assert!(text.contains("user not permitted to attest for signerName \"a.io/b\""), "{text}");
    assert!(write(Identity::new("root", ["system:masters"])).run(&cluster, &bundle("a.io/b")).is_ok());
}

#[test]
fn a_node_asks_for_certificates_of_its_own_pods_and_their_signers_alone() {
    let mut cluster = cluster();
    cluster.objects.put("", "nodes", json(r#"{"metadata":{"name":"n1","uid":"nu"}}"#));
    let pod = r#"{"metadata":{"name":"p","namespace":"ns","uid":"pu"},"spec":{"nodeName":"n1","serviceAccountName":"default",
        "volumes":[{"name":"v","projected":{"sources":[{"podCertificate":{"signerName":"a.io/b"}}]}}]}}"#;
    cluster.objects.put("", "pods", json(pod));
    let ask = |node: &str, changes: &[(&str, &str)]| {
        let key = rcgen::KeyPair::generate().unwrap();
        let stub = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        let mut request = json(
            r#"{"metadata":{"name":"r","namespace":"ns"},"spec":{"signerName":"a.io/b","podName":"p","podUID":"pu","serviceAccountName":"default",
            "serviceAccountUID":"1","nodeName":"n1","nodeUID":"nu"}}"#,
        );
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, stub.der());
        request.set_at(&["spec", "stubPKCS10Request"], encoded);
        for (field, value) in changes {
            request.set_at(&["spec", field], *value);
        }
        let identity = Identity::new(format!("system:node:{node}"), ["system:nodes"]);
        let write = Write { identity, resource: "certificates.k8s.io/podcertificaterequests", name: "r", ..Write::default() };
        write.run(&cluster, &String::from_utf8(request.to_json()).unwrap()).map(drop)
    };
    assert!(ask("n1", &[]).is_ok());
    for (node, changes, part) in [
        ("n2", &[][..], "which is not the requesting node"),
        ("n1", &[("podUID", "other")][..], "names pod UID"),
        ("n1", &[("nodeUID", "other")][..], "names node UID"),
        ("n1", &[("serviceAccountName", "x")][..], "differs from running pod"),
        ("n1", &[("signerName", "a.io/c")][..], "does not mount a podCertificate projected volume"),
    ] {
        let text = ask(node, changes).unwrap_err().message;
        assert!(text.contains(part), "{text}");
    }
}

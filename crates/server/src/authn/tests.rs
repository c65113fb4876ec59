use super::service_account::{Claims, ISSUER, KubernetesClaims, Reference, seconds};
use super::*;
use crate::testing::{Cluster, json};
use std::time::Duration;

fn request(headers: &[(&str, &str)]) -> Parts {
    let mut builder = http::Request::get("/api");
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn ask(cluster: &Cluster, headers: &[(&str, &str)]) -> Result<Identity, Status> {
    authenticate_with(&request(headers), &cluster.security, &cluster.objects)
}

fn token(cluster: &Cluster, change: impl FnOnce(&mut Claims)) -> String {
    let now = seconds(cluster.security.now());
    let mut claims = Claims {
        audiences: vec![ISSUER.into()],
        expires: now + 3600,
        issued_at: now,
        issuer: ISSUER.into(),
        id: Some("j".into()),
        kubernetes: KubernetesClaims {
            namespace: "ns".into(),
            service_account: Reference { name: "sa".into(), uid: "u1".into() },
            pod: Some(Reference { name: "p".into(), uid: "u2".into() }),
            node: Some(Reference { name: "n".into(), uid: "u3".into() }),
            ..KubernetesClaims::default()
        },
        not_before: Some(now),
        subject: "system:serviceaccount:ns:sa".into(),
    };
    change(&mut claims);
    cluster.security.tokens.sign(&claims).unwrap()
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.objects.put("", "serviceaccounts", json(r#"{"metadata":{"namespace":"ns","name":"sa","uid":"u1"}}"#));
    cluster.objects.put("", "pods", json(r#"{"metadata":{"namespace":"ns","name":"p","uid":"u2"}}"#));
    cluster
}

fn bearing(cluster: &Cluster, token: &str) -> Result<Identity, Status> {
    ask(cluster, &[("authorization", &format!("Bearer {token}"))])
}

#[test]
fn no_credentials_are_anonymous_and_wrong_ones_are_refused() {
    let cluster = cluster();
    assert_eq!(ask(&cluster, &[]).unwrap(), Identity::anonymous());
    for wrong in ["nonsense", "a.b.c", "abcdef.0123456789abcdef"] {
        assert_eq!(bearing(&cluster, wrong).unwrap_err().code, 401, "{wrong}");
    }
}

#[test]
fn a_bound_token_names_its_account_pod_and_node() {
    let cluster = cluster();
    let token = token(&cluster, |_| {});
    for _ in 0..2 {
        let identity = bearing(&cluster, &token).unwrap();
        assert_eq!(identity.name, "system:serviceaccount:ns:sa");
        assert_eq!(identity.uid, "u1");
        assert_eq!(identity.groups, ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]);
        assert_eq!(identity.extra["authentication.kubernetes.io/pod-name"], ["p"]);
        assert_eq!(identity.extra["authentication.kubernetes.io/node-uid"], ["u3"]);
        assert_eq!(identity.extra["authentication.kubernetes.io/credential-id"], ["JTI=j"]);
    }
}

#[test]
fn a_token_ends_with_what_it_is_bound_to() {
    let mut cluster = cluster();
    let token = token(&cluster, |_| {});
    assert!(bearing(&cluster, &token).is_ok());
    let replaced = json(r#"{"metadata":{"namespace":"ns","name":"p","uid":"other"}}"#);
    cluster.objects.put("", "pods", replaced);
    assert_eq!(bearing(&cluster, &token).unwrap_err().code, 401);
    cluster.objects.remove("", "pods", "ns", "p");
    assert_eq!(bearing(&cluster, &token).unwrap_err().code, 401);
}

#[test]
fn tokens_that_are_expired_foreign_or_for_others_are_refused() {
    let cluster = cluster();
    let expired = token(&cluster, |c| c.expires = c.issued_at - 61);
    let early = token(&cluster, |c| c.not_before = Some(c.issued_at + 120));
    let other_audience = token(&cluster, |c| c.audiences = vec!["vault".into()]);
    let other_issuer = token(&cluster, |c| c.issuer = "https://elsewhere".into());
    let other_account = token(&cluster, |c| c.kubernetes.service_account.uid = "u9".into());
    let other_cluster = token(&self::cluster(), |_| {});
    for token in [expired, early, other_audience, other_issuer, other_account, other_cluster] {
        assert_eq!(bearing(&cluster, &token).unwrap_err().code, 401);
    }
    let leeway = token(&cluster, |c| c.expires = c.issued_at - 30);
    assert!(bearing(&cluster, &leeway).is_ok());
}

#[test]
fn a_token_with_a_changed_claim_or_algorithm_is_refused() {
    let cluster = cluster();
    let token = token(&cluster, |_| {});
    let parts: Vec<&str> = token.split('.').collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let forged = URL_SAFE_NO_PAD.encode(claims.replace("\"sa\"", "\"admin\""));
    assert!(bearing(&cluster, &format!("{}.{forged}.{}", parts[0], parts[2])).is_err());
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    let none = URL_SAFE_NO_PAD.encode(header.replace("ES256", "none"));
    assert!(bearing(&cluster, &format!("{none}.{}.", parts[1])).is_err());
    let hmac = URL_SAFE_NO_PAD.encode(header.replace("ES256", "HS256"));
    assert!(bearing(&cluster, &format!("{hmac}.{}.{}", parts[1], parts[2])).is_err());
}

#[test]
fn tokens_survive_the_rotation_of_the_signing_key() {
    let cluster = cluster();
    let before = token(&cluster, |_| {});
    cluster.security.pki.service_account_keys().rotate().unwrap();
    assert!(bearing(&cluster, &before).is_ok());
    assert!(bearing(&cluster, &token(&cluster, |_| {})).is_ok());
}

#[test]
fn a_browser_may_show_its_token_as_a_websocket_protocol() {
    let cluster = cluster();
    let encoded = URL_SAFE_NO_PAD.encode(token(&cluster, |_| {}));
    let protocols = format!("v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}");
    let identity = ask(&cluster, &[("sec-websocket-protocol", &protocols)]).unwrap();
    assert_eq!(identity.name, "system:serviceaccount:ns:sa");
}

#[test]
fn bootstrap_tokens_are_good_until_they_expire_or_change() {
    use base64::engine::general_purpose::STANDARD;
    let mut cluster = cluster();
    let token = crate::pki::BootstrapToken::generate().unwrap();
    let secret = |change: &[(&str, &str)]| {
        let mut manifest = token.manifest(None, "");
        for (key, value) in change {
            manifest["data"][*key] = STANDARD.encode(value).into();
        }
        api::document::Value::from(manifest)
    };
    cluster.objects.put("", "secrets", secret(&[]));
    let identity = bearing(&cluster, &token.to_string()).unwrap();
    assert_eq!(identity.name, format!("system:bootstrap:{}", token.id));
    assert!(identity.is_in("system:bootstrappers:kubeadm:default-node-token"));
    for bad in [
        ("expiration", "2001-01-01T00:00:00Z"),
        ("usage-bootstrap-authentication", "false"),
        ("token-secret", "0000000000000000"),
        ("auth-extra-groups", "system:masters"),
    ] {
        cluster.objects.put("", "secrets", secret(&[bad]));
        assert_eq!(bearing(&cluster, &token.to_string()).unwrap_err().code, 401, "{bad:?}");
    }
    cluster.objects.put("", "secrets", secret(&[("expiration", "2999-01-01T00:00:00Z")]));
    assert!(bearing(&cluster, &token.to_string()).is_ok());
}

#[test]
fn certificates_are_believed_until_they_end() {
    use crate::listen::{Peer, PeerCertificate};
    let cluster = cluster();
    let peer = Peer {
        name: "ann".into(),
        organizations: vec!["team".into()],
        credential_id: "X509SHA256=1".into(),
        not_after: cluster.security.now() + Duration::from_secs(60),
        problem: None,
    };
    let ask = |peer: Peer| {
        let mut parts = request(&[]);
        parts.extensions.insert(PeerCertificate(std::sync::Arc::new(peer)));
        authenticate_with(&parts, &cluster.security, &cluster.objects)
    };
    let identity = ask(peer.clone()).unwrap();
    assert_eq!(identity.name, "ann");
    assert_eq!(identity.groups, ["team", "system:authenticated"]);
    assert!(ask(Peer { not_after: cluster.security.now(), ..peer.clone() }).is_err());
    assert!(ask(Peer { problem: Some("x509: unknown".into()), ..peer.clone() }).is_err());
    assert!(ask(Peer { name: String::new(), ..peer }).is_err());
}

#[test]
fn speaking_for_another_needs_the_right_to_it() {
    let cluster = cluster();
    let as_user = |caller: Identity, headers: &[(&str, &str)]| {
        let mut parts = request(headers);
        parts.extensions.insert(caller);
        authenticate_with(&parts, &cluster.security, &cluster.objects)
    };
    let admin = Identity::new("admin", ["system:masters"]);
    let bob = as_user(admin.clone(), &[("impersonate-user", "bob"), ("impersonate-group", "team")]).unwrap();
    assert_eq!(bob, Identity::new("bob", ["team", "system:authenticated"]));
    let account = as_user(admin.clone(), &[("impersonate-user", "system:serviceaccount:ns:sa")]).unwrap();
    assert!(account.is_in("system:serviceaccounts:ns"));
    let extra = [("impersonate-user", "bob"), ("impersonate-extra-a%2fb", "c")];
    assert_eq!(as_user(admin.clone(), &extra).unwrap().extra["a/b"], ["c"]);
    let refused = as_user(Identity::new("eve", ["x"]), &[("impersonate-user", "bob")]).unwrap_err();
    let words =
        "users \"bob\" is forbidden: User \"eve\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope";
    assert_eq!((refused.code, refused.message.as_str()), (403, words));
    assert_eq!(as_user(admin, &[("impersonate-group", "team")]).unwrap_err().code, 400);
}

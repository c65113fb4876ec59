use super::*;
use crate::pki::{Leaf, Usage};
use crate::testing::{Cluster, Stored, json};
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::service_fn;
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn objects() -> Stored {
    let mut objects = Stored::default();
    objects.put(
        "",
        "nodes",
        json(r#"{"metadata":{"name":"n1"},"status":{"addresses":[{"type":"InternalIP","address":"10.41.0.1"}]}}"#),
    );
    objects.put(
        "",
        "pods",
        json(
            r#"{"metadata":{"namespace":"ns","name":"two"},"spec":{"nodeName":"n1","initContainers":[{"name":"i"}],
            "containers":[{"name":"a","ports":[{"containerPort":8080}]},{"name":"b"}]},"status":{"podIP":"10.42.0.5"}}"#,
        ),
    );
    let pending =
        r#"{"metadata":{"namespace":"ns","name":"one"},"spec":{"containers":[{"name":"c"}]},"status":{"podIP":"127.0.0.1"}}"#;
    objects.put("", "pods", json(pending));
    objects.put(
        "",
        "services",
        json(r#"{"metadata":{"namespace":"ns","name":"s"},"spec":{"ports":[{"name":"web","port":80}]}}"#),
    );
    objects.put(
        "discovery.k8s.io",
        "endpointslices",
        json(
            r#"{"metadata":{"namespace":"ns","name":"s-1","labels":{"kubernetes.io/service-name":"s"}},"ports":[{"name":"web","port":8080}],
            "endpoints":[{"addresses":["10.42.0.9"],"conditions":{"ready":false}},{"addresses":["10.42.0.5"]}]}"#,
        ),
    );
    objects
}

/// `pods/log ns/two?query` or `services/proxy ns/s /path`.
fn find(text: &str) -> Result<Option<String>, String> {
    let objects = objects();
    let mut words = text.split(' ');
    let (resource, subresource) = words.next().unwrap().split_once('/').unwrap();
    let (place, query) = words.next().map(|w| w.split_once('?').unwrap_or((w, ""))).unwrap();
    let (namespace, name) = place.split_once('/').unwrap();
    let path = words.next().unwrap_or_default();
    let target = ConnectTarget { resource, subresource, namespace, name, path, query };
    let found = locate(&target, &objects).map_err(|status| format!("{} {}", status.code, status.message))?;
    Ok(found.map(|l| format!("{}{}", l.backend.address(), l.path_and_query)))
}

#[test]
fn requests_find_their_node_pod_or_endpoint() {
    let table = [
        ("pods/log ns/two?container=a&follow=true&tailLines=0", "10.41.0.1:10250/containerLogs/ns/two/a?follow=true&tailLines=0"),
        (
            "pods/exec ns/two?container=b&command=sh&command=-c&command=a%20b&stdin=true&stdout=1&tty=false",
            "10.41.0.1:10250/exec/ns/two/b?input=1&output=1&command=sh&command=-c&command=a%20b",
        ),
        ("pods/attach ns/two?container=i&stderr=true", "10.41.0.1:10250/attach/ns/two/i?error=1"),
        ("pods/portforward ns/two?ports=80&ports=81", "10.41.0.1:10250/portForward/ns/two?port=80%2C81"),
        ("pods/proxy ns/two /x/y", "10.42.0.5:8080/x/y"),
        ("pods/proxy ns/https:two:9443?a=b /x", "10.42.0.5:9443/x?a=b"),
        ("services/proxy ns/s", "10.42.0.5:8080/"),
        ("services/proxy ns/s:web /p", "10.42.0.5:8080/p"),
        ("services/proxy ns/http:s:80 /p", "10.42.0.5:8080/p"),
        ("nodes/proxy /n1 /healthz", "10.41.0.1:10250/healthz"),
    ];
    for (request, expected) in table {
        assert_eq!(find(request), Ok(Some(expected.to_owned())), "{request}");
    }
    assert_eq!(find("pods/log ns/one"), Ok(None));
}

#[test]
fn refusals_read_as_upstream_writes_them() {
    let table = [
        ("pods/log ns/two?container=x", "400 container x is not valid for pod two"),
        ("pods/log ns/two", "400 a container name must be specified for pod two, choose one of: [i a b]"),
        ("pods/log ns/gone", "404 pods \"gone\" not found"),
        ("pods/exec ns/one?command=sh", "400 pod one does not have a host assigned"),
        ("pods/proxy ns/one", "400 address not allowed"),
        ("services/proxy ns/s:nope", "503 no service port \"nope\" found for service \"s\""),
        ("nodes/proxy /gone", "404 nodes \"gone\" not found"),
    ];
    for (request, expected) in table {
        assert_eq!(find(request), Err(expected.to_owned()), "{request}");
    }
}

fn no_body() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A node's endpoint on loopback; the server in front of it forwards every request there.
async fn serve_node(cluster: &Cluster, name: &str) -> u16 {
    let leaf = Leaf {
        name: format!("system:node:{name}"),
        organizations: vec!["system:nodes".into()],
        names: vec![name.into()],
        addresses: vec![],
        usage: Usage::Server,
        lifetime: Duration::from_secs(600),
    };
    let issued = cluster.security.pki.authority().issue(&leaf, std::time::SystemTime::now()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(issued.key_der.into());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cluster.security.pki.authority().der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![issued.certificate_der], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let serving = hyper::server::conn::http1::Builder::new();
                let _ = serving.serve_connection(TokioIo::new(stream), service_fn(answer)).with_upgrades().await;
            });
        }
    });
    port
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    assert!(!request.headers().contains_key(AUTHORIZATION));
    if !request.headers().contains_key(UPGRADE) {
        return Ok(Response::new(Full::new(Bytes::from(request.uri().to_string()))));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let switch = Response::builder().status(101).header(CONNECTION, "Upgrade").header(UPGRADE, "echo");
    Ok(switch.body(Full::default()).unwrap())
}

fn at(name: &str, port: u16, path: &str) -> Location {
    let backend = Backend::Node { name: name.into(), host: "127.0.0.1".into(), port };
    Location { backend, path_and_query: path.into() }
}

#[tokio::test]
async fn a_node_answers_under_its_own_name_alone() {
    let cluster = Cluster::new();
    let port = serve_node(&cluster, "n1").await;
    let request = || {
        let request = Request::get("/api/v1/x").header(AUTHORIZATION, "Bearer secret").body(()).unwrap();
        request.into_parts().0
    };
    let nodes = &cluster.security.nodes;
    let answer = nodes.forward(request(), no_body(), &at("n1", port, "/containerLogs/a?b=c")).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&text[..], b"/containerLogs/a?b=c");
    let refused = nodes.forward(request(), no_body(), &at("n2", port, "/")).await.unwrap_err();
    assert!(refused.message.contains("error dialing backend: tls: "), "{}", refused.message);
    let stranger = Cluster::new();
    let refused = stranger.security.nodes.forward(request(), no_body(), &at("n1", port, "/")).await.unwrap_err();
    assert_eq!(refused.code, 500);
}

#[tokio::test]
async fn an_upgrade_is_passed_through_both_ways() {
    let cluster = Arc::new(Cluster::new());
    let port = serve_node(&cluster, "n1").await;
    let (client, server) = tokio::io::duplex(4096);
    let forwarding = cluster.clone();
    tokio::spawn(async move {
        let handler = service_fn(move |request: Request<Incoming>| {
            let cluster = forwarding.clone();
            async move {
                let (parts, _) = request.into_parts();
                Ok::<_, Infallible>(cluster.security.nodes.forward(parts, no_body(), &at("n1", port, "/exec")).await.unwrap())
            }
        });
        let serving = hyper::server::conn::http1::Builder::new();
        let _ = serving.serve_connection(TokioIo::new(server), handler).with_upgrades().await;
    });
    let mut client = client;
    let request = "GET /x HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: echo\r\nauthorization: Bearer secret\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    client.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    client.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
}

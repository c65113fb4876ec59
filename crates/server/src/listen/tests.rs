use super::*;
use crate::pki::{Leaf, Pki, Settings, Usage};
use http_body_util::{BodyExt, Full};
use std::time::SystemTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

struct Running {
    pki: Pki,
    address: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), ListenError>>,
    _dir: tempfile::TempDir,
}

async fn run(limits: Limits) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(Settings::new(dir.path().join("pki"))).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let listener = Listener::new(&pki, limits).unwrap();
    let task = tokio::spawn(listener.serve(socket, tower::service_fn(describe), shutdown.clone()));
    Running { pki, address, shutdown, task, _dir: dir }
}

/// Answers with what the listener put beside the request; `/upgrade` switches protocols and echoes.
async fn describe(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/upgrade" {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        let switch = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
        return Ok(switch.body(Full::default()).unwrap());
    }
    let who = match request.extensions().get::<PeerCertificate>() {
        None => "nobody".to_owned(),
        Some(PeerCertificate(peer)) => match &peer.problem {
            None => format!("{} {:?}", peer.name, peer.organizations),
            Some(problem) => format!("refused: {problem}"),
        },
    };
    assert!(request.extensions().get::<PeerAddress>().is_some());
    Ok(Response::new(Full::new(Bytes::from(who))))
}

fn client(pki: &Pki, certificate: Option<&crate::pki::Issued>, alpn: &str) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(pki.authority().der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match certificate {
        None => builder.with_no_client_auth(),
        Some(issued) => builder
            .with_client_auth_cert(
                vec![issued.certificate_der.clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(issued.key_der.clone().into()),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    TlsConnector::from(Arc::new(config))
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(to: SocketAddr, connector: TlsConnector) -> Tls {
    let tcp = TcpStream::connect(to).await.unwrap();
    connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap()
}

async fn ask(running: &Running, certificate: Option<&crate::pki::Issued>, alpn: &str) -> String {
    let stream = TokioIo::new(connect(running.address, client(&running.pki, certificate, alpn)).await);
    let request = Request::get("https://localhost/").header("host", "localhost").body(Full::<Bytes>::default()).unwrap();
    let response = if alpn == "h2" {
        let (mut send, conn) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(conn);
        send.send_request(request).await.unwrap()
    } else {
        let (mut send, conn) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(conn);
        send.send_request(request).await.unwrap()
    };
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_client_without_a_certificate_is_served_over_both_protocols() {
    let running = run(Limits::default()).await;
    assert_eq!(ask(&running, None, "h2").await, "nobody");
    assert_eq!(ask(&running, None, "http/1.1").await, "nobody");
}

#[tokio::test]
async fn a_client_certificate_of_the_cluster_names_its_user_and_groups() {
    let running = run(Limits::default()).await;
    let issued = running.pki.issue_client("ann", &["team"], Duration::from_secs(60)).unwrap();
    assert_eq!(ask(&running, Some(&issued), "h2").await, "ann [\"team\"]");
    assert_eq!(ask(&running, Some(&issued), "http/1.1").await, "ann [\"team\"]");
}

#[tokio::test]
async fn certificates_that_are_expired_foreign_or_for_servers_are_marked_and_not_trusted() {
    let running = run(Limits::default()).await;
    let leaf = |usage| Leaf {
        name: "ann".into(),
        organizations: vec![],
        names: vec![],
        addresses: vec![],
        usage,
        lifetime: Duration::from_secs(60),
    };
    let long_ago = SystemTime::now() - Duration::from_secs(86_400);
    let expired = running.pki.authority().issue(&leaf(Usage::Client), long_ago).unwrap();
    assert!(ask(&running, Some(&expired), "h2").await.starts_with("refused: x509: invalid peer certificate: "));
    let (stranger, _) = crate::pki::Authority::create("stranger", SystemTime::now()).unwrap();
    let foreign = stranger.issue(&leaf(Usage::Client), SystemTime::now()).unwrap();
    assert!(ask(&running, Some(&foreign), "h2").await.starts_with("refused: x509: "));
    let server = running.pki.authority().issue(&leaf(Usage::Server), SystemTime::now()).unwrap();
    assert!(ask(&running, Some(&server), "http/1.1").await.starts_with("refused: x509: "));
}

#[tokio::test]
async fn upgraded_connections_pass_bytes_both_ways() {
    let running = run(Limits::default()).await;
    let mut stream = connect(running.address, client(&running.pki, None, "http/1.1")).await;
    let request = "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"ping");
}

#[tokio::test]
async fn shutdown_ends_the_listener_although_a_client_stays_connected() {
    let limits = Limits { shutdown_grace: Duration::from_millis(50), ..Limits::default() };
    let running = run(limits).await;
    let idle = connect(running.address, client(&running.pki, None, "http/1.1")).await;
    running.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), running.task).await.unwrap().unwrap().unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_client_that_never_speaks_tls_is_let_go() {
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let running = run(limits).await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(5), silent.read(&mut byte)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    drop(running.shutdown);
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let running = run(Limits { headers_max: 8, ..Limits::default() }).await;
    let mut stream = connect(running.address, client(&running.pki, None, "http/1.1")).await;
    let many = "x: y\r\n".repeat(20);
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[..], b"HTTP/1.1 431");
}

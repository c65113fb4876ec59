//! Repositories and registries behind TLS: `coracle helm` beside Helm with certificates of an authority that nobody knows, and
//! with a server that wants to know who asks. Exit codes and output are the same, and so are remarks where both know the fault.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

#[path = "helm/programs.rs"]
mod programs;

use programs::{Outcome, copy, helm, run, sources};

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-tls").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("folder");
    folder
}

/// An authority, and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        (params.signed_by(&key, &self.issuer).expect("a certificate"), key)
    }
}

/// Serves files below a folder over TLS; for clients of the authority alone where it is `closed`.
fn serve(authority: &Authority, folder: PathBuf, closed: bool) -> String {
    let (certificate, key) = authority.sign("127.0.0.1");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().expect("versions");
    let builder = if closed {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).expect("a root");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = Arc::new(builder.with_single_cert(chain, key).expect("a configuration"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("https://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, folder) = (config.clone(), folder.clone());
            std::thread::spawn(move || -> std::io::Result<()> {
                let connection = ServerConnection::new(config).expect("a connection");
                let mut stream = BufReader::new(StreamOwned::new(connection, stream));
                let mut first = String::new();
                stream.read_line(&mut first)?;
                let mut line = first.clone();
                while !line.trim().is_empty() {
                    line.clear();
                    stream.read_line(&mut line)?;
                }
                let name = first.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                let (status, body) = match fs::read(folder.join(name)) {
                    Ok(body) => ("200 OK", body),
                    Err(_) => ("404 Not Found", Vec::new()),
                };
                let stream = stream.get_mut();
                write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
                stream.write_all(&body)?;
                stream.conn.send_close_notify();
                stream.flush()
            });
        }
    });
    address
}

/// Plays all lines in a fresh folder with the certificates.
fn play(path: &Path, lines: &[String], given: &Path) -> Vec<Outcome> {
    let (folder, home) = (scratch("work"), scratch("home"));
    copy(given, &folder);
    let before: &[&str] = if path.ends_with("coracle") { &["helm"] } else { &[] };
    lines.iter().map(|line| run(path, before, &line.split(' ').collect::<Vec<_>>(), &folder, &home)).collect()
}

#[test]
fn certificates_are_asked_for_and_shown_as_with_helm() {
    let (helm, ours) = (helm(), Path::new(env!("CARGO_BIN_EXE_coracle")));
    let (repository, given, home) = (scratch("repository"), scratch("given"), scratch("given-home"));
    for line in [format!("package plain -d {}", repository.display()), format!("repo index {}", repository.display())] {
        let done = run(&helm, &[], &line.split(' ').collect::<Vec<_>>(), &sources().join("charts"), &home);
        assert_eq!(done.code, Some(0), "{line}: {done:?}");
    }
    let (authority, other) = (Authority::new("known"), Authority::new("other"));
    let (certificate, key) = authority.sign("client");
    let (stranger, stranger_key) = other.sign("stranger");
    let both = format!("{}{}", other.certificate.pem(), authority.certificate.pem());
    let files = [
        ("ca.pem", authority.certificate.pem()),
        ("other.pem", other.certificate.pem()),
        ("both.pem", both),
        ("client.pem", certificate.pem()),
        ("client.key", key.serialize_pem()),
        ("stranger.pem", stranger.pem()),
        ("stranger.key", stranger_key.serialize_pem()),
        ("garbage.pem", "nothing".to_owned()),
    ];
    files.iter().for_each(|(name, text)| fs::write(given.join(name), text).expect("file"));
    let (open, closed) = (serve(&authority, repository.clone(), false), serve(&authority, repository, true));
    let table = fs::read_to_string(sources().join("tls.txt")).expect("the table");
    let rows: Vec<&str> = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let filled = |row: &&str| row.trim_start_matches("~ ").replace("{open}", &open).replace("{closed}", &closed);
    let lines: Vec<String> = rows.iter().map(filled).collect();
    let (theirs, mine) = (play(&helm, &lines, &given), play(ours, &lines, &given));
    let mut wrong = Vec::new();
    for (row, (theirs, mine)) in rows.iter().zip(theirs.iter().zip(&mine)) {
        if theirs != mine && !(row.starts_with('~') && theirs.code == mine.code) {
            wrong.push(format!("{row}\n  helm:    {theirs:?}\n  coracle: {mine:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

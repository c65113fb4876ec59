use super::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

fn settings(dir: &std::path::Path) -> Settings {
    Settings::new(dir.join("pki"))
}

#[test]
fn a_second_start_finds_the_same_authority_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let first = Pki::open(settings(dir.path())).unwrap();
    let second = Pki::open(settings(dir.path())).unwrap();
    assert_eq!(first.ca_hash(), second.ca_hash());
    assert_eq!(first.ca_pem(), second.ca_pem());
    assert_eq!(first.service_account_keys().jwks(), second.service_account_keys().jwks());
}

#[test]
fn every_file_is_readable_by_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    Pki::open(settings(dir.path())).unwrap();
    let folder = dir.path().join("pki");
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[test]
fn a_lost_authority_key_is_an_error_and_not_a_new_cluster() {
    let dir = tempfile::tempdir().unwrap();
    Pki::open(settings(dir.path())).unwrap();
    std::fs::remove_file(dir.path().join("pki/ca.key")).unwrap();
    assert!(matches!(Pki::open(settings(dir.path())), Err(PkiError::HalfMissing { .. })));
}

#[test]
fn an_authority_with_a_foreign_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    Pki::open(settings(dir.path())).unwrap();
    let (_, key) = Authority::create("x", SystemTime::now()).unwrap();
    std::fs::write(dir.path().join("pki/ca.key"), key).unwrap();
    assert!(matches!(Pki::open(settings(dir.path())), Err(PkiError::Malformed { .. })));
}

#[test]
fn a_rotated_signing_key_leaves_the_older_one_verifying() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(settings(dir.path())).unwrap();
    let before = pki.service_account_keys().current();
    pki.service_account_keys().rotate().unwrap();
    let after = pki.service_account_keys().current();
    assert_ne!(before.signing_id, after.signing_id);
    assert!(after.verifying.iter().any(|k| k.id == before.signing_id));
    let reopened = Pki::open(settings(dir.path())).unwrap();
    assert_eq!(reopened.service_account_keys().current().signing_id, after.signing_id);
    for _ in 0..10 {
        pki.service_account_keys().rotate().unwrap();
    }
    assert_eq!(pki.service_account_keys().current().verifying.len(), 4);
}

#[test]
fn the_server_certificate_is_renewed_while_running() {
    let dir = tempfile::tempdir().unwrap();
    let offset = Arc::new(AtomicU64::new(0));
    let shared = offset.clone();
    let mut s = settings(dir.path());
    s.clock = Arc::new(move || SystemTime::now() + Duration::from_secs(shared.load(Ordering::Relaxed)));
    let pki = Pki::open(s).unwrap();
    let config = pki.server_config().unwrap();
    let first = handshake_certificate(&pki, &config);
    assert_eq!(first, handshake_certificate(&pki, &config));
    offset.store(SERVER_LIFETIME.as_secs() * 3 / 4, Ordering::Relaxed);
    assert_ne!(first, handshake_certificate(&pki, &config));
}

fn handshake_certificate(pki: &Pki, config: &Arc<rustls::ServerConfig>) -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut client = rustls::ClientConnection::new(pki.node_client_config().unwrap(), name).unwrap();
    let mut server = rustls::ServerConnection::new(config.clone()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        feed(&mut server, &bytes);
        server.process_new_packets().unwrap();
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
        }
        // Certificates from the future of a shifted clock are not valid yet for the client: only what was sent counts.
        if client.process_new_packets().is_err() {
            break;
        }
    }
    config.cert_resolver_certificate(&client)
}

fn feed(server: &mut rustls::ServerConnection, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        server.read_tls(&mut rest).unwrap();
    }
}

trait SentCertificate {
    fn cert_resolver_certificate(&self, client: &rustls::ClientConnection) -> Vec<u8>;
}

impl SentCertificate for Arc<rustls::ServerConfig> {
    fn cert_resolver_certificate(&self, client: &rustls::ClientConnection) -> Vec<u8> {
        client.peer_certificates().map(|c| c[0].to_vec()).unwrap_or_default()
    }
}

#[test]
fn a_kubeconfig_cannot_be_broken_out_of_by_a_name() {
    let text = kubeconfig("a\nb: \"c\"", "https://x:6443", "CA", "CERT", "KEY");
    let parsed: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(parsed["current-context"], "a\nb: \"c\"");
    assert_eq!(parsed["clusters"][0]["cluster"]["server"], "https://x:6443");
    assert_eq!(parsed["users"][0]["user"]["client-key-data"], "S0VZ");
}

#[test]
fn bootstrap_tokens_parse_back_and_hide_their_secret() {
    let token = BootstrapToken::generate().unwrap();
    assert_eq!(token.to_string().parse::<BootstrapToken>().unwrap(), token);
    assert!(!format!("{token:?}").contains(&token.secret));
    for bad in ["", "abcdef", "abcdef.0123456789abcde", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef."] {
        assert!(bad.parse::<BootstrapToken>().is_err(), "{bad}");
    }
}

#[test]
fn the_whole_first_start_makes_few_keys() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::open(settings(dir.path())).unwrap();
    assert!(pki.expiring(Duration::from_secs(86_400)).is_empty());
    assert_eq!(pki.expiring(AUTHORITY_LIFETIME + Duration::from_secs(1)).len(), 1);
    assert!(pki.ca_hash().starts_with("sha256:"));
}

//! Pulls from a registry on loopback, which is a few lines here: documents by path, and a password.

use std::{collections::HashMap, sync::Arc};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::*;

const PASSWORD: &str = "Basic dXNlcjpwYXNz";

type Documents = Arc<HashMap<String, (&'static str, Vec<u8>)>>;

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Answers requests on one connection, one after the other.
async fn serve(stream: tokio::net::TcpStream, documents: Documents) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut known) = (String::new(), false);
        if stream.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            known |= line.to_ascii_lowercase().starts_with("authorization:") && line.contains(PASSWORD);
            if line.trim().is_empty() {
                break;
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default();
        let (status, kind, body) = match documents.get(path) {
            _ if !known => ("401 Unauthorized\r\nwww-authenticate: Basic realm=\"r\"", "application/json", &b"{}"[..]),
            Some((kind, body)) => ("200 OK", *kind, body.as_slice()),
            None => ("404 Not Found", "application/json", &b"{\"errors\":[]}"[..]),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ndocker-content-digest: {}\r\ncontent-length: {}\r\n\r\n",
            digest(body),
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        if !first.starts_with("HEAD") {
            stream.write_all(body).await?;
        }
        stream.flush().await?;
    }
}

/// A registry with the image `app:1` of these layers; its address.
async fn registry(layers: &[Vec<u8>]) -> String {
    let packed: Vec<Vec<u8>> = layers.iter().map(|layer| zstd::encode_all(&layer[..], 1).expect("packed")).collect();
    let ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["run"]}, "rootfs": {"type": "layers", "diff_ids": ids},
    })
    .to_string()
    .into_bytes();
    let descriptor =
        |kind: &str, bytes: &[u8]| serde_json::json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()});
    let kind = "application/vnd.oci.image.layer.v1.tar+zstd";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": packed.iter().map(|layer| descriptor(kind, layer)).collect::<Vec<_>>(),
    });
    let mut documents = HashMap::from([
        ("/v2/".to_owned(), ("application/json", b"{}".to_vec())),
        ("/v2/app/manifests/1".to_owned(), ("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into_bytes())),
    ]);
    for blob in packed.into_iter().chain([config]) {
        documents.insert(format!("/v2/app/blobs/{}", digest(&blob)), ("application/octet-stream", blob));
    }
    let documents = Arc::new(documents);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&documents)));
        }
    });
    address
}

fn layer(kind: tar::EntryType, name: &str, content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    builder.append_data(&mut header, name, content.as_bytes()).expect("added");
    builder.into_inner().expect("ended")
}

fn known() -> Option<Credentials> {
    Some(Credentials::Basic { username: "user".into(), password: "pass".into() })
}

#[tokio::test]
async fn an_image_comes_from_a_registry_to_those_who_may_have_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ImageStore::open(folder.path()).expect("opened");
    let layers = [layer(tar::EntryType::Regular, "a", "below"), layer(tar::EntryType::Regular, "b/c", "above")];
    let name = format!("{}/app:1", registry(&layers).await);
    let refused = store.pull(&name, None).await.expect_err("nobody");
    assert!(!refused.is_unreachable(), "{refused:?}");
    let image = store.pull(&name, known()).await.unwrap_or_else(|error| panic!("pulled: {error:?}"));
    assert_eq!((image.names.as_slice(), image.loaded), (&[name.clone()][..], false));
    assert!(image.digests[0].contains("/app@sha256:"), "{:?}", image.digests);
    let read = |at: usize, path: &str| std::fs::read_to_string(image.layers[at].join(path)).expect("there");
    assert_eq!((read(0, "a"), read(1, "b/c")), ("below".to_owned(), "above".to_owned()));
    assert_eq!(store.find(&name).map(|found| found.id), Some(image.id.clone()));
    assert_eq!(store.pull(&name, known()).await.expect("again").layers, image.layers, "what is here is not fetched again");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_told_from_one_that_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = ImageStore::open(folder.path()).expect("opened");
    let address = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        socket.local_addr().expect("an address")
    };
    let error = store.pull(&format!("{address}/app:1"), None).await.expect_err("nobody listens");
    assert!(error.is_unreachable(), "{error:?}");
    let name = format!("{}/other:1", registry(&[]).await);
    let error = store.pull(&name, known()).await.expect_err("no such image");
    assert!(!error.is_unreachable(), "{error:?}");
}

#[test]
fn loopback_is_told_by_name_and_number() {
    for registry in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
        assert!(is_loopback(registry), "{registry}");
    }
    assert!(!is_loopback("registry.example:5000") && !is_loopback("10.0.0.1"));
}

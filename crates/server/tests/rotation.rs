//! The keys of encryption at rest are rotated while the server runs.

mod fixture;

use fixture::Cluster;
use serde_json::{Value, json};

#[tokio::test]
async fn a_rotation_leaves_one_key_and_every_secret_readable() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("pki/encryption.keys");
    let cluster = Cluster::start_in(folder.path()).await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({"metadata": {"name": "a"}, "stringData": {"k": "v"}});
    assert_eq!(cluster.json("POST", secrets, &secret).await.0, 201);
    let first = std::fs::read_to_string(&keys).unwrap();
    let (code, answer) = cluster.json("POST", "/coracle/encryption-key", &Value::Null).await;
    assert_eq!((code, &answer["keys"]), (200, &json!(1)), "{answer}");
    let second = std::fs::read_to_string(&keys).unwrap();
    assert_ne!(first, second);
    assert_eq!(second.lines().count(), 1);
    // A key that someone puts in front is taken, too; here the first one again.
    std::fs::write(&keys, format!("{first}{second}")).unwrap();
    let (code, _) = cluster.json("POST", "/coracle/encryption-key?reload=true", &Value::Null).await;
    assert_eq!((code, std::fs::read_to_string(&keys).unwrap()), (200, first.clone()));
    drop(cluster);
    // A rotation that was cut off is ended by the next start.
    std::fs::write(&keys, format!("{second}{first}")).unwrap();
    let cluster = Cluster::start_again_in(folder.path()).await;
    for _ in 0..500 {
        if cluster.json("GET", "/coracle/encryption-key", &Value::Null).await.1["keys"] == 1 {
            break;
        }
        let _ = tokio::time::timeout(std::time::Duration::from_millis(10), std::future::pending::<()>()).await;
    }
    assert_eq!(std::fs::read_to_string(&keys).unwrap(), second);
    drop(cluster);
    let cluster = Cluster::start_again_in(folder.path()).await;
    let (code, read) = cluster.json("GET", &format!("{secrets}/a"), &Value::Null).await;
    assert_eq!((code, &read["data"]["k"]), (200, &json!("dg==")), "{read}");
}

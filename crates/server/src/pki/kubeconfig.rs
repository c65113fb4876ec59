//! The text of a kubeconfig.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A kubeconfig with one cluster, one user and one context, all called `name`; every PEM text is embedded.
pub fn kubeconfig(name: &str, server_url: &str, ca: &str, cert: &str, key: &str) -> String {
    let (ca, cert, key) = (STANDARD.encode(ca), STANDARD.encode(cert), STANDARD.encode(key));
    // JSON strings are YAML scalars: no name or address can break out of its place.
    let (name, server_url) = (quoted(name), quoted(server_url));
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: {name}\n  cluster:\n    server: {server_url}\n    certificate-authority-data: {ca}\n\
         users:\n\
         - name: {name}\n  user:\n    client-certificate-data: {cert}\n    client-key-data: {key}\n\
         contexts:\n\
         - name: {name}\n  context:\n    cluster: {name}\n    user: {name}\n\
         current-context: {name}\n\
         preferences: {{}}\n"
    )
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

//! Records of releases, as Secrets of Helm's. It decides nothing about releases.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chart::release::{self, Release, SECRET_TYPE};
use http::Method;
use serde_json::{Value as Json, json};

use super::cluster::{Cluster, ClusterError, text};

/// The records of one namespace, or of all.
pub struct Store<'c> {
    cluster: &'c Cluster,
}

impl<'c> Store<'c> {
    /// The records beside a release.
    #[must_use]
    pub fn new(cluster: &'c Cluster) -> Self {
        Self { cluster }
    }

    fn secrets(&self, namespace: &str) -> String {
        if namespace.is_empty() { "/api/v1/secrets".to_owned() } else { format!("/api/v1/namespaces/{namespace}/secrets") }
    }

    /// All records of a namespace (all namespaces, if it is empty) that fit a label selector beyond Helm's own.
    pub async fn list(&self, namespace: &str, selector: &str) -> Result<Vec<Release>, ClusterError> {
        let more = if selector.is_empty() { String::new() } else { format!("%2C{}", encoded(selector)) };
        let path = format!("{}?labelSelector=owner%3Dhelm{more}", self.secrets(namespace));
        let list = self.cluster.read(&path).await?.unwrap_or_default();
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(items.iter().filter_map(record).collect())
    }

    /// The history of a release, oldest first.
    pub async fn history(&self, name: &str) -> Result<Vec<Release>, ClusterError> {
        let mut history = self.list(&self.cluster.namespace, &format!("name={name}")).await?;
        history.sort_by_key(|release| release.version);
        Ok(history)
    }

    /// Makes the record of a new revision; false where somebody else made it first.
    pub async fn create(&self, release: &Release) -> Result<bool, ClusterError> {
        Ok(self.cluster.create(&secret(release, "createdAt")).await?.is_some())
    }

    /// Writes a record again.
    pub async fn update(&self, release: &Release) -> Result<(), ClusterError> {
        let name = release::secret_name(&release.name, release.version);
        let path = format!("{}/{name}", self.secrets(&release.namespace));
        let body = secret(release, "modifiedAt").to_string().into_bytes();
        self.cluster.ask(Method::PUT, &path, "application/json", body).await.map(drop)
    }

    /// All labels of a revision's record, Helm's own too.
    pub async fn labels(&self, release: &Release) -> Result<std::collections::BTreeMap<String, String>, ClusterError> {
        let name = release::secret_name(&release.name, release.version);
        let found = self.cluster.read(&format!("{}/{name}", self.secrets(&release.namespace))).await?.unwrap_or_default();
        let labels = found.pointer("/metadata/labels").and_then(Json::as_object).into_iter().flatten();
        Ok(labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect())
    }

    /// Forgets a revision.
    pub async fn delete(&self, release: &Release) -> Result<(), ClusterError> {
        let name = release::secret_name(&release.name, release.version);
        let path = format!("{}/{name}", self.secrets(&release.namespace));
        self.cluster.ask(Method::DELETE, &path, "", Vec::new()).await.map(drop)
    }
}

fn encoded(selector: &str) -> String {
    selector.replace('%', "%25").replace('=', "%3D").replace(',', "%2C").replace('!', "%21").replace(' ', "%20")
}

fn record(secret: &Json) -> Option<Release> {
    let outer = STANDARD.decode(text(secret, "/data/release")).ok()?;
    let mut release = release::decode(&outer).ok()?;
    if let Some(labels) = secret.pointer("/metadata/labels").and_then(Json::as_object) {
        let own = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];
        let custom = labels.iter().filter(|(name, _)| !own.contains(&name.as_str()));
        release.labels = custom.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    }
    Some(release)
}

fn secret(release: &Release, stamp: &str) -> Json {
    let mut labels = release::labels(release);
    labels.insert(stamp.to_owned(), jiff::Timestamp::now().as_second().to_string());
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SECRET_TYPE,
        "metadata": {
            "name": release::secret_name(&release.name, release.version),
            "namespace": release.namespace,
            "labels": labels,
        },
        "data": {"release": STANDARD.encode(release::encode(release))},
    })
}

//! What the server knows: the store, the kinds, the keys of the cluster; and how objects are named in the store.

mod projection;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use api::{
    document::{Value, meta},
    kind::{Kind, KindTable},
};
use arc_swap::ArcSwap;
use store::{Entry, Seal, Snapshot, Store};
use thiserror::Error;

use crate::{
    encryption::{Encryption, EncryptionError},
    pki::{self, Pki, PkiError},
    security::{Objects, Security},
};

pub use projection::{Fields, Filter, Projection, names};

/// An object as the store holds it.
pub type Stored = Arc<Entry<Fields>>;

/// Where the server keeps things, and the cluster's addresses.
pub struct Settings {
    /// The folder of the store.
    pub store: PathBuf,
    /// The keys of the cluster.
    pub pki: pki::Settings,
    /// The file of the encryption keys; apart from the store, so that a copy of the data alone opens no Secret.
    pub encryption_keys: PathBuf,
    /// The addresses of Services: first address and prefix length.
    pub service_cidr: (Ipv4Addr, u8),
    /// The node ports: first and last.
    pub node_ports: (u16, u16),
    /// Where pods and nodes reach the API: the endpoints of the `kubernetes` Service.
    pub advertised: Vec<SocketAddr>,
}

impl Settings {
    /// The usual settings below one folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            store: folder.join("store"),
            pki: pki::Settings::new(folder.join("pki")),
            encryption_keys: folder.join("pki/encryption.keys"),
            service_cidr: (Ipv4Addr::new(10, 43, 0, 0), 16),
            node_ports: (30000, 32767),
            advertised: Vec::new(),
        }
    }
}

/// Why the server could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The cluster's keys.
    #[error("the keys of the cluster cannot be opened")]
    OpenKeys(#[source] PkiError),
    /// The keys of encryption at rest.
    #[error("the encryption keys cannot be opened")]
    OpenEncryption(#[source] EncryptionError),
    /// The store.
    #[error("the store cannot be opened")]
    OpenStore(#[source] store::OpenError),
    /// What every cluster starts with.
    #[error("what every cluster starts with cannot be written")]
    WriteFirstObjects(#[source] store::CommitError),
}

/// What the server knows. Shared by all requests.
pub struct State {
    /// Keys, indexes and counters of security.
    pub security: Security,
    pub(crate) store: Store<Projection>,
    pub(crate) settings: Settings,
    kinds: Arc<ArcSwap<KindTable>>,
    /// What extensions serve.
    pub(crate) served: crate::aggregation::Served,
    /// The keys of encryption at rest.
    pub(crate) encryption: Arc<Encryption>,
    /// One rotation of them at a time.
    pub(crate) rotating: tokio::sync::Mutex<()>,
    /// Compiled rules of custom kinds.
    pub(crate) rules: crate::expression::Rules,
}

impl State {
    /// Opens keys and store.
    pub(crate) async fn open(settings: Settings) -> Result<Self, OpenError> {
        let clock = Arc::clone(&settings.pki.clock);
        let pki = Arc::new(Pki::open(settings.pki.clone()).map_err(OpenError::OpenKeys)?);
        let security = Security::new(pki, clock).map_err(OpenError::OpenKeys)?;
        let encryption = Encryption::open(&settings.encryption_keys, is_secret, settings.store.join("format").exists())
            .map_err(OpenError::OpenEncryption)?;
        let kinds = Arc::new(ArcSwap::from_pointee(KindTable::built_in()));
        let encryption = Arc::new(encryption);
        let seal: Arc<dyn Seal> = Arc::<Encryption>::clone(&encryption);
        let store = Store::open(store::Settings::new(&settings.store), Projection::new(Arc::clone(&kinds)), seal)
            .await
            .map_err(OpenError::OpenStore)?;
        let (served, rotating, rules) = Default::default();
        Ok(Self { security, store, settings, kinds, served, encryption, rotating, rules })
    }

    /// The kinds as they are now.
    pub fn kinds(&self) -> Arc<KindTable> {
        self.kinds.load_full()
    }

    /// Takes another table into use.
    pub(crate) fn set_kinds(&self, kinds: KindTable) {
        self.kinds.store(Arc::new(kinds));
    }

    /// The objects as they are now.
    pub(crate) fn snapshot(&self) -> Snapshot<Fields> {
        self.store.snapshot()
    }
}

/// Secrets are sealed; everything else lies open.
fn is_secret(key: &str) -> bool {
    key.starts_with("/core/secrets/")
}

/// The key of an object.
pub(crate) fn key(kind: &Kind, namespace: &str, name: &str) -> String {
    format!("{}{name}", prefix(kind, Some(namespace)))
}

/// The prefix of a kind's objects, or of those in one namespace (empty at cluster scope).
pub(crate) fn prefix(kind: &Kind, namespace: Option<&str>) -> String {
    let (group, plural) = kind.storage_place();
    place(group, plural, namespace)
}

fn place(group: &str, plural: &str, namespace: Option<&str>) -> String {
    let group = if group.is_empty() { "core" } else { group };
    match namespace {
        Some(namespace) => format!("/{group}/{plural}/{namespace}/"),
        None => format!("/{group}/{plural}/"),
    }
}

/// The object in the stored version, with its resourceVersion.
pub(crate) fn decode(entry: &Entry<Fields>) -> Value {
    let mut object = Value::parse_json(&entry.value).map(|(object, _)| object).unwrap_or_default();
    meta::set(&mut object, "resourceVersion", entry.modified.to_string());
    object
}

impl Objects for State {
    fn object(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.snapshot().get(&format!("{}{name}", place(group, resource, Some(namespace)))).map(|entry| decode(entry))
    }

    fn objects(&self, group: &str, resource: &str, namespace: &str) -> Vec<Value> {
        let prefix = place(group, resource, (!namespace.is_empty()).then_some(namespace));
        self.snapshot().range(&prefix, None).map(|entry| decode(entry)).collect()
    }
}

//! A cluster of a map for unit tests: objects, keys and indexes, without a store or a network.

use crate::pki::{Pki, Settings, system_clock};
use crate::security::{Objects, Security};
use api::document::{Value, meta};
use std::collections::BTreeMap;
use std::sync::Arc;

type Key = (String, String, String, String);

/// Objects by group, resource, namespace and name.
#[derive(Default)]
pub(crate) struct Stored(BTreeMap<Key, Value>);

impl Stored {
    pub(crate) fn put(&mut self, group: &str, resource: &str, object: Value) {
        let key = (group.into(), resource.into(), meta::namespace(&object).into(), meta::name(&object).into());
        self.0.insert(key, object);
    }

    pub(crate) fn remove(&mut self, group: &str, resource: &str, namespace: &str, name: &str) {
        self.0.remove(&(group.into(), resource.into(), namespace.into(), name.into()));
    }
}

impl Objects for Stored {
    fn object(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        self.0.get(&(group.into(), resource.into(), namespace.into(), name.into())).cloned()
    }

    fn objects(&self, group: &str, resource: &str, namespace: &str) -> Vec<Value> {
        let fits = |key: &Key| key.0 == group && key.1 == resource && (namespace.is_empty() || key.2 == namespace);
        self.0.iter().filter(|(key, _)| fits(key)).map(|(_, object)| object.clone()).collect()
    }
}

/// Keys, indexes and objects; the folder goes with it.
pub(crate) struct Cluster {
    pub(crate) security: Security,
    pub(crate) objects: Stored,
    _dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pki = Arc::new(Pki::open(Settings::new(dir.path().join("pki"))).unwrap());
        let security = Security::new(pki, system_clock()).unwrap();
        Self { security, objects: Stored::default(), _dir: dir }
    }

    /// With upstream's default roles in the index.
    pub(crate) fn with_defaults() -> Self {
        let cluster = Self::new();
        for default in crate::authz::bootstrap::defaults() {
            let kind = crate::authz::rbac::RbacKind::ALL.iter().find(|(_, r)| *r == default.resource).unwrap().0;
            assert!(cluster.security.indexes.rbac.put(kind, &serde_json::to_vec(&default.object).unwrap()));
        }
        cluster
    }
}

/// A document from its text.
pub(crate) fn json(text: &str) -> Value {
    Value::parse_json(text.as_bytes()).unwrap().0
}

//! What the security steps of a request share: keys, indexes and the clock, and how they look at the cluster's objects.

use crate::authn::service_account::Tokens;
use crate::authz::Indexes;
use crate::metrics::Metrics;
use crate::pki::{Clock, Pki};
use api::document::Value;
use std::sync::Arc;
use std::time::SystemTime;

/// How security looks at the cluster's objects: the newest committed state, from memory. The server's state is one; tests bring a map.
pub trait Objects: Send + Sync {
    /// One object; namespace empty at cluster scope.
    fn object(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Value>;

    /// Every object of a resource in a namespace, or of all when it is empty.
    fn objects(&self, group: &str, resource: &str, namespace: &str) -> Vec<Value>;
}

/// Keys, indexes, caches and counters of one server.
pub struct Security {
    /// The cluster's keys.
    pub pki: Arc<Pki>,
    /// What authorization knows.
    pub indexes: Arc<Indexes>,
    /// Service-account tokens.
    pub tokens: Tokens,
    /// Where time comes from.
    pub clock: Clock,
    /// Counters of requests.
    pub metrics: Metrics,
    /// What quotas have granted and is not stored yet.
    pub quota: crate::admission::resource_quota::Ledger,
    /// The way to the nodes.
    pub nodes: Arc<crate::node_proxy::NodeClient>,
}

impl Security {
    /// Everything that can be made from the keys alone; the indexes are filled by [`crate::security_feed`].
    pub fn new(pki: Arc<Pki>, clock: Clock) -> Result<Self, crate::pki::PkiError> {
        let tokens = Tokens::new(pki.service_account_keys().clone());
        let nodes = Arc::new(crate::node_proxy::NodeClient::new(pki.node_client_config()?));
        let indexes = Arc::new(Indexes::default());
        Ok(Self { pki, indexes, tokens, clock, metrics: Metrics::default(), quota: <_>::default(), nodes })
    }

    /// Now.
    pub fn now(&self) -> SystemTime {
        (self.clock)()
    }
}

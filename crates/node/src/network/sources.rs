//! What the network hears: caches of services, endpoint slices and nodes, cut down to what it needs, and their changes as one stream.

use std::net::Ipv4Addr;
use std::sync::Arc;

use client::{Cache, Change, Options};
use decide::network_rules::HostPort;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::sync::{mpsc, oneshot};

/// Something that the network has to act on.
pub(super) enum News {
    Service(Change<Service>),
    Slice(Change<EndpointSlice>),
    Node(Change<Node>),
    /// Every list is in; from here on the API was heard in full.
    Synced,
    HostPorts {
        pod_uid: String,
        address: Ipv4Addr,
        ports: Vec<HostPort>,
        done: oneshot::Sender<()>,
    },
}

/// The caches; they follow the API as long as they are held.
pub(super) struct Sources {
    pub(super) services: Arc<Cache<Service>>,
    pub(super) slices: Arc<Cache<EndpointSlice>>,
    _nodes: Arc<Cache<Node>>,
}

impl Sources {
    /// Begins to follow the API, and tells everything to `news`.
    pub(super) fn follow(client: kube::Client, news: &mpsc::UnboundedSender<News>) -> Self {
        let services = Cache::start(
            client.clone(),
            Options { project: |service: &mut Service| service.metadata.annotations = None, ..Options::default() },
        );
        let slices = Cache::start(client.clone(), Options { project: cut_slice, ..Options::default() });
        let nodes = Cache::start(client, Options { project: cut_node, ..Options::default() });
        tell(&services, news, News::Service);
        tell(&slices, news, News::Slice);
        tell(&nodes, news, News::Node);
        let (told, waited) = (news.clone(), (Arc::clone(&services), Arc::clone(&slices), Arc::clone(&nodes)));
        tokio::spawn(async move {
            // Whoever waits here for a server that never comes ends with the network, when nobody listens any more.
            tokio::select! {
                () = told.closed() => {}
                _ = async { tokio::join!(waited.0.synced(), waited.1.synced(), waited.2.synced()) } => drop(told.send(News::Synced)),
            }
        });
        Self { services, slices, _nodes: nodes }
    }
}

fn tell<K: client::cache::Cached>(cache: &Cache<K>, news: &mpsc::UnboundedSender<News>, wrap: fn(Change<K>) -> News) {
    let news = news.clone();
    cache.on_change(move |change| drop(news.send(wrap(change.clone()))));
}

fn cut_slice(slice: &mut EndpointSlice) {
    slice.metadata.annotations = None;
    slice.metadata.owner_references = None;
    for endpoint in slice.endpoints.iter_mut().flatten() {
        endpoint.target_ref = None;
        endpoint.deprecated_topology = None;
    }
}

fn cut_node(node: &mut Node) {
    node.metadata.annotations = None;
    node.metadata.labels = None;
    if let Some(status) = node.status.take() {
        node.status = Some(k8s_openapi::api::core::v1::NodeStatus { addresses: status.addresses, ..Default::default() });
    }
}

//! The one task that turns news into rules and routes: takes all that came, decides once, tells the kernel the difference. Sleeps otherwise.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use client::queue::{Backoff, pause};
use decide::dns_answer::{Zone, ZoneFacts};
use decide::network_rules::{Name, NodeFacts, Rules};
use ipnet::{IpNet, Ipv4Net};
use k8s_openapi::api::core::v1::Node;
use net::dns::{DnsServer, DnsSockets};
use net::link::{LinkSettings, NodeLinks};
use net::network_rules::{RuleTable, is_present};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::addresses::Addresses;
use super::health_check::HealthChecks;
use super::sources::{News, Sources};
use super::{NetworkError, NetworkSettings, State, remembered};

/// News that are taken at once; more wait for the next turn.
const NEWS_A_TURN: usize = 4096;
const DNS_PORT: u16 = 53;
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(10);

pub(super) struct Worker {
    settings: NetworkSettings,
    addresses: Arc<Mutex<Addresses>>,
    state: watch::Sender<State>,
    /// There once the node has a pod CIDR.
    kernel: Option<Kernel>,
    peers: BTreeMap<String, (Ipv4Net, Ipv4Addr)>,
    peers_changed: bool,
    /// The API was heard in full.
    synced: bool,
    waiting: Vec<oneshot::Sender<()>>,
    names: Names,
    health_checks: HealthChecks,
}

/// The zone that changes, the one that is read, and the server that reads it.
struct Names {
    facts: ZoneFacts,
    zone: Zone,
    /// The zone is what an agent before this one heard; what is gone since is still in it.
    is_remembered: bool,
    /// Tells who writes down what is heard.
    heard: Arc<Notify>,
    changed: bool,
    published: Arc<ArcSwap<Zone>>,
    server: Option<DnsServer>,
}

struct Kernel {
    rules: Rules,
    table: RuleTable,
    /// The table holds what `rules` says but for the differences not taken yet.
    in_step: bool,
    links: Arc<NodeLinks>,
}

impl Worker {
    /// Takes up what an agent before this one left, if there was one.
    pub(super) fn new(
        settings: NetworkSettings,
        addresses: Arc<Mutex<Addresses>>,
        state: watch::Sender<State>,
    ) -> Result<Self, NetworkError> {
        let known = addresses.lock().unwrap_or_else(PoisonError::into_inner).pod_cidr();
        let names = Names::remember(&settings);
        let mut worker = Self {
            settings,
            names,
            health_checks: HealthChecks::default(),
            addresses,
            state,
            kernel: None,
            peers: BTreeMap::new(),
            peers_changed: false,
            synced: false,
            waiting: Vec::new(),
        };
        if let Some(cidr) = known {
            worker.open_kernel(cidr)?;
            let in_force = is_present().map_err(NetworkError::ReadyRules)?;
            worker.state.send_modify(|state| state.in_force = in_force);
        }
        Ok(worker)
    }

    /// Answers names from what was heard before, until the API is heard in full.
    fn answer_as_before(&mut self) {
        if let Some(kernel) = self.kernel.as_ref().filter(|_| self.names.is_remembered)
            && let Err(error) = self.names.catch_up(&self.settings, &kernel.links)
        {
            tracing::warn!(error = chain(&error), "names are not answered before the API is heard");
        }
    }

    pub(super) async fn run(mut self, sources: Sources, mut news: mpsc::UnboundedReceiver<News>) {
        self.answer_as_before();
        let sources = Arc::new(sources);
        let keep = remembered::keep(self.settings.folder.clone(), Arc::clone(&sources), Arc::clone(&self.names.heard));
        let _keeper = AbortOnDropHandle::new(tokio::spawn(keep));
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
        let mut failure: Option<String> = None;
        let mut turn = Vec::new();
        loop {
            tokio::select! {
                taken = news.recv_many(&mut turn, NEWS_A_TURN) => if taken == 0 { return },
                () = pause(backoff.next()), if failure.is_some() => {}
            }
            turn.drain(..).for_each(|news| self.take(news));
            let former = failure.take();
            match self.catch_up(&sources).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    let text = chain(&error);
                    // Said once, however often it is tried.
                    if former.as_ref() != Some(&text) {
                        tracing::warn!(
                            node = self.settings.node_name,
                            error = text,
                            "the node's network is behind; trying again"
                        );
                    }
                    failure = Some(text);
                }
            }
        }
    }

    fn take(&mut self, news: News) {
        let rules = self.kernel.as_mut().map(|kernel| &mut kernel.rules);
        self.names.changed |= matches!(news, News::Service(_) | News::Slice(_));
        let zone = &mut self.names.zone;
        // Without a pod CIDR there are no rules; they will begin with all that the caches have then.
        match news {
            News::Node(change) => self.take_node(change.key.name(), change.new.as_deref()),
            News::Synced => self.synced = true,
            News::Service(change) => match &change.new {
                Some(service) => {
                    zone.set_service(service);
                    rules.into_iter().for_each(|rules| rules.set_service(service));
                }
                None => {
                    let name = Name::new(change.key.namespace(), change.key.name());
                    zone.remove_service(&name);
                    rules.into_iter().for_each(|rules| rules.remove_service(&name));
                }
            },
            News::Slice(change) => match &change.new {
                Some(slice) => {
                    zone.set_slice(slice);
                    rules.into_iter().for_each(|rules| rules.set_slice(slice));
                }
                None => {
                    let name = Name::new(change.key.namespace(), change.key.name());
                    zone.remove_slice(&name);
                    rules.into_iter().for_each(|rules| rules.remove_slice(&name));
                }
            },
            News::HostPorts { pod_uid, address, ports, done } => {
                if let Some(rules) = rules {
                    rules.set_host_ports(&pod_uid, address, ports);
                    self.waiting.push(done);
                }
            }
        }
    }

    fn take_node(&mut self, name: &str, node: Option<&Node>) {
        let place = node.and_then(place_of);
        if name != self.settings.node_name {
            let before = match place {
                Some(place) => self.peers.insert(name.to_owned(), place),
                None => self.peers.remove(name),
            };
            self.peers_changed |= before != place;
        } else if let Some(cidr) = node.and_then(pod_cidr) {
            let held = self.kernel.as_ref().map(|kernel| kernel.rules.node().pod_cidr);
            if held != Some(cidr) {
                self.kernel = None;
                let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
                if let Err(failure) = addresses.set_pod_cidr(cidr) {
                    tracing::error!(failure = chain(&failure), "the node's pod CIDR cannot be kept");
                }
            }
        }
    }

    /// Brings the kernel to what was heard. Whatever fails is tried again as a whole.
    async fn catch_up(&mut self, sources: &Sources) -> Result<(), NetworkError> {
        if self.kernel.is_none() {
            let known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner).pod_cidr();
            let Some(cidr) = known else { return Ok(()) };
            self.open_kernel(cidr)?;
            let Some(kernel) = &mut self.kernel else { return Ok(()) };
            sources.services.list().iter().for_each(|service| kernel.rules.set_service(service));
            sources.slices.list().iter().for_each(|slice| kernel.rules.set_slice(slice));
        }
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        // Before the API was heard in full, what the kernel has is better than what is known here.
        if !self.synced {
            return Ok(());
        }
        kernel.catch_up().map_err(NetworkError::ReadyRules)?;
        for done in self.waiting.drain(..) {
            // The caller may have stopped waiting.
            let _ = done.send(());
        }
        self.names.forget_what_is_gone(sources);
        if self.names.changed {
            self.names.heard.notify_one();
        }
        let named = self.names.catch_up(&self.settings, &kernel.links);
        let routed = if self.peers_changed {
            let beyond = self.settings.local_network_router.map(|router| (self.settings.local_network, router));
            let peers: Vec<_> = self.peers.values().copied().chain(beyond).collect();
            kernel.links.set_peer_routes(&peers).map_err(NetworkError::ReadyLinks)
        } else {
            Ok(())
        };
        self.peers_changed = routed.is_err();
        self.state.send_if_modified(|state| !std::mem::replace(&mut state.in_force, true));
        let checked = self.health_checks.set(kernel.rules.health_checks()).await.map_err(NetworkError::OpenHealthCheck);
        named.and(routed).and(checked)
    }

    fn open_kernel(&mut self, pod_cidr: Ipv4Net) -> Result<(), NetworkError> {
        let settings = &self.settings;
        let facts = NodeFacts {
            name: settings.node_name.clone(),
            address: settings.node_address,
            pod_cidr,
            cluster_cidr: settings.cluster_cidr,
            service_cidr: settings.service_cidr,
            local_network: settings.local_network_router.is_none().then_some(settings.local_network),
            own_service: settings.dns_address,
        };
        let links = LinkSettings {
            node_address: settings.node_address,
            pod_cidr,
            service_cidr: settings.service_cidr,
            mtu: settings.mtu,
        };
        let links = Arc::new(NodeLinks::open(links).map_err(NetworkError::ReadyLinks)?);
        let table = RuleTable::open(facts.clone()).map_err(NetworkError::ReadyRules)?;
        let mut rules = Rules::new(facts);
        for (uid, address, ports) in self.addresses.lock().unwrap_or_else(PoisonError::into_inner).host_ports() {
            rules.set_host_ports(&uid, address, ports);
        }
        self.peers_changed = true;
        self.state.send_modify(|state| state.links = Some(Arc::clone(&links)));
        self.kernel = Some(Kernel { rules, table, in_step: false, links });
        Ok(())
    }
}

impl Names {
    /// With what an agent before this one heard, if there was one.
    fn remember(settings: &NetworkSettings) -> Self {
        let facts = ZoneFacts {
            domain: settings.cluster_domain.to_ascii_lowercase(),
            address: settings.dns_address,
            networks: vec![IpNet::V4(settings.cluster_cidr), IpNet::V4(settings.service_cidr)],
        };
        let mut zone = Zone::new(facts.clone());
        let before = remembered::read(&settings.folder);
        if let Some(before) = &before {
            before.services.iter().for_each(|service| zone.set_service(service));
            before.slices.iter().for_each(|slice| zone.set_slice(slice));
        }
        let published = Arc::new(ArcSwap::from_pointee(zone.clone()));
        Self { facts, zone, is_remembered: before.is_some(), heard: Arc::default(), changed: false, published, server: None }
    }

    /// Now that the API was heard in full, only what it said counts.
    fn forget_what_is_gone(&mut self, sources: &Sources) {
        if !std::mem::take(&mut self.is_remembered) {
            return;
        }
        self.zone = Zone::new(self.facts.clone());
        sources.services.list().iter().for_each(|service| self.zone.set_service(service));
        sources.slices.list().iter().for_each(|slice| self.zone.set_slice(slice));
        self.changed = true;
    }

    /// Shows the zone as it is now, and begins to serve it. Not before the API was heard in full, by this agent or the one before: better no
    /// answer than a wrong "no such name".
    fn catch_up(&mut self, settings: &NetworkSettings, links: &NodeLinks) -> Result<(), NetworkError> {
        if std::mem::take(&mut self.changed) {
            self.published.store(Arc::new(self.zone.clone()));
        }
        if self.server.is_none() {
            links.add_loopback_address(settings.dns_address).map_err(NetworkError::ReadyLinks)?;
            let sockets = DnsSockets::bind((settings.dns_address, DNS_PORT).into()).map_err(NetworkError::ServeNames)?;
            let server = DnsServer::start(sockets, Arc::clone(&self.published), settings.resolv_conf.clone());
            self.server = Some(server.map_err(NetworkError::ServeNames)?);
        }
        Ok(())
    }
}

impl Kernel {
    fn catch_up(&mut self) -> Result<(), net::network_rules::NetworkRulesError> {
        let changes = self.rules.take_changes();
        if self.in_step && self.table.change(&changes).is_err() {
            // Someone else had a hand in the table: put it right as a whole.
            self.in_step = false;
        }
        if !self.in_step {
            self.table.replace(self.rules.entries())?;
            self.in_step = true;
        }
        self.table.forget(&changes.stale).map(|_| ())
    }
}

/// The pods of a node, and the address that leads to them.
fn place_of(node: &Node) -> Option<(Ipv4Net, Ipv4Addr)> {
    let addresses = node.status.as_ref()?.addresses.as_ref()?;
    let internal = addresses.iter().filter(|address| address.type_ == "InternalIP");
    Some((pod_cidr(node)?, internal.filter_map(|address| address.address.parse().ok()).next()?))
}

fn pod_cidr(node: &Node) -> Option<Ipv4Net> {
    node.spec.as_ref()?.pod_cidr.as_ref()?.parse().ok()
}

/// An error with all its sources, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

//! The pod's network namespace, link and address, by the node's network. It comes before the sandbox, whose process is born in the namespace.

use std::net::IpAddr;
use std::path::PathBuf;

use decide::network_rules::{HostPort, Protocol};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use net::namespace::Namespace;
use serde::{Deserialize, Serialize};

use super::{Done, Ground, Step, StepError, chain};
use crate::network::NetworkHandle;

/// A pod's place in the network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attached {
    /// Where its namespace is bound.
    pub(crate) namespace: PathBuf,
    /// Its addresses.
    pub(crate) addresses: Vec<IpAddr>,
}

/// The network could not do it; the cause is in its own words.
pub(crate) type NetworkError = Box<dyn std::error::Error + Send + Sync>;

/// What pods need of the node's network.
pub(crate) trait PodNetwork: Send + Sync {
    /// Where the namespace of a pod is bound, or will be.
    fn namespace(&self, uid: &str) -> PathBuf;
    /// Gives a pod its namespace, link and address; the same again for one that has them.
    fn attach<'a>(&'a self, pod: &'a Pod) -> BoxFuture<'a, Result<Attached, NetworkError>>;
    /// Waits until the rules that concern a pod are in force.
    fn protect<'a>(&'a self, pod: &'a Pod) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Takes it all away; fine if it never was.
    fn detach<'a>(&'a self, uid: &'a str) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Knows a pod again that has its address since before the agent started.
    fn adopt<'a>(&'a self, uid: &'a str, attached: &'a Attached) -> BoxFuture<'a, Result<(), NetworkError>>;
}

pub(super) struct Address;

/// Whether a pod lives in the node's own network.
pub(super) fn is_of_host(pod: &Pod) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true)
}

fn failed(error: &NetworkError) -> StepError {
    let message = format!("Failed to create pod sandbox: plugin type=\"coracle\" failed (add): {}", chain(error.as_ref()));
    StepError::new("FailedCreatePodSandBox", message)
}

impl Step for Address {
    fn name(&self) -> &'static str {
        "address"
    }

    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            if is_of_host(&ground.pod) {
                return Ok(());
            }
            let attached = ground.site.network.attach(&ground.pod).await.map_err(|error| failed(&error))?;
            ground.record.attached = Some(attached);
            Ok(())
        })
    }

    fn stop<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            if is_of_host(&ground.pod) {
                return Ok(());
            }
            let detached = ground.site.network.detach(&ground.uid).await;
            detached.map_err(|error| StepError::new("FailedKillPod", chain(error.as_ref())))?;
            ground.record.attached = None;
            Ok(())
        })
    }

    fn adopt<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let Some(attached) = &ground.record.attached else { return Ok(()) };
            ground.site.network.adopt(&ground.uid, attached).await.map_err(|error| failed(&error))
        })
    }
}

/// The name of a pod's network namespace.
fn namespace_of(uid: &str) -> String {
    format!("coracle-pod-{uid}")
}

/// The ports of the node that a pod asks for.
fn host_ports(pod: &Pod) -> Vec<HostPort> {
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let asked = ports.filter_map(|port| {
        let protocol = match port.protocol.as_deref().unwrap_or("TCP") {
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => Protocol::Tcp,
        };
        let host_address = port.host_ip.as_deref().and_then(|ip| ip.parse::<std::net::Ipv4Addr>().ok());
        Some(HostPort {
            host_address: host_address.filter(|ip| !ip.is_unspecified()),
            protocol,
            host_port: u16::try_from(port.host_port?).ok().filter(|port| *port > 0)?,
            pod_port: u16::try_from(port.container_port).ok()?,
        })
    });
    asked.collect()
}

fn uid_of(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

impl PodNetwork for NetworkHandle {
    fn namespace(&self, uid: &str) -> PathBuf {
        net::namespace::path_of(&namespace_of(uid))
    }

    fn attach<'a>(&'a self, pod: &'a Pod) -> BoxFuture<'a, Result<Attached, NetworkError>> {
        Box::pin(async move {
            let uid = uid_of(pod);
            let name = namespace_of(&uid);
            let made = tokio::task::spawn_blocking(move || Namespace::open_or_create(&name)).await??;
            let given = NetworkHandle::attach(self, &uid, made.name()).await?;
            let ports = host_ports(pod);
            if !ports.is_empty() {
                self.set_host_ports(&uid, ports).await?;
            }
            Ok(Attached { namespace: made.path(), addresses: vec![given.address.into()] })
        })
    }

    fn protect<'a>(&'a self, _: &'a Pod) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(self.ready().await?) })
    }

    fn detach<'a>(&'a self, uid: &'a str) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            NetworkHandle::detach(self, uid).await?;
            let name = namespace_of(uid);
            // The link ends with the namespace, at no cost to anyone who waits.
            tokio::task::spawn_blocking(move || net::namespace::remove(&name)).await??;
            Ok(())
        })
    }

    /// The network keeps its own book of addresses.
    fn adopt<'a>(&'a self, _: &'a str, attached: &'a Attached) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            match attached.namespace.exists() {
                true => Ok(()),
                false => Err(format!("the network namespace {} is gone", attached.namespace.display()).into()),
            }
        })
    }
}

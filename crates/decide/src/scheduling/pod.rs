//! A pod as the scheduler sees it: what it asks for and what it must be near to or far from, compiled once. Never keeps the typed object,
//! which is ten times the size.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod as Typed, PodSpec, Toleration};

use super::labels::Labels;
use super::node_affinity::NodeAffinity;
use super::pod_affinity::PodAffinity;
use super::resources::{self, Resources};
use super::spread::Constraint;

/// What names a pod for good.
pub type Uid = Arc<str>;

/// A port of the host that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The address, `0.0.0.0` for all.
    pub ip: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The port.
    pub port: i32,
}

impl HostPort {
    /// Whether both cannot be had at the same time.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let any = self.ip == ANY || other.ip == ANY || self.ip == other.ip;
        any && self.port == other.port && self.protocol == other.protocol
    }
}

const ANY: &str = "0.0.0.0";

/// A volume of a pod that is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    /// The claim's name in the pod's namespace.
    pub name: String,
    /// Whether the claim is made for this pod alone, out of a template in its volume.
    pub ephemeral: bool,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its uid.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Kind and name of the controller that owns it.
    pub controller: Option<(String, String)>,
    /// Its priority.
    pub priority: i32,
    /// Whether it never takes the place of others.
    pub never_preempts: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// When it was started, or made.
    pub started: Timestamp,
    /// The scheduler that it asks for.
    pub scheduler: String,
    /// Gates that hold its scheduling back.
    pub gates: Vec<String>,
    /// The node that it is on, empty while it has none.
    pub node: String,
    /// The node that was chosen for it by preemption.
    pub nominated: String,
    /// What it takes of a node.
    pub requests: Resources,
    /// The same, where containers without requests count for something.
    pub assumed_requests: Resources,
    /// The taints that it tolerates.
    pub tolerations: Vec<Toleration>,
    /// What it says about its node.
    pub node_affinity: NodeAffinity,
    /// Which pods it must be, wants to be near to or far from.
    pub pod_affinity: PodAffinity,
    /// How evenly pods like it are to be spread.
    pub spread: Vec<Constraint>,
    /// The ports of the host that it takes.
    pub ports: Vec<HostPort>,
    /// The claims that it mounts.
    pub claims: Vec<ClaimRef>,
    /// The images that it runs and mounts, by their full names.
    pub images: Vec<String>,
}

impl Pod {
    /// The pod of a typed object.
    #[must_use]
    pub fn new(typed: &Typed) -> Self {
        let meta = &typed.metadata;
        let empty = PodSpec::default();
        let spec = typed.spec.as_ref().unwrap_or(&empty);
        let status = typed.status.as_ref();
        let labels = meta.labels.clone().unwrap_or_default();
        let namespace: Arc<str> = meta.namespace.as_deref().unwrap_or_default().into();
        let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let time = |time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| time.map(|time| time.0);
        let started = time(status.and_then(|status| status.start_time.as_ref()));
        Self {
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            name: meta.name.clone().unwrap_or_default(),
            controller: controller.map(|owner| (owner.kind.clone(), owner.name.clone())),
            priority: spec.priority.unwrap_or_default(),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            terminating: meta.deletion_timestamp.is_some(),
            started: started.or_else(|| time(meta.creation_timestamp.as_ref())).unwrap_or(Timestamp::UNIX_EPOCH),
            scheduler: spec.scheduler_name.clone().unwrap_or_default(),
            gates: spec.scheduling_gates.iter().flatten().map(|gate| gate.name.clone()).collect(),
            node: spec.node_name.clone().unwrap_or_default(),
            nominated: status.and_then(|status| status.nominated_node_name.clone()).unwrap_or_default(),
            requests: resources::requests(typed),
            assumed_requests: resources::assumed_requests(typed),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            node_affinity: NodeAffinity::new(spec),
            pod_affinity: PodAffinity::new(spec, &namespace, &labels),
            spread: Constraint::of(spec, &labels),
            ports: host_ports(spec),
            claims: claims(spec, meta.name.as_deref().unwrap_or_default()),
            images: images(spec),
            namespace,
            labels,
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Whether a pod needs no place any more: it ran to its end.
#[must_use]
pub fn is_done(typed: &Typed) -> bool {
    let phase = typed.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The ports of its node that a pod takes.
pub(crate) fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let taken = ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| ANY.to_owned());
        let protocol = port.protocol.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "TCP".to_owned());
        Some(HostPort { ip, protocol, port: number })
    });
    taken.collect()
}

fn claims(spec: &PodSpec, pod: &str) -> Vec<ClaimRef> {
    let volumes = spec.volumes.iter().flatten();
    let claims = volumes.filter_map(|volume| {
        if let Some(claim) = &volume.persistent_volume_claim {
            return Some(ClaimRef { name: claim.claim_name.clone(), ephemeral: false });
        }
        volume.ephemeral.as_ref().map(|_| ClaimRef { name: format!("{pod}-{}", volume.name), ephemeral: true })
    });
    claims.collect()
}

fn images(spec: &PodSpec) -> Vec<String> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers).filter_map(|one| one.image.as_deref());
    let mounted = spec.volumes.iter().flatten().filter_map(|one| one.image.as_ref()?.reference.as_deref());
    containers.chain(mounted).map(full_image_name).collect()
}

/// The image's name with its tag; `latest` where none is written.
#[must_use]
pub fn full_image_name(name: &str) -> String {
    let after_host = name.rsplit('/').next().unwrap_or(name);
    if after_host.contains(':') || name.contains('@') { name.to_owned() } else { format!("{name}:latest") }
}

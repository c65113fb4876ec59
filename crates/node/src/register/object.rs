//! The Node object: made at the start, its status written when something changed and every five minutes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use tokio::sync::watch;

use super::{Machine, RegisterError};

/// A status is written this often even if nothing changed.
const WRITE_EVERY: Duration = Duration::from_secs(300);
/// The annotation that names the node's folder.
const FOLDER: &str = "coracle.dev/folder";
/// How many images the status names.
const IMAGES_MAX: usize = 50;

/// What changes while the node runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// The images that are here: names and bytes.
    pub(crate) images: Vec<(Vec<String>, i64)>,
    /// Whether memory is short.
    pub(crate) memory_pressure: bool,
    /// Whether the disk is nearly full.
    pub(crate) disk_pressure: bool,
    /// Why the node takes no pods yet; none when it does.
    pub(crate) not_ready: Option<String>,
}

/// Keeps one Node object.
pub(crate) struct NodeKeeper {
    pub(crate) client: kube::Client,
    pub(crate) name: String,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) folder: PathBuf,
    pub(crate) machine: Machine,
}

impl NodeKeeper {
    fn api(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    /// Makes the Node, or brings the one that is there up to date; returns it.
    pub(crate) async fn register(&self, report: &Report) -> Result<Node, RegisterError> {
        let node = Node {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(self.all_labels()),
                annotations: Some(self.annotations()),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec::default()),
            status: Some(self.status(report, None, Timestamp::now())),
        };
        match self.api().create(&PostParams::default(), &node).await {
            Ok(made) if ready(&made).is_some() => return Ok(made),
            Ok(made) => return self.write(report, Some(&made)).await,
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(RegisterError::WriteNode(error)),
        }
        let patch = serde_json::json!({ "metadata": { "labels": self.all_labels(), "annotations": self.annotations() } });
        let patched = self.api().patch(&self.name, &PatchParams::default(), &Patch::Strategic(&patch)).await;
        let there = patched.map_err(RegisterError::WriteNode)?;
        self.write(report, Some(&there)).await
    }

    /// Writes the status; conditions keep the time of their last change.
    pub(crate) async fn write(&self, report: &Report, before: Option<&Node>) -> Result<Node, RegisterError> {
        let status = self.status(report, before, Timestamp::now());
        let mut patch = serde_json::json!({ "status": status });
        // Addresses and images are to be what we say, not merged with what was there.
        if let Some(addresses) = patch.pointer_mut("/status/addresses").and_then(serde_json::Value::as_array_mut) {
            addresses.push(serde_json::json!({ "$patch": "replace" }));
        }
        let params = PatchParams::default();
        let written = self.api().patch_status(&self.name, &params, &Patch::Strategic(&patch)).await;
        written.map_err(RegisterError::WriteNode)
    }

    /// Where the node keeps everything: the provisioner of local volumes makes their paths of it.
    fn annotations(&self) -> BTreeMap<String, String> {
        [(FOLDER.to_owned(), self.folder.display().to_string())].into()
    }

    fn all_labels(&self) -> BTreeMap<String, String> {
        let architecture = &self.machine.info.architecture;
        let fixed = [
            ("kubernetes.io/hostname", self.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", architecture),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", architecture),
        ];
        let own = self.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        fixed.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).chain(own).collect()
    }

    fn status(&self, report: &Report, before: Option<&Node>, now: Timestamp) -> NodeStatus {
        let address = |kind: &str, address: String| NodeAddress { type_: kind.into(), address };
        let image = |(names, bytes): &(Vec<String>, i64)| ContainerImage { names: Some(names.clone()), size_bytes: Some(*bytes) };
        NodeStatus {
            addresses: Some(vec![address("InternalIP", self.address.to_string()), address("Hostname", self.name.clone())]),
            capacity: Some(self.machine.capacity()),
            allocatable: Some(self.machine.allocatable()),
            conditions: Some(conditions(report, before, now)),
            daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(self.port) }) }),
            images: Some(report.images.iter().take(IMAGES_MAX).map(image).collect()),
            node_info: Some(self.machine.info.clone()),
            ..NodeStatus::default()
        }
    }

    /// Writes whenever the report changes, and now and then without; for as long as it is polled.
    pub(crate) async fn run(&self, mut node: Node, mut reports: watch::Receiver<Report>) {
        loop {
            if let Ok(Err(_)) = tokio::time::timeout(WRITE_EVERY, reports.changed()).await {
                return;
            }
            let report = reports.borrow_and_update().clone();
            match self.write(&report, Some(&node)).await {
                Ok(written) => node = written,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the node's status is not written");
                    client::queue::pause(Duration::from_secs(1)).await;
                    reports.mark_changed();
                }
            }
        }
    }
}

fn ready(node: &Node) -> Option<&NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == "Ready")
}

fn conditions(report: &Report, before: Option<&Node>, now: Timestamp) -> Vec<NodeCondition> {
    let pressure = |kind: &str, on: bool, names: [&str; 2], messages: [&str; 2]| {
        let at = usize::from(on);
        (kind.to_owned(), on, names[at].to_owned(), messages[at].to_owned())
    };
    let ready = match &report.not_ready {
        None => ("Ready".to_owned(), true, "KubeletReady".to_owned(), "kubelet is posting ready status".to_owned()),
        Some(why) => ("Ready".to_owned(), false, "KubeletNotReady".to_owned(), why.clone()),
    };
    let all = [
        pressure(
            "MemoryPressure",
            report.memory_pressure,
            ["KubeletHasSufficientMemory", "KubeletHasInsufficientMemory"],
            ["kubelet has sufficient memory available", "kubelet has insufficient memory available"],
        ),
        pressure(
            "DiskPressure",
            report.disk_pressure,
            ["KubeletHasNoDiskPressure", "KubeletHasDiskPressure"],
            ["kubelet has no disk pressure", "kubelet has disk pressure"],
        ),
        pressure(
            "PIDPressure",
            false,
            ["KubeletHasSufficientPID", "KubeletHasInsufficientPID"],
            ["kubelet has sufficient PID available", "kubelet has insufficient PID available"],
        ),
        ready,
    ];
    let old = before.and_then(|node| node.status.as_ref()?.conditions.as_ref());
    let condition = |(kind, on, reason, message): (String, bool, String, String)| {
        let status = if on { "True" } else { "False" };
        let same = old.into_iter().flatten().find(|c| c.type_ == kind && c.status == status);
        NodeCondition {
            last_heartbeat_time: Some(Time(now)),
            last_transition_time: same.and_then(|c| c.last_transition_time.clone()).or(Some(Time(now))),
            message: Some(message),
            reason: Some(reason),
            status: status.into(),
            type_: kind,
        }
    };
    all.into_iter().map(condition).collect()
}

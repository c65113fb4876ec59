//! Volumes of the class `local-path`: a folder on the chosen node. The volume object is made here; the folder is the node's to make.

use api::identity::{VOLUME_NODE_LABEL, node_label};
use decide::volume_binding::plan::OUR_PROVISIONER;
use decide::volume_binding::{Claim, SELECTED_NODE};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::{Binder, FINALIZER, NODE, PROVISIONED_BY};
use crate::apply::{self, ApplyError};

/// On a claim: who is to make its volume.
const PROVISIONER: &str = "volume.kubernetes.io/storage-provisioner";
const OLD_PROVISIONER: &str = "volume.beta.kubernetes.io/storage-provisioner";
/// On a node: the folder in which it keeps everything.
const NODE_FOLDER: &str = "coracle.dev/folder";
/// Where nodes keep everything unless they say otherwise.
const NODES_FOLDER: &str = "/var/lib/coracle/nodes";

impl Binder {
    /// Makes the volume of a claim and binds both.
    pub(super) async fn provision(
        &self,
        typed: &PersistentVolumeClaim,
        claim: &Claim,
        node: Option<String>,
    ) -> Result<(), ApplyError> {
        self.set_claim_phase(typed, "Pending").await?;
        if typed.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        if claim.volume_mode == "Block" {
            let message = format!(
                "failed to provision volume with StorageClass \"{}\": only filesystem volumes are supported",
                claim.class_name()
            );
            self.tell(typed, "ProvisioningFailed", message);
            return Ok(());
        }
        let Some(node) = self.place(node.as_deref()) else { return self.choose_again(typed, claim, node).await };
        let name = format!("pvc-{}", claim.uid);
        let volume = self.volume_of(typed, claim, &node, &name);
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let made = match api.create(&PostParams::default(), &volume).await {
            Ok(made) => made,
            // It was made before; its event leads on.
            Err(error) if apply::is_there_already(&error) => return Ok(()),
            Err(error) => {
                let message = format!(
                    "failed to provision volume with StorageClass \"{}\": {}",
                    claim.class_name(),
                    apply::message(&error)
                );
                self.tell(typed, "ProvisioningFailed", message);
                return Err(ApplyError::write("a volume")(error));
            }
        };
        self.volumes.caught_up(&made).await?;
        self.events.normal(typed, "ProvisioningSucceeded", format!("Successfully provisioned volume {name}"));
        let now = self.claims.find(&claim.key.0, &claim.key.1).filter(|now| now.metadata.uid == typed.metadata.uid);
        match now {
            Some(now) => self.bind(&now, &made).await,
            None => Ok(()),
        }
    }

    /// The node that was chosen; without a choice the first one.
    fn place(&self, chosen: Option<&str>) -> Option<std::sync::Arc<Node>> {
        match chosen {
            Some(name) => self.nodes.find("", name),
            None => {
                self.nodes.list().into_iter().find(|node| node.spec.as_ref().is_none_or(|spec| spec.unschedulable != Some(true)))
            }
        }
    }

    /// The chosen node is gone: the scheduler has to choose again.
    async fn choose_again(&self, typed: &PersistentVolumeClaim, claim: &Claim, node: Option<String>) -> Result<(), ApplyError> {
        let node = node.unwrap_or_default();
        let message =
            format!("failed to provision volume with StorageClass \"{}\": node \"{node}\" not found", claim.class_name());
        self.tell(typed, "ProvisioningFailed", message);
        let Some(now) = self.claims.find(&claim.key.0, &claim.key.1) else { return Ok(()) };
        let mut new = (*now).clone();
        match new.annotations_mut().remove(SELECTED_NODE) {
            Some(_) => self.write_claim(&new).await.map(drop),
            None => Ok(()),
        }
    }

    fn volume_of(&self, typed: &PersistentVolumeClaim, claim: &Claim, node: &Node, name: &str) -> PersistentVolume {
        let node_name = node.name_any();
        let folder = node.annotations().get(NODE_FOLDER).cloned().unwrap_or_else(|| format!("{NODES_FOLDER}/{node_name}"));
        let class = self.classes.find("", claim.class_name());
        let reclaim = class.as_ref().and_then(|class| class.reclaim_policy.clone()).unwrap_or_else(|| "Delete".to_owned());
        let hostname = node.labels().get("kubernetes.io/hostname").cloned().unwrap_or_else(|| node_name.clone());
        let only_there = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [hostname]});
        let spec = typed.spec.as_ref();
        let capacity = spec.and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage").cloned());
        let volume = json!({
            "metadata": {
                "name": name, "finalizers": [FINALIZER],
                "labels": {VOLUME_NODE_LABEL: node_label(&node_name)},
                "annotations": {PROVISIONED_BY: OUR_PROVISIONER, NODE: node_name},
            },
            "spec": {
                "accessModes": claim.modes, "capacity": {"storage": capacity}, "volumeMode": claim.volume_mode,
                "storageClassName": claim.class_name(), "persistentVolumeReclaimPolicy": reclaim,
                "mountOptions": class.as_ref().and_then(|class| class.mount_options.clone()),
                "local": {"path": format!("{folder}/volumes/{name}")},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [only_there]}]}},
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": &*claim.key.0, "name": &*claim.key.1, "uid": claim.uid,
                },
            },
        });
        serde_json::from_value(volume).unwrap_or_default()
    }

    /// Someone else is asked to make the volume.
    pub(super) async fn ask(&self, typed: &PersistentVolumeClaim, provisioner: &str) -> Result<(), ApplyError> {
        let mut new = typed.clone();
        let annotations = new.annotations_mut();
        if annotations.get(PROVISIONER).map(String::as_str) != Some(provisioner) {
            for name in [PROVISIONER, OLD_PROVISIONER] {
                annotations.insert(name.to_owned(), provisioner.to_owned());
            }
            new = self.write_claim(&new).await?;
        }
        self.set_claim_phase(&new, "Pending").await?;
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If volume \
             creation is delayed, please verify that the provisioner is running and correctly registered."
        );
        self.tell(&new, "ExternalProvisioning", message);
        Ok(())
    }
}

//! The claims of a pod against a node: bound volumes must be reachable from it, others must be found or made there.

use super::cluster::{Cluster, claim_key};
use super::node::Node;
use super::pod::Pod;
use super::reason::Reason;
use super::{ClaimPlan, ClaimStep};
use crate::volume_binding::{self, Claim, ClaimKey, Volume};

/// What a pod's claims need of a node.
#[derive(Clone, Default)]
pub struct Needs<'c> {
    bound: Vec<Option<&'c Volume>>,
    unbound: Vec<&'c Claim>,
    exclusive: Vec<ClaimKey>,
}

impl<'c> Needs<'c> {
    /// What the pod's claims need.
    ///
    /// # Errors
    /// When no node can help: a claim is missing, lost, being deleted, or is bound on its own time. The text is upstream's.
    pub fn new(cluster: &'c Cluster, pod: &Pod) -> Result<Self, String> {
        let mut needs = Self::default();
        let mut immediate = false;
        for claim_ref in &pod.claims {
            let name = &claim_ref.name;
            let key = claim_key(pod, name);
            let Some(claim) = cluster.claim(&key) else {
                return Err(if claim_ref.ephemeral {
                    format!("waiting for ephemeral volume controller to create the persistentvolumeclaim \"{name}\"")
                } else {
                    format!("persistentvolumeclaim \"{name}\" not found")
                });
            };
            usable(claim, pod, claim_ref.ephemeral)?;
            if claim.modes.iter().any(|mode| mode == "ReadWriteOncePod") {
                needs.exclusive.push(key);
            }
            if claim.bound {
                let volume = claim.volume.as_deref().and_then(|volume| cluster.volumes().get(volume));
                needs.bound.push(volume);
            } else if claim.volume.is_none() && cluster.class(claim.class_name()).is_some_and(|class| class.waits) {
                needs.unbound.push(claim);
            } else {
                immediate = true;
            }
        }
        if immediate { Err("pod has unbound immediate PersistentVolumeClaims".to_owned()) } else { Ok(needs) }
    }

    /// The claims that only one pod may use.
    pub fn exclusive(&self) -> impl Iterator<Item = &ClaimKey> {
        self.exclusive.iter()
    }
}

fn usable(claim: &Claim, pod: &Pod, ephemeral: bool) -> Result<(), String> {
    let name = &claim.key.1;
    if claim.lost {
        let volume = claim.volume.as_deref().unwrap_or_default();
        return Err(format!("persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{volume}\""));
    }
    if claim.terminating {
        return Err(format!("persistentvolumeclaim \"{name}\" is being deleted"));
    }
    if ephemeral && claim.owner.as_deref() != Some(&*pod.uid) {
        let pod = pod.full_name();
        return Err(format!("PVC {}/{name} was not created for pod {pod} (pod is not owner)", claim.key.0));
    }
    Ok(())
}

/// What is to be done about the claims that are not bound, if the pod gets that node.
///
/// # Errors
/// With the reasons why the node will not do.
pub fn plan(cluster: &Cluster, needs: &Needs<'_>, node: &Node) -> Result<Vec<ClaimPlan>, Vec<Reason>> {
    let mut reasons = Vec::new();
    if needs.bound.iter().any(Option::is_none) {
        return Err(vec![Reason::VolumeMissing]);
    }
    if needs.bound.iter().flatten().any(|volume| !volume.reachable(&node.name, &node.labels)) {
        reasons.push(Reason::VolumeNode);
    }
    let mut plans: Vec<ClaimPlan> = Vec::new();
    for claim in &needs.unbound {
        match step(cluster, claim, node, &plans) {
            Some(step) => plans.push(ClaimPlan { claim: claim.key.clone(), step }),
            None => {
                reasons.push(Reason::VolumeBind);
                break;
            }
        }
    }
    if reasons.is_empty() { Ok(plans) } else { Err(reasons) }
}

fn step(cluster: &Cluster, claim: &Claim, node: &Node, before: &[ClaimPlan]) -> Option<ClaimStep> {
    if let Some(selected) = &claim.selected_node {
        return (**selected == *node.name).then_some(ClaimStep::Provision);
    }
    let taken = |volume: &str| {
        cluster.is_reserved(volume, &claim.key)
            || before.iter().any(|plan| matches!(&plan.step, ClaimStep::Bind(other) if other == volume))
    };
    let place = Some((&*node.name, &node.labels));
    if let Some(volume) = volume_binding::best_match(claim, cluster.volumes().values(), place, taken) {
        return Some(ClaimStep::Bind(volume.name.clone()));
    }
    let class = cluster.class(claim.class_name())?;
    class.provisions_for(&node.labels).then_some(ClaimStep::Provision)
}

//! The claims of a StatefulSet's pods: made before their pod, and given the owners that its retention policy asks for.

use std::{collections::HashMap, sync::Arc};

use decide::stateful_set;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::{Api, ResourceExt as _, api::PostParams};

use super::Controller;
use crate::apply::{self, ApplyError};

impl Controller {
    /// Makes the claims of a pod that are not there.
    pub(super) async fn make_claims(&self, set: &StatefulSet, number: i32, pod: &Pod) -> Result<(), ApplyError> {
        let namespace = set.namespace().unwrap_or_default();
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &namespace);
        for claim in stateful_set::claims(set, number) {
            let (name, pod, of) = (claim.name_any(), pod.name_any(), set.name_any());
            if self.claims.find(&namespace, &name).is_some() {
                continue;
            }
            match api.create(&PostParams::default(), &claim).await {
                Ok(written) => {
                    let message = format!("create Claim {name} Pod {pod} in StatefulSet {of} success");
                    self.events.normal(set, "SuccessfulCreate", message);
                    self.claims.caught_up(&written).await?;
                }
                Err(error) if apply::is_there_already(&error) => {}
                Err(error) => {
                    let why = apply::message(&error);
                    let message = format!("create Claim {name} for Pod {pod} in StatefulSet {of} failed error: {why}");
                    self.events.warning(set, "FailedCreate", message);
                    return Err(ApplyError::write("a claim")(error));
                }
            }
        }
        Ok(())
    }

    /// Gives the claims of all pods their right owners.
    pub(super) async fn keep_claims(&self, set: &StatefulSet, pods: &[Arc<Pod>]) -> Result<(), ApplyError> {
        if set.spec.volume_claim_templates.as_ref().is_none_or(Vec::is_empty) || set.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let namespace = set.namespace().unwrap_or_default();
        let by_number: HashMap<_, _> = pods.iter().filter_map(|pod| Some((stateful_set::ordinal_of(set, pod)?, pod))).collect();
        let mut numbers: Vec<_> = stateful_set::wanted(set).chain(by_number.keys().copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers {
            let pod = by_number.get(&number).map(|pod| &***pod);
            for template in stateful_set::claims(set, number) {
                let Some(claim) = self.claims.find(&namespace, &template.name_any()) else { continue };
                if let Some(owners) = stateful_set::owners_of_claim(set, number, pod, &claim) {
                    self.write_owners(&claim, owners).await?;
                }
            }
        }
        Ok(())
    }

    async fn write_owners(
        &self,
        claim: &PersistentVolumeClaim,
        owners: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference>,
    ) -> Result<(), ApplyError> {
        let mut owned = claim.clone();
        owned.metadata.owner_references = Some(owners);
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &claim.namespace().unwrap_or_default());
        let written = api.replace(&claim.name_any(), &PostParams::default(), &owned).await;
        Ok(self.claims.caught_up(&written.map_err(ApplyError::write("the owners of a claim"))?).await?)
    }
}

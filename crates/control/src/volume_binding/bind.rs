//! The writes by which a claim and a volume become each other's, each only if it is not done yet, the volume first: whoever
//! comes after a crash goes on where it stopped.

use decide::volume_binding::{BIND_COMPLETED, BOUND_BY_CONTROLLER};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use super::Binder;
use crate::apply::ApplyError;

impl Binder {
    /// Binds both to each other.
    pub(super) async fn bind(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), ApplyError> {
        let volume = self.point_at_claim(claim, volume).await?;
        self.set_volume_phase(&volume, "Bound").await?;
        let claim = self.point_at_volume(claim, &volume).await?;
        self.show_volume(&claim, &volume).await
    }

    async fn point_at_claim(
        &self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
    ) -> Result<PersistentVolume, ApplyError> {
        let mut new = volume.clone();
        let spec = new.spec.get_or_insert_default();
        let uid = spec.claim_ref.as_ref().and_then(|claim| claim.uid.clone()).unwrap_or_default();
        if !uid.is_empty() {
            return Ok(new);
        }
        let chosen = spec.claim_ref.is_none();
        spec.claim_ref = Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("PersistentVolumeClaim".to_owned()),
            namespace: claim.metadata.namespace.clone(),
            name: claim.metadata.name.clone(),
            uid: claim.metadata.uid.clone(),
            resource_version: claim.metadata.resource_version.clone(),
            ..ObjectReference::default()
        });
        if chosen {
            new.annotations_mut().insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
        }
        self.write_volume(&new).await
    }

    pub(super) async fn write_volume(&self, new: &PersistentVolume) -> Result<PersistentVolume, ApplyError> {
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let written = api.replace(&new.name_any(), &PostParams::default(), new).await.map_err(ApplyError::write("a volume"))?;
        self.volumes.caught_up(&written).await?;
        Ok(written)
    }

    async fn point_at_volume(
        &self,
        claim: &PersistentVolumeClaim,
        volume: &PersistentVolume,
    ) -> Result<PersistentVolumeClaim, ApplyError> {
        let mut new = claim.clone();
        let chosen = new.spec.as_ref().is_none_or(|spec| spec.volume_name.as_deref().unwrap_or_default().is_empty());
        if !chosen && new.annotations().contains_key(BIND_COMPLETED) {
            return Ok(new);
        }
        if chosen {
            new.spec.get_or_insert_default().volume_name = Some(volume.name_any());
            new.annotations_mut().insert(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned());
        }
        new.annotations_mut().insert(BIND_COMPLETED.to_owned(), "yes".to_owned());
        self.write_claim(&new).await
    }

    pub(super) async fn write_claim(&self, new: &PersistentVolumeClaim) -> Result<PersistentVolumeClaim, ApplyError> {
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &new.namespace().unwrap_or_default());
        let written = api.replace(&new.name_any(), &PostParams::default(), new).await.map_err(ApplyError::write("a claim"))?;
        self.claims.caught_up(&written).await?;
        Ok(written)
    }

    /// The claim's status says what it has.
    async fn show_volume(&self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), ApplyError> {
        let spec = volume.spec.as_ref();
        let mut status = claim.status.clone().unwrap_or_default();
        let bound = status.phase.as_deref() == Some("Bound");
        status.phase = Some("Bound".to_owned());
        status.access_modes = spec.and_then(|spec| spec.access_modes.clone());
        if !bound || status.capacity.is_none() {
            status.capacity = spec.and_then(|spec| spec.capacity.clone());
        }
        self.write_claim_status(claim, status).await.map(drop)
    }

    /// Sets a claim's phase; says whether it was another.
    pub(super) async fn set_claim_phase(&self, claim: &PersistentVolumeClaim, phase: &str) -> Result<bool, ApplyError> {
        let mut status = claim.status.clone().unwrap_or_default();
        status.phase = Some(phase.to_owned());
        self.write_claim_status(claim, status).await
    }

    async fn write_claim_status(
        &self,
        claim: &PersistentVolumeClaim,
        status: PersistentVolumeClaimStatus,
    ) -> Result<bool, ApplyError> {
        if claim.status.as_ref() == Some(&status) {
            return Ok(false);
        }
        let new = PersistentVolumeClaim { status: Some(status), ..claim.clone() };
        let api: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), &claim.namespace().unwrap_or_default());
        let written = api.replace_status(&claim.name_any(), &PostParams::default(), &new).await;
        self.claims.caught_up(&written.map_err(ApplyError::write("a claim's status"))?).await?;
        Ok(true)
    }

    /// Sets a volume's phase; says whether it was another.
    pub(super) async fn set_volume_phase(&self, volume: &PersistentVolume, phase: &str) -> Result<bool, ApplyError> {
        let mut status = volume.status.clone().unwrap_or_default();
        if status.phase.as_deref() == Some(phase) {
            return Ok(false);
        }
        status.phase = Some(phase.to_owned());
        status.last_phase_transition_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()));
        let new = PersistentVolume { status: Some(status), ..volume.clone() };
        let api: Api<PersistentVolume> = Api::all(self.client.clone());
        let written = api.replace_status(&volume.name_any(), &PostParams::default(), &new).await;
        self.volumes.caught_up(&written.map_err(ApplyError::write("a volume's status"))?).await?;
        Ok(true)
    }

    /// A volume that the binder gave away is nobody's again.
    pub(super) async fn unbind(&self, volume: &PersistentVolume) -> Result<(), ApplyError> {
        let mut new = volume.clone();
        new.annotations_mut().remove(BOUND_BY_CONTROLLER);
        new.spec.get_or_insert_default().claim_ref = None;
        let written = self.write_volume(&new).await?;
        self.set_volume_phase(&written, "Available").await.map(drop)
    }
}

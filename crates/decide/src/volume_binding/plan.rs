//! What becomes of one claim or one volume: they are bound to each other, wait, are lost, or a volume is made or taken away.

use super::{Claim, Class, NO_PROVISIONER, Volume, Volumes, best_match};

/// Who makes the volumes of the default class: we do.
pub const OUR_PROVISIONER: &str = "coracle.dev/local-path";

/// Something to tell about a claim that waits.
pub type Told = (&'static str, String);

/// What becomes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimPlan {
    /// It and this volume belong together; whatever of that is not written down yet is to be.
    Bind(String),
    /// Its volume is gone, for the reason of this event.
    Lose(&'static str, &'static str),
    /// We make its volume, for this node if one is chosen already.
    Provision(Option<String>),
    /// Someone else makes its volume and is to be told so.
    Ask(String),
    /// It waits.
    Wait(Option<Told>),
}

/// Decides about a claim.
#[must_use]
pub fn plan_claim(claim: &Claim, class: Option<&Class>, volumes: &Volumes) -> ClaimPlan {
    if claim.bound || claim.lost {
        return bound(claim, volumes);
    }
    match &claim.volume {
        Some(name) => match volumes.get(name) {
            None => ClaimPlan::Wait(None),
            Some(volume) if volume.is_for(claim) => ClaimPlan::Bind(name.clone()),
            Some(volume) if volume.claim.is_none() => match mismatch(claim, volume) {
                None => ClaimPlan::Bind(name.clone()),
                Some(why) => ClaimPlan::Wait(Some(("VolumeMismatch", why))),
            },
            Some(_) => ClaimPlan::Wait(Some(("FailedBinding", format!("volume \"{name}\" already bound to a different claim.")))),
        },
        None => unbound(claim, class, volumes),
    }
}

fn bound(claim: &Claim, volumes: &Volumes) -> ClaimPlan {
    let Some(name) = &claim.volume else {
        return ClaimPlan::Lose("ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!");
    };
    match volumes.get(name) {
        None => ClaimPlan::Lose("ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!"),
        Some(volume) if volume.claim.is_none() || volume.is_for(claim) => ClaimPlan::Bind(name.clone()),
        Some(_) => ClaimPlan::Lose("ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly"),
    }
}

fn mismatch(claim: &Claim, volume: &Volume) -> Option<String> {
    let why = if claim.size > volume.size {
        "requested PV is too small"
    } else if claim.class_name() != volume.class {
        "storageClassName does not match"
    } else if claim.volume_mode != volume.volume_mode {
        "incompatible volumeMode"
    } else if !claim.modes.iter().all(|mode| volume.modes.contains(mode)) {
        "incompatible accessMode"
    } else {
        return None;
    };
    Some(format!("Cannot bind to requested volume \"{}\": {why}", volume.name))
}

fn unbound(claim: &Claim, class: Option<&Class>, volumes: &Volumes) -> ClaimPlan {
    let waits = class.is_some_and(|class| class.waits) && claim.selected_node.is_none();
    let candidates = volumes.values().filter(|volume| !waits || volume.is_for(claim));
    if let Some(volume) = best_match(claim, candidates, None, |_| false) {
        return ClaimPlan::Bind(volume.name.clone());
    }
    if waits {
        let message = "waiting for first consumer to be created before binding".to_owned();
        return ClaimPlan::Wait(Some(("WaitForFirstConsumer", message)));
    }
    match class {
        Some(class) if class.provisioner == OUR_PROVISIONER => ClaimPlan::Provision(claim.selected_node.clone()),
        Some(class) if class.provisioner != NO_PROVISIONER => ClaimPlan::Ask(class.provisioner.clone()),
        None if !claim.class_name().is_empty() => {
            let message = format!("storageclass.storage.k8s.io \"{}\" not found", claim.class_name());
            ClaimPlan::Wait(Some(("ProvisioningFailed", message)))
        }
        _ => {
            let message = "no persistent volumes available for this claim and no storage class is set".to_owned();
            ClaimPlan::Wait(Some(("FailedBinding", message)))
        }
    }
}

/// What becomes of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumePlan {
    /// It is in this phase, and nothing else is to be done.
    Keep(&'static str),
    /// Its claim has not seen yet that they belong together.
    TellClaim,
    /// The binder gave it to a claim that took another; it is free again.
    Unbind,
    /// Its claim is gone and its data too: it goes.
    Delete,
    /// Its claim is gone; whoever made it takes it away, or nobody does.
    Release,
}

/// What there is to know of a volume beside what matching needs.
#[derive(Debug, Clone, Copy)]
pub struct Held<'v> {
    /// What happens once its claim is gone.
    pub reclaim: &'v str,
    /// Who made it.
    pub provisioner: &'v str,
    /// Whether the binder chose its claim.
    pub chosen: bool,
}

/// Decides about a volume, given the claim that its reference names, if that is there.
#[must_use]
pub fn plan_volume(volume: &Volume, held: Held<'_>, claim: Option<&Claim>) -> VolumePlan {
    let Some((_, uid)) = &volume.claim else { return VolumePlan::Keep("Available") };
    if uid.is_empty() {
        return if claim.is_some() { VolumePlan::TellClaim } else { VolumePlan::Keep("Available") };
    }
    match claim.filter(|claim| claim.uid == *uid) {
        Some(claim) if claim.volume.as_deref() == Some(&volume.name) => VolumePlan::Keep("Bound"),
        Some(claim) if claim.volume.is_none() => VolumePlan::TellClaim,
        // The claim took another volume.
        Some(_) if held.provisioner == OUR_PROVISIONER && held.reclaim == "Delete" => VolumePlan::Delete,
        Some(_) if held.chosen => VolumePlan::Unbind,
        Some(_) => VolumePlan::Keep("Available"),
        None if held.reclaim == "Delete" && held.provisioner == OUR_PROVISIONER => VolumePlan::Delete,
        None => VolumePlan::Release,
    }
}

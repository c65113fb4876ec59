//! Volumes, claims, storage classes and what belongs to them.

use super::{FieldError, RuleContext, Rules, change, pod};
use crate::document::{Map, Value, meta};
use crate::quantity::Quantity;

/// The rules of PersistentVolumes.
pub struct VolumeRules;
/// The rules of PersistentVolumeClaims.
pub struct ClaimRules;
/// The rules of StorageClasses.
pub struct StorageClassRules;
/// The rules of CSI drivers.
pub struct DriverRules;

const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn check_modes(object: &Value, errors: &mut Vec<FieldError>) {
    let modes = object.array_at(&["spec", "accessModes"]);
    if modes.is_empty() {
        errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    for mode in modes.iter().filter_map(Value::as_str).filter(|mode| !MODES.contains(mode)) {
        errors.push(FieldError::not_supported("spec.accessModes", mode, MODES));
    }
    change::one_of(object, &["spec", "volumeMode"], &["Block", "Filesystem"], errors);
}

fn check_amount(object: &Value, path: &[&str], errors: &mut Vec<FieldError>) {
    match object.str_at(path) {
        None => errors.push(FieldError::required(path.join("."), "")),
        Some(text) if text.parse::<Quantity>().is_ok_and(|amount| amount.is_zero() || amount.is_negative()) => {
            errors.push(FieldError::invalid(path.join("."), text, "must be greater than zero"));
        }
        Some(_) => {}
    }
}

impl Rules for VolumeRules {
    fn default(&self, volume: &mut Value) {
        volume.default_at(&["spec", "persistentVolumeReclaimPolicy"], "Retain");
        volume.default_at(&["spec", "volumeMode"], "Filesystem");
        if volume.get(&["spec", "hostPath"]).is_some_and(|path| !path.is_null()) {
            volume.default_at(&["spec", "hostPath", "type"], "");
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => {
                let now = meta::format_time(context.now);
                new.set_at(&["status"], crate::value!({"phase": "Pending", "lastPhaseTransitionTime": now}));
            }
            Some(old) if context.subresource.is_some() => {
                pod::keep(new, old, &["spec"]);
                if !change::same(new, old, &["status", "phase"]) {
                    new.set_at(&["status", "lastPhaseTransitionTime"], meta::format_time(context.now));
                }
            }
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        const KNOWN: &[&str] = &[
            "accessModes",
            "capacity",
            "claimRef",
            "mountOptions",
            "nodeAffinity",
            "persistentVolumeReclaimPolicy",
            "storageClassName",
            "volumeAttributesClassName",
            "volumeMode",
        ];
        let mut errors = Vec::new();
        check_modes(new, &mut errors);
        if new.object_at(&["spec", "capacity"]).is_none_or(Map::is_empty) {
            errors.push(FieldError::required("spec.capacity", ""));
        } else {
            check_amount(new, &["spec", "capacity", "storage"], &mut errors);
        }
        let sources: Vec<&str> = new
            .object_at(&["spec"])
            .into_iter()
            .flat_map(Map::iter)
            .filter(|(name, value)| !KNOWN.contains(name) && !value.is_null())
            .map(|(name, _)| name)
            .collect();
        match sources.as_slice() {
            [] => errors.push(FieldError::required("spec", "must specify a volume type")),
            [_] => {}
            [_, more, ..] => {
                errors.push(FieldError::forbidden(format!("spec.{more}"), "may not specify more than 1 volume type"));
            }
        }
        change::one_of(new, &["spec", "persistentVolumeReclaimPolicy"], &["Delete", "Recycle", "Retain"], &mut errors);
        if let Some(old) = old {
            for source in &sources {
                if old.get(&["spec", source]).is_none() || !change::same(new, old, &["spec", source]) {
                    let text = "spec.persistentvolumesource is immutable after creation";
                    errors.push(FieldError::forbidden("spec.persistentvolumesource", text));
                }
            }
            change::fixed(new, old, &["spec", "volumeMode"], &mut errors);
        }
        errors
    }
}

impl Rules for ClaimRules {
    fn default(&self, claim: &mut Value) {
        claim.default_at(&["spec", "volumeMode"], "Filesystem");
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => new.set_at(&["status"], crate::value!({"phase": "Pending"})),
            Some(old) if context.subresource.is_some() => pod::keep(new, old, &["spec"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource.is_some() {
            return errors;
        }
        check_modes(new, &mut errors);
        check_amount(new, &["spec", "resources", "requests", "storage"], &mut errors);
        if let Some(old) = old {
            check_claim_change(new, old, &mut errors);
        }
        errors
    }
}

/// The volume is set once; of a bound claim the size may grow and the attributes change.
fn check_claim_change(new: &Value, old: &Value, errors: &mut Vec<FieldError>) {
    let (mut left, before) = (new.clone(), old.clone());
    let unbound = before.str_at(&["spec", "volumeName"]).unwrap_or_default().is_empty();
    let mut free: Vec<&[&str]> = vec![&["spec", "volumeAttributesClassName"]];
    if unbound {
        free.push(&["spec", "volumeName"]);
    }
    if before.get(&["spec", "storageClassName"]).is_none_or(Value::is_null) {
        free.push(&["spec", "storageClassName"]);
    }
    if before.str_at(&["status", "phase"]) == Some("Bound") {
        free.push(&["spec", "resources", "requests"]);
    }
    for path in free {
        pod::keep(&mut left, &before, path);
    }
    if left.get(&["spec"]) != before.get(&["spec"]) {
        let text = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        errors.push(FieldError::forbidden("spec", text));
    }
    let amount = |claim: &Value| {
        claim.str_at(&["spec", "resources", "requests", "storage"]).and_then(|text| text.parse::<Quantity>().ok())
    };
    let status = old.str_at(&["status", "capacity", "storage"]).and_then(|text| text.parse::<Quantity>().ok());
    if let (Some(now), Some(then)) = (amount(new), amount(old))
        && now < then
        && status.is_none_or(|status| now <= status)
    {
        let text = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", text));
    }
}

impl Rules for StorageClassRules {
    fn default(&self, class: &mut Value) {
        class.default_at(&["reclaimPolicy"], "Delete");
        class.default_at(&["volumeBindingMode"], "Immediate");
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if new.str_at(&["provisioner"]).unwrap_or_default().is_empty() {
            errors.push(FieldError::required("provisioner", ""));
        }
        change::one_of(new, &["reclaimPolicy"], &["Delete", "Retain"], &mut errors);
        change::one_of(new, &["volumeBindingMode"], &["Immediate", "WaitForFirstConsumer"], &mut errors);
        if let Some(old) = old {
            for field in ["parameters", "provisioner", "reclaimPolicy"] {
                change::forbidden(new, old, &[field], &format!("updates to {field} are forbidden."), &mut errors);
            }
            change::fixed(new, old, &["volumeBindingMode"], &mut errors);
        }
        errors
    }
}

impl Rules for DriverRules {
    fn default(&self, driver: &mut Value) {
        driver.default_at(&["spec", "attachRequired"], true);
        driver.default_at(&["spec", "podInfoOnMount"], false);
        driver.default_at(&["spec", "storageCapacity"], false);
        driver.default_at(&["spec", "fsGroupPolicy"], "ReadWriteOnceWithFSType");
        driver.default_at(&["spec", "requiresRepublish"], false);
        driver.default_at(&["spec", "seLinuxMount"], false);
        if driver.array_at(&["spec", "volumeLifecycleModes"]).is_empty() {
            driver.set_at(&["spec", "volumeLifecycleModes"], vec!["Persistent"]);
        }
    }
}

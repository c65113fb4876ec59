//! A claim grows only where its storage class allows it.

use super::limit_ranger::quantity;
use super::{Ground, Operation, Review};
use api::document::Value;
use api::status::Status;

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let Some(old) = review.old.filter(|_| review.operation == Operation::Update) else { return Ok(()) };
    if !review.is_core("persistentvolumeclaims") || old.str_at(&["status", "phase"]) != Some("Bound") {
        return Ok(());
    }
    let size = |claim: &Value| claim.get(&["spec", "resources", "requests", "storage"]).and_then(quantity);
    match (size(review.object), size(old)) {
        (Some(new), Some(old)) if new > old => {}
        _ => return Ok(()),
    }
    let class = review.object.str_at(&["spec", "storageClassName"]).unwrap_or_default();
    let class = ground.objects.object("storage.k8s.io", "storageclasses", "", class);
    if class.is_some_and(|c| c.bool_at(&["allowVolumeExpansion"]) == Some(true)) {
        return Ok(());
    }
    Err(review.forbidden(
        "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
    ))
}

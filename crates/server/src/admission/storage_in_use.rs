//! Claims and volumes in use are not taken away: they get a finalizer that a controller removes when nobody uses them.

use super::{Ground, Operation, Review};
use api::document::meta;
use api::status::Status;

pub(super) fn mutate(review: &mut Review<'_>, _: &Ground<'_>) -> Result<(), Status> {
    if review.operation != Operation::Create {
        return Ok(());
    }
    if review.is_core("persistentvolumeclaims") {
        meta::add_finalizer(review.object, "kubernetes.io/pvc-protection");
    }
    if review.is_core("persistentvolumes") {
        meta::add_finalizer(review.object, "kubernetes.io/pv-protection");
    }
    Ok(())
}

//! A claim that names no storage class gets the default one: the newest, when there are several.

use super::{Ground, Operation, Review};
use api::document::{Value, meta};
use api::status::Status;

const MARKS: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

pub(super) fn mutate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if review.operation != Operation::Create || !review.is_core("persistentvolumeclaims") {
        return Ok(());
    }
    let named = review.object.get(&["spec", "storageClassName"]).is_some_and(|n| !n.is_null())
        || meta::annotation(review.object, "volume.beta.kubernetes.io/storage-class").is_some();
    if named {
        return Ok(());
    }
    if let Some(class) = newest_default(&ground.objects.objects("storage.k8s.io", "storageclasses", ""), &MARKS) {
        review.object.set_at(&["spec", "storageClassName"], class);
    }
    Ok(())
}

/// The newest object marked as the default; of two of the same second the first by name.
pub(super) fn newest_default(objects: &[Value], marks: &[&str]) -> Option<String> {
    let marked = objects.iter().filter(|o| marks.iter().any(|m| meta::annotation(o, m) == Some("true")));
    let newest = marked.min_by(|a, b| {
        let age = meta::creation_timestamp(b).cmp(&meta::creation_timestamp(a));
        age.then_with(|| meta::name(a).cmp(meta::name(b)))
    })?;
    Some(meta::name(newest).to_owned())
}

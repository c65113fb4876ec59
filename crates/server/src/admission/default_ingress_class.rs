//! An Ingress that names no class gets the default one.

use super::{Ground, Operation, Review, default_storage_class::newest_default};
use api::document::meta;
use api::status::Status;

pub(super) fn mutate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let ingress = review.group == "networking.k8s.io" && review.resource == "ingresses" && review.subresource.is_empty();
    if review.operation != Operation::Create || !ingress {
        return Ok(());
    }
    let named = review.object.get(&["spec", "ingressClassName"]).is_some_and(|n| !n.is_null())
        || meta::annotation(review.object, "kubernetes.io/ingress.class").is_some();
    if named {
        return Ok(());
    }
    let classes = ground.objects.objects("networking.k8s.io", "ingressclasses", "");
    if let Some(class) = newest_default(&classes, &["ingressclass.kubernetes.io/is-default-class"]) {
        review.object.set_at(&["spec", "ingressClassName"], class);
    }
    Ok(())
}

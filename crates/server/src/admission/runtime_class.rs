//! A RuntimeClass gives its pods an overhead and a place to run.

use super::{Ground, Review};
use api::document::Value;
use api::status::Status;

fn class_of(review: &Review<'_>, ground: &Ground<'_>) -> Result<Option<Value>, Status> {
    if !review.creates_pod() {
        return Ok(None);
    }
    let Some(name) = review.object.str_at(&["spec", "runtimeClassName"]).filter(|n| !n.is_empty()) else {
        return Ok(None);
    };
    match ground.objects.object("node.k8s.io", "runtimeclasses", "", name) {
        Some(class) => Ok(Some(class)),
        None => Err(review.forbidden(format!("pod rejected: RuntimeClass \"{name}\" not found"))),
    }
}

pub(super) fn mutate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let Some(class) = class_of(review, ground)? else { return Ok(()) };
    if let Some(fixed) = class.get(&["overhead", "podFixed"]) {
        if review.object.get(&["spec", "overhead"]).is_some_and(|o| o != fixed) {
            return Err(review.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
        }
        review.object.set_at(&["spec", "overhead"], fixed.clone());
    }
    for (key, value) in class.object_at(&["scheduling", "nodeSelector"]).into_iter().flat_map(|m| m.iter()) {
        let path = ["spec", "nodeSelector", key];
        if review.object.get(&path).is_some_and(|v| v != value) {
            return Err(review.forbidden(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] and pod.spec.nodeSelector[{key}] have different values"
            )));
        }
        review.object.set_at(&path, value.clone());
    }
    let mut tolerations = review.object.array_at(&["spec", "tolerations"]).to_vec();
    let added = class.array_at(&["scheduling", "tolerations"]);
    tolerations.extend(added.iter().filter(|t| !tolerations.contains(t)).cloned().collect::<Vec<_>>());
    if !added.is_empty() {
        review.object.set_at(&["spec", "tolerations"], tolerations);
    }
    Ok(())
}

pub(super) fn validate(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    let class = class_of(review, ground)?;
    if !review.creates_pod() {
        return Ok(());
    }
    let wanted = class.as_ref().and_then(|c| c.get(&["overhead", "podFixed"]));
    match (review.object.get(&["spec", "overhead"]).filter(|o| !o.is_empty()), wanted) {
        (Some(_), None) => {
            Err(review.forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
        }
        (Some(own), Some(wanted)) if own != wanted => {
            Err(review.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"))
        }
        _ => Ok(()),
    }
}

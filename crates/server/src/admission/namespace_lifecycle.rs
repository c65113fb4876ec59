//! Nothing is made in a namespace that does not exist or is going, and the namespaces of the system stay.

use super::{Ground, Operation, Review};
use api::document::meta;
use api::status::{Cause, Status};

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

pub(super) fn check(review: &mut Review<'_>, ground: &Ground<'_>) -> Result<(), Status> {
    if review.group.is_empty() && review.resource == "namespaces" {
        let deleted = review.operation == Operation::Delete && review.subresource.is_empty();
        if deleted && IMMORTAL.contains(&review.name) {
            return Err(review.forbidden("this namespace may not be deleted"));
        }
        return Ok(());
    }
    if review.namespace.is_empty() || matches!(review.operation, Operation::Delete | Operation::Connect) {
        return Ok(());
    }
    // Asking whether one may do something is no content.
    if review.group == "authorization.k8s.io" {
        return Ok(());
    }
    let Some(namespace) = ground.objects.object("", "namespaces", "", review.namespace) else {
        return Err(Status::not_found("", "namespaces", review.namespace));
    };
    let terminating = meta::is_deleted(&namespace) || namespace.str_at(&["status", "phase"]) == Some("Terminating");
    if review.operation != Operation::Create || !terminating {
        return Ok(());
    }
    let name = review.namespace;
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let mut refusal = review.forbidden(why);
    if let Some(details) = &mut refusal.details {
        details.causes.push(Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {name} is being terminated"),
            field: "metadata.namespace".into(),
        });
    }
    Err(refusal)
}

//! A new node takes no pods before it is ready.

use super::{Ground, Operation, Review};
use api::document::Value;
use api::status::Status;

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) fn mutate(review: &mut Review<'_>, _: &Ground<'_>) -> Result<(), Status> {
    if review.operation != Operation::Create || !review.is_core("nodes") {
        return Ok(());
    }
    let mut taints = review.object.array_at(&["spec", "taints"]).to_vec();
    let same = |t: &Value| t.str_at(&["key"]) == Some(NOT_READY) && t.str_at(&["effect"]) == Some("NoSchedule");
    if !taints.iter().any(same) {
        taints.push(Value::from(serde_json::json!({ "key": NOT_READY, "effect": "NoSchedule" })));
        review.object.set_at(&["spec", "taints"], taints);
    }
    Ok(())
}

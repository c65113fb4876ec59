//! A pod stays five minutes on a node that is not ready or cannot be reached, unless it says otherwise.

use super::{Ground, Operation, Review};
use api::document::Value;
use api::status::Status;

const SECONDS: i64 = 300;

pub(super) fn mutate(review: &mut Review<'_>, _: &Ground<'_>) -> Result<(), Status> {
    let writes = matches!(review.operation, Operation::Create | Operation::Update);
    if !writes || !review.is_core("pods") {
        return Ok(());
    }
    let mut tolerations = review.object.array_at(&["spec", "tolerations"]).to_vec();
    let before = tolerations.len();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !tolerations[..before].iter().any(|t| tolerates(t, key)) {
            tolerations.push(Value::from(serde_json::json!({
                "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS,
            })));
        }
    }
    if tolerations.len() > before {
        review.object.set_at(&["spec", "tolerations"], tolerations);
    }
    Ok(())
}

fn tolerates(toleration: &Value, key: &str) -> bool {
    let text = |field| toleration.str_at(&[field]).unwrap_or_default();
    matches!(text("key"), "" | "*") && text("operator") == "Exists" && matches!(text("effect"), "" | "NoExecute")
        || text("key") == key && matches!(text("effect"), "" | "NoExecute")
}

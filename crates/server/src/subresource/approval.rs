//! `certificatesigningrequests/approval`: only conditions and metadata change, and `Approved` and `Denied` not both ways.

use api::document::{Value, meta};
use api::status::{FieldError, Status};

const KINDS: [&str; 2] = ["Approved", "Denied"];

/// The stored request with the conditions of the update. `now` fills in times that the update leaves out.
pub fn apply(stored: &Value, update: &Value, now: jiff::Timestamp) -> Result<Value, Status> {
    let given = update.array_at(&["status", "conditions"]);
    let conditions: Result<Vec<Value>, Status> =
        given.iter().enumerate().map(|(at, condition)| completed(condition, stored, at, now)).collect();
    let conditions = conditions?;
    let verdicts = |kind: &str| conditions.iter().any(|c| c.str_at(&["type"]) == Some(kind));
    if KINDS.iter().all(|kind| verdicts(kind)) {
        let error =
            FieldError::invalid("status.conditions", Value::Null, "Approved and Denied conditions are mutually exclusive");
        return Err(invalid(stored, error));
    }
    for old in stored.array_at(&["status", "conditions"]).iter().filter(|c| is_verdict(c)) {
        let kind = old.str_at(&["type"]).unwrap_or_default();
        if !verdicts(kind) {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            return Err(invalid(stored, FieldError::forbidden("status.conditions", detail)));
        }
    }
    let mut answered = stored.clone();
    answered.set_at(&["status", "conditions"], conditions);
    for field in ["annotations", "labels"] {
        match update.get(&["metadata", field]) {
            Some(value) => meta::set(&mut answered, field, value.clone()),
            None => drop(answered.remove_at(&["metadata", field])),
        }
    }
    Ok(answered)
}

fn is_verdict(condition: &Value) -> bool {
    condition.str_at(&["type"]).is_some_and(|kind| KINDS.contains(&kind))
}

fn completed(condition: &Value, stored: &Value, at: usize, now: jiff::Timestamp) -> Result<Value, Status> {
    let mut condition = condition.clone();
    let status = condition.str_at(&["status"]).unwrap_or_default();
    if is_verdict(&condition) && !matches!(status, "" | "True") {
        let field = format!("status.conditions[{at}].status");
        return Err(invalid(stored, FieldError::not_supported(field, status, &["True"])));
    }
    condition.default_at(&["status"], "True");
    condition.default_at(&["lastUpdateTime"], meta::format_time(now));
    condition.default_at(&["lastTransitionTime"], meta::format_time(now));
    Ok(condition)
}

fn invalid(stored: &Value, error: FieldError) -> Status {
    Status::invalid(crate::signing::GROUP, "CertificateSigningRequest", meta::name(stored), &[error])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::json;

    #[test]
    fn an_approval_changes_conditions_alone() {
        let stored = json(
            r#"{"metadata":{"name":"c"},"spec":{"signerName":"s"},"status":{"conditions":[{"type":"Failed","status":"True"}]}}"#,
        );
        let update = json(
            r#"{"spec":{"signerName":"other"},"status":{"certificate":"x","conditions":[{"type":"Failed","status":"True"},{"type":"Approved","reason":"r"}]}}"#,
        );
        let now = jiff::Timestamp::from_second(0).unwrap();
        let answered = apply(&stored, &update, now).unwrap();
        assert_eq!(answered.str_at(&["spec", "signerName"]), Some("s"));
        assert!(answered.get(&["status", "certificate"]).is_none());
        let conditions = answered.array_at(&["status", "conditions"]);
        assert_eq!(conditions.len(), 2);
        assert_eq!(conditions[1].str_at(&["status"]), Some("True"));
        assert_eq!(conditions[1].str_at(&["lastUpdateTime"]), Some("1970-01-01T00:00:00Z"));
        let both = json(r#"{"status":{"conditions":[{"type":"Approved","status":"True"},{"type":"Denied","status":"True"}]}}"#);
        assert_eq!(apply(&stored, &both, now).unwrap_err().code, 422);
        let removed = json(r#"{"status":{"conditions":[]}}"#);
        assert_eq!(apply(&answered, &removed, now).unwrap_err().code, 422);
    }
}

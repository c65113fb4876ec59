//! Events of `events.k8s.io`, which are stricter than those of the core group.

use super::{FieldError, Rules};
use crate::document::{Value, meta};

/// The rules of new Events.
pub struct EventRules;

const NOTE_BYTES_MAX: usize = 1024;
const REASON_BYTES_MAX: usize = 128;

impl Rules for EventRules {
    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let text = |field: &str| new.str_at(&[field]).unwrap_or_default();
        let mut errors = Vec::new();
        if old.is_none() {
            if text("eventTime").is_empty() {
                errors.push(FieldError::required("eventTime", ""));
            }
            for (field, shown) in [
                ("reportingComponent", "reportingController"),
                ("reportingInstance", "reportingInstance"),
                ("action", "action"),
                ("reason", "reason"),
            ] {
                if text(field).is_empty() {
                    errors.push(FieldError::required(shown, ""));
                }
            }
            if !matches!(text("type"), "Normal" | "Warning") {
                errors.push(FieldError::invalid("type", text("type"), ""));
            }
        }
        if text("reason").len() > REASON_BYTES_MAX {
            errors.push(FieldError::invalid("reason", text("reason"), format!("can have at most {REASON_BYTES_MAX} characters")));
        }
        if text("message").len() > NOTE_BYTES_MAX {
            errors.push(FieldError::invalid("message", "", format!("can have at most {NOTE_BYTES_MAX} characters")));
        }
        let involved = new.str_at(&["involvedObject", "namespace"]).unwrap_or_default();
        let expected = if involved.is_empty() { "default" } else { involved };
        let kube_system = involved.is_empty() && meta::namespace(new) == "kube-system";
        if meta::namespace(new) != expected && !kube_system {
            errors.push(FieldError::invalid("involvedObject.namespace", involved, "does not match event.namespace"));
        }
        errors
    }
}

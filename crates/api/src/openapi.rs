//! OpenAPI documents derived from the kind table: v3 a group and version, and v2.
//!
//! Good for `kubectl explain`, client-side validation and completion.

use crate::kind::KindTable;
use serde_json::Value;

/// The OpenAPI v3 document of one group and version (`""`, `v1` for core); `None` if nothing is served there.
pub fn document(_group: &str, _version: &str, _kinds: &KindTable) -> Option<Value> {
    None
}

/// The path below `/openapi/v3/` of a group and version: `api/v1`, `apis/apps/v1`.
pub fn path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The OpenAPI v2 document of everything.
pub fn swagger(_kinds: &KindTable) -> Value {
    serde_json::json!({"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.37.2"}, "paths": {}, "definitions": {}})
}

//! RFC 7386.

use crate::document::Value;

/// Merges a patch into a document: null removes, objects merge, all else replaces.
pub fn apply(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *document = patch.clone();
        return;
    };
    let target = document.ensure_object();
    for (name, change) in patch.iter() {
        if change.is_null() {
            target.remove(name);
        } else {
            apply(target.entry_or_null(name), change);
        }
    }
}

//! RFC 6902, by the `json-patch` crate.

use super::PatchError;
use crate::document::Value;

/// Carries a JSON patch out.
///
/// # Errors
/// When the patch is malformed, or an operation does not fit; the document is then as it was.
pub fn apply(document: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let patch: json_patch::Patch = serde_json::from_value(patch.into()).map_err(|error| PatchError::Form(error.to_string()))?;
    let mut changed: serde_json::Value = (&*document).into();
    json_patch::patch(&mut changed, &patch).map_err(|error| {
        let text = format!("the server rejected our request due to an error in our request: {error}");
        match error.kind {
            json_patch::PatchErrorKind::TestFailed => PatchError::Untrue(text),
            _ => PatchError::Unfit(text),
        }
    })?;
    *document = changed.into();
    Ok(())
}

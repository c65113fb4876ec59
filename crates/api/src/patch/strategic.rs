//! Strategic merge patch: a merge that knows list keys and directives (`$patch`, `$setElementOrder`, `$deleteFromPrimitiveList`, `$retainKeys`).

use super::PatchError;
use crate::document::Value;
use crate::schema::Schema;

/// Merges a patch into a document by the kind's schema.
///
/// # Errors
/// When a directive is malformed or a list item lacks its merge key; the document is then as it was.
pub fn apply(_document: &mut Value, _patch: &Value, _schema: &Schema) -> Result<(), PatchError> {
    Err(PatchError::Form("strategic merge patches are not served yet".to_owned()))
}

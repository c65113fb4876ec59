//! Kinds out of CustomResourceDefinitions.

use super::Kind;
use crate::document::Value;
use crate::status::FieldError;

/// Why a definition makes no kind.
pub type CustomKindError = Vec<FieldError>;

pub(super) fn from_crd(_definition: &Value) -> Result<Kind, Vec<FieldError>> {
    Err(vec![FieldError::internal("spec", "custom kinds are not served yet")])
}

//! The forms of PATCH: JSON patch, JSON merge patch and strategic merge patch. Server-side apply is [`apply`](crate::apply).

pub mod json;
pub mod merge;
pub mod strategic;

/// Why a patch cannot be carried out. The server answers `Form` with 400 and the others with 422 or 400 as upstream does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed: bad request.
    #[error("{0}")]
    Form(String),
    /// The patch does not fit the document: unprocessable.
    #[error("{0}")]
    Unfit(String),
    /// A `test` of the patch does not hold: unprocessable.
    #[error("{0}")]
    Untrue(String),
}

//! Names and numbers of capabilities.

use crate::container::Capabilities;

/// See [`Capabilities::adjusted`].
pub(crate) fn adjusted(_add: &[String], _drop: &[String]) -> Capabilities {
    Capabilities::default()
}

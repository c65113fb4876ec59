//! The rows of all built-in kinds, one file a group, and what their columns are made of.

mod apps;
mod cells;
mod core;
mod groups;
mod jsonpath;
mod row;
mod served_twice;
mod system;

pub use jsonpath::JsonPath;

use crate::kind::Kind;
use std::sync::Arc;

/// Every row, in upstream's order of groups.
pub(crate) fn all() -> Vec<Arc<Kind>> {
    core::rows().into_iter().chain(apps::rows()).chain(groups::rows()).chain(system::rows()).map(Arc::new).collect()
}

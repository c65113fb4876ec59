//! Releases as data: manifests split and ordered, hooks, the record that Helm stores, and what to do next. It never
//! speaks to a cluster.

mod manifest;
mod order;
mod plan;
mod record;
mod secret;

pub use manifest::{Head, Manifest, SortError, Sorted, documents, sort};
pub use order::{INSTALL_ORDER, UNINSTALL_ORDER};
pub use plan::{Interrupted, Recovery, pruned, recovery};
pub use record::{Apply, Execution, Hook, HookEvent, HookPhase, Info, Release, Status, chart_record};
pub use secret::{DecodeError, SECRET_TYPE, decode, encode, labels, secret_name};

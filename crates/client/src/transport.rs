//! Ways to reach an API server. Owns how bytes get there and who is said to send them, never what they say.

mod https;
mod in_process;

pub use https::{Config, Credentials, Https, HttpsError, https};
pub use in_process::in_process;

/// The name that our requests carry, and thereby the default manager of the fields that they write.
const USER_AGENT: &str = concat!("coracle/", env!("CARGO_PKG_VERSION"));

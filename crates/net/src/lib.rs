//! Kernel networking and the DNS server: namespaces, links, routes, the rule set, names. Receives data and watches nothing; never knows a
//! Kubernetes object, a client or a store, and decides nothing that `decide` could decide.

pub mod dns;
pub mod link;
pub mod machine;
pub mod namespace;
mod netlink;
pub mod network_rules;

pub use netlink::NetlinkError;

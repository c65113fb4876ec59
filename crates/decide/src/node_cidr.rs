//! Which part of the cluster's pod addresses a node gets. Owns the bookkeeping over the nodes that are known; never writes a node.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

/// The addresses of all pods.
pub const CLUSTER_CIDR: &str = "10.42.0.0/16";
/// How large the part of a node is.
pub const NODE_MASK: u8 = 24;

/// The parts of the nodes.
#[derive(Debug, Clone)]
pub struct Allocation {
    cluster: Ipv4Net,
    mask: u8,
    by_node: BTreeMap<String, Ipv4Net>,
}

/// Why a node cannot have a part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeCidrError {
    /// All are in use.
    #[error("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range")]
    Exhausted,
}

impl Allocation {
    /// Parts of that size out of those addresses.
    #[must_use]
    pub fn new(cluster: Ipv4Net, mask: u8) -> Self {
        Self { cluster: cluster.trunc(), mask: mask.max(cluster.prefix_len()).min(32), by_node: BTreeMap::new() }
    }

    /// A node has a part already, by its spec.
    pub fn occupy(&mut self, node: &str, cidr: Ipv4Net) {
        self.by_node.insert(node.to_owned(), cidr.trunc());
    }

    /// A node is gone; its part is free.
    pub fn release(&mut self, node: &str) {
        self.by_node.remove(node);
    }

    /// The part of a node: the one that it has, else the first that overlaps with nobody's.
    ///
    /// # Errors
    /// When none is left.
    pub fn allocate(&mut self, node: &str) -> Result<Ipv4Net, NodeCidrError> {
        if let Some(cidr) = self.by_node.get(node) {
            return Ok(*cidr);
        }
        let mut parts = self.cluster.subnets(self.mask).map_err(|_| NodeCidrError::Exhausted)?;
        let overlaps = |part: &Ipv4Net, other: &Ipv4Net| part.contains(&other.network()) || other.contains(&part.network());
        let free = parts.find(|part| !self.by_node.values().any(|other| overlaps(part, other)));
        let cidr = free.ok_or(NodeCidrError::Exhausted)?;
        self.by_node.insert(node.to_owned(), cidr);
        Ok(cidr)
    }
}

#[cfg(test)]
mod tests {
    use super::{Allocation, NodeCidrError};

    fn parts(cidr: &str, mask: u8) -> Allocation {
        Allocation::new(cidr.parse().unwrap(), mask)
    }

    #[test]
    fn each_node_gets_its_own_and_keeps_it() {
        let mut parts = parts("10.42.0.0/16", 24);
        parts.occupy("old", "10.42.1.0/24".parse().unwrap());
        let mut get = |node: &str| parts.allocate(node).unwrap().to_string();
        assert_eq!([get("a"), get("b"), get("a"), get("old")], ["10.42.0.0/24", "10.42.2.0/24", "10.42.0.0/24", "10.42.1.0/24"]);
        parts.release("a");
        assert_eq!(parts.allocate("c").unwrap().to_string(), "10.42.0.0/24");
    }

    #[test]
    fn what_is_in_use_runs_out_and_larger_or_smaller_parts_count() {
        let mut parts = parts("10.42.0.0/23", 24);
        parts.occupy("small", "10.42.0.128/25".parse().unwrap());
        assert_eq!(parts.allocate("a").unwrap().to_string(), "10.42.1.0/24");
        assert_eq!(parts.allocate("b"), Err(NodeCidrError::Exhausted));
    }
}

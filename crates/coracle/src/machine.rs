//! What this machine was made into, on disk: its local nodes, and how it was before, so that `down` can leave it so again.

use std::{collections::BTreeMap, fs, io, net::Ipv4Addr};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{config, data_dir::DataDir, kubeconfig::write_private};

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Machine {
    /// The numbers of the local nodes that should run.
    pub nodes: Vec<u16>,
    /// Nodes that somebody stopped: `up` leaves them so, `node start` brings them back.
    #[serde(default)]
    pub stopped: Vec<u16>,
    /// The kubeconfigs into which a context was merged.
    #[serde(default)]
    pub kubeconfigs: Vec<std::path::PathBuf>,
    /// The address at which other machines reach this one; nothing when none may join.
    #[serde(default)]
    pub address: Option<Ipv4Addr>,
    /// Kernel settings below `/proc/sys` as they were before.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// The cluster that this machine joined; nothing when it runs its own.
    #[serde(default)]
    pub joined: Option<Joined>,
}

/// Another machine's cluster, and what this machine is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Joined {
    /// The address of its API.
    pub server: String,
    /// The hash of its authority's key, by which it is recognised.
    pub ca_hash: String,
    /// The name of this machine's node.
    pub name: String,
    /// The address at which this machine is reached.
    pub address: Ipv4Addr,
    /// The address of the machine on which the API runs.
    pub server_address: Ipv4Addr,
}

impl Machine {
    /// The record of a data directory; an empty one when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(dir: &DataDir) -> anyhow::Result<Self> {
        let path = dir.machine();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps the record.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, dir: &DataDir) -> anyhow::Result<()> {
        let path = dir.machine();
        let text = serde_json::to_string_pretty(self).context("cannot write JSON")?;
        write_private(&path, &text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Makes sure that there are at least so many nodes; the numbers that were added.
    pub fn grow_to(&mut self, count: u16) -> Vec<u16> {
        let added: Vec<u16> = (1..=config::NODES_MAX)
            .filter(|number| !self.nodes.contains(number))
            .take(usize::from(count).saturating_sub(self.nodes.len()))
            .collect();
        self.nodes.extend(&added);
        self.nodes.sort_unstable();
        added
    }

    /// The name of a local node.
    pub fn name(&self, number: u16) -> String {
        self.joined.as_ref().map_or_else(|| config::node_name(number), |joined| joined.name.clone())
    }

    /// The address at which others reach a local node: that of the machine for the first one, if other machines may join.
    pub fn node_address(&self, number: u16) -> Ipv4Addr {
        let machine = self.joined.as_ref().map(|joined| joined.address).or(self.address);
        machine.filter(|_| number == 1).unwrap_or_else(|| config::node_address(number))
    }

    /// The number of a local node by its name.
    pub fn number(&self, name: &str) -> Option<u16> {
        self.nodes.iter().copied().find(|number| self.name(*number) == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_fills_the_gap_of_a_removed_node_first() {
        let mut machine = Machine { nodes: vec![1, 3], ..Machine::default() };
        assert_eq!(machine.grow_to(4), [2, 4]);
        assert_eq!(machine.nodes, [1, 2, 3, 4]);
        assert_eq!(machine.grow_to(2), [] as [u16; 0], "asking for fewer removes none");
    }
}

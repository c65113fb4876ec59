//! Which address a pod gets out of its node's pod CIDR. Owns the bookkeeping alone: the node keeps it on disk, `net` puts the
//! address on a link. Never hands out the network, gateway or broadcast address, nor one that was given back a moment ago:
//! clients and connection tracking may still believe that it is the pod that had it.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long an address rests after its pod gave it back, in seconds. While others are free it rests longer, since the oldest goes first.
pub const REUSE_DELAY_SECONDS: i64 = 30;

/// Why an address could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PodIpError {
    /// All addresses are in use or still rest.
    #[error("no free address is left in {cidr}: {used} in use, {resting} given back less than {REUSE_DELAY_SECONDS} s ago")]
    Exhausted {
        /// The pod CIDR.
        cidr: IpNet,
        /// Addresses that pods hold.
        used: usize,
        /// Addresses that wait for reuse.
        resting: usize,
    },
    /// The address to be claimed lies outside of the pod CIDR, or is one that no pod may have.
    #[error("{ip} is not an address for pods in {cidr}")]
    NotInCidr {
        /// The address.
        ip: IpAddr,
        /// The pod CIDR.
        cidr: IpNet,
    },
    /// The address to be claimed belongs to another pod.
    #[error("{ip} is held by {holder}")]
    Held {
        /// The address.
        ip: IpAddr,
        /// Who holds it.
        holder: String,
    },
}

/// The addresses of one node. A holder is whatever names the pod's sandbox for good (its uid).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    cidr: IpNet,
    held: BTreeMap<IpAddr, String>,
    resting: VecDeque<(IpAddr, Timestamp)>,
    /// Offset of the first address that was never handed out since the last turn.
    next: u128,
}

impl Pool {
    /// An empty pool over a pod CIDR.
    #[must_use]
    pub fn new(cidr: IpNet) -> Self {
        Self { cidr: cidr.trunc(), held: BTreeMap::new(), resting: VecDeque::new(), next: 0 }
    }

    /// The pod CIDR.
    #[must_use]
    pub fn cidr(&self) -> IpNet {
        self.cidr
    }

    /// The address that a holder has.
    #[must_use]
    pub fn address_of(&self, holder: &str) -> Option<IpAddr> {
        self.held.iter().find(|(_, name)| *name == holder).map(|(ip, _)| *ip)
    }

    /// Every address in use with its holder, in order.
    pub fn held(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.held.iter().map(|(ip, holder)| (*ip, holder.as_str()))
    }

    /// Gives the holder an address; the same one again if it already has one, so that a repeated step does no harm.
    ///
    /// # Errors
    /// `Exhausted` when nothing is free.
    pub fn allocate(&mut self, holder: &str, now: Timestamp) -> Result<IpAddr, PodIpError> {
        if let Some(ip) = self.address_of(holder) {
            return Ok(ip);
        }
        let ip = self.never_used().or_else(|| self.rested(now)).ok_or(PodIpError::Exhausted {
            cidr: self.cidr,
            used: self.held.len(),
            resting: self.resting.len(),
        })?;
        self.held.insert(ip, holder.to_owned());
        Ok(ip)
    }

    /// Notes that the holder has this address already: a pod that is adopted after the agent lost its record.
    ///
    /// # Errors
    /// When the address is not one for pods here, or belongs to another holder.
    pub fn claim(&mut self, ip: IpAddr, holder: &str) -> Result<(), PodIpError> {
        if !self.is_for_pods(ip) {
            return Err(PodIpError::NotInCidr { ip, cidr: self.cidr });
        }
        match self.held.get(&ip) {
            Some(other) if other != holder => Err(PodIpError::Held { ip, holder: other.clone() }),
            _ => {
                self.resting.retain(|(resting, _)| *resting != ip);
                self.held.insert(ip, holder.to_owned());
                Ok(())
            }
        }
    }

    /// Takes the holder's address back; it rests before anyone else gets it. Does nothing for a holder without one.
    pub fn release(&mut self, holder: &str, now: Timestamp) -> Option<IpAddr> {
        let ip = self.address_of(holder)?;
        self.held.remove(&ip);
        self.resting.push_back((ip, now));
        Some(ip)
    }

    fn never_used(&mut self) -> Option<IpAddr> {
        let (first, last) = self.offsets();
        self.next = self.next.max(first);
        while self.next <= last {
            let ip = self.at(self.next);
            self.next += 1;
            if !self.held.contains_key(&ip) && !self.resting.iter().any(|(resting, _)| *resting == ip) {
                return Some(ip);
            }
        }
        None
    }

    fn rested(&mut self, now: Timestamp) -> Option<IpAddr> {
        let (_, since) = self.resting.front()?;
        // A clock that was set back must not keep an address for ever.
        let age = now.as_second() - since.as_second();
        (!(0..REUSE_DELAY_SECONDS).contains(&age)).then(|| self.resting.pop_front().map(|(ip, _)| ip)).flatten()
    }

    fn is_for_pods(&self, ip: IpAddr) -> bool {
        let (first, last) = self.offsets();
        self.cidr.contains(&ip) && (first..=last).contains(&(number(ip) - number(self.cidr.network())))
    }

    /// First and last offset that a pod may have: not the network address, not the one after it (kept for a gateway), not the broadcast address.
    fn offsets(&self) -> (u128, u128) {
        let host_bits = u32::from(self.cidr.max_prefix_len() - self.cidr.prefix_len());
        let size = 1u128.checked_shl(host_bits).unwrap_or(u128::MAX);
        if size <= 4 { (0, size - 1) } else { (2, size - 2) }
    }

    fn at(&self, offset: u128) -> IpAddr {
        let value = number(self.cidr.network()) + offset;
        match self.cidr {
            // The sum lies within the CIDR, so that it fits.
            IpNet::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(value).unwrap_or(u32::MAX))),
            IpNet::V6(_) => IpAddr::V6(Ipv6Addr::from(value)),
        }
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

#[cfg(test)]
mod tests;

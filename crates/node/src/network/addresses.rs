//! Which pod has which address and which ports of the node, in a file that is written before anyone is told. Never touches the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use decide::network_rules::HostPort;
use decide::pod_ip::Pool;
use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{NetworkError, v4};

const FILE: &str = "network.json";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    /// None until the node has a pod CIDR.
    pool: Option<Pool>,
    #[serde(default)]
    host_ports: BTreeMap<String, Vec<HostPort>>,
}

/// The addresses of this node's pods.
#[derive(Debug)]
pub(super) struct Addresses {
    path: PathBuf,
    record: Record,
}

impl Addresses {
    /// Reads what an agent before this one left, or begins with nothing.
    pub(super) fn open(folder: &Path) -> Result<Self, NetworkError> {
        let path = folder.join(FILE);
        let failed = |source| NetworkError::KeepAddresses { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let record = match fs::read(&path) {
            // Replaced as a whole, so that only a power cut can damage it; then no pod is left that it could tell of.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the file of pods' addresses is damaged; beginning anew");
                Record::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Record::default(),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { path, record })
    }

    /// The pod CIDR that addresses were given from.
    pub(super) fn pod_cidr(&self) -> Option<Ipv4Net> {
        match self.record.pool.as_ref()?.cidr() {
            IpNet::V4(cidr) => Some(cidr),
            IpNet::V6(_) => None,
        }
    }

    /// Gives addresses out of this pod CIDR from now on. Those of another one are forgotten: the node is a new one then.
    pub(super) fn set_pod_cidr(&mut self, cidr: Ipv4Net) -> Result<(), NetworkError> {
        if self.pod_cidr() == Some(cidr.trunc()) {
            return Ok(());
        }
        self.change(|record| *record = Record { pool: Some(Pool::new(IpNet::V4(cidr))), host_ports: BTreeMap::new() })
    }

    pub(super) fn address_of(&self, pod_uid: &str) -> Option<Ipv4Addr> {
        self.record.pool.as_ref()?.address_of(pod_uid).and_then(v4)
    }

    pub(super) fn held(&self) -> Vec<(String, Ipv4Addr)> {
        let held = self.record.pool.iter().flat_map(Pool::held);
        held.filter_map(|(address, holder)| Some((holder.to_owned(), v4(address)?))).collect()
    }

    pub(super) fn allocate(&mut self, pod_uid: &str, now: Timestamp) -> Result<Ipv4Addr, NetworkError> {
        if let Some(address) = self.address_of(pod_uid) {
            return Ok(address);
        }
        let mut record = self.record.clone();
        let pool = record.pool.as_mut().ok_or(NetworkError::NotReady)?;
        let address = pool.allocate(pod_uid, now).map_err(NetworkError::ChooseAddress)?;
        self.write(record)?;
        v4(address).ok_or(NetworkError::NotReady)
    }

    pub(super) fn release(&mut self, pod_uid: &str, now: Timestamp) -> Result<(), NetworkError> {
        if self.address_of(pod_uid).is_none() {
            return Ok(());
        }
        self.change(|record| {
            record.host_ports.remove(pod_uid);
            if let Some(pool) = &mut record.pool {
                pool.release(pod_uid, now);
            }
        })
    }

    /// Says whether that is a change.
    pub(super) fn set_host_ports(&mut self, pod_uid: &str, ports: &[HostPort]) -> Result<bool, NetworkError> {
        if self.record.host_ports.get(pod_uid).map_or(&[][..], Vec::as_slice) == ports {
            return Ok(false);
        }
        self.change(|record| {
            if ports.is_empty() {
                record.host_ports.remove(pod_uid);
            } else {
                record.host_ports.insert(pod_uid.to_owned(), ports.to_vec());
            }
        })?;
        Ok(true)
    }

    /// Every pod with ports of the node, its address and those.
    pub(super) fn host_ports(&self) -> Vec<(String, Ipv4Addr, Vec<HostPort>)> {
        let ports = self.record.host_ports.iter();
        ports.filter_map(|(uid, ports)| Some((uid.clone(), self.address_of(uid)?, ports.clone()))).collect()
    }

    fn change(&mut self, change: impl FnOnce(&mut Record)) -> Result<(), NetworkError> {
        let mut record = self.record.clone();
        change(&mut record);
        self.write(record)
    }

    /// Replaces the file as a whole. It outlives the agent, not a power cut: no pod does either.
    fn write(&mut self, record: Record) -> Result<(), NetworkError> {
        let failed = |source| NetworkError::KeepAddresses { path: self.path.clone(), source };
        let bytes = serde_json::to_vec(&record).map_err(|error| failed(error.into()))?;
        let draft = self.path.with_extension("draft");
        fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, &self.path)).map_err(failed)?;
        self.record = record;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

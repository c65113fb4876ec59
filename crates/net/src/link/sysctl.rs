//! The kernel settings that a node's network namespace needs. Written only where they differ; never outside of the namespace of the
//! calling thread, since `/proc/sys/net` shows the one of its reader.

use std::fs;

use super::LinkError;

/// Setting, value, and why.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("net/ipv4/ip_forward", "1", "packets of pods pass through"),
    (
        "net/ipv4/conf/all/route_localnet",
        "1",
        "a NodePort answers on localhost too; the rules keep strangers away from 127.0.0.0/8",
    ),
    ("net/ipv4/conf/all/send_redirects", "0", "a pod has one way out and needs no better one"),
];

/// The settings that a node changes, below `/proc/sys`, so that whoever takes the node away can put them back.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|(name, _, _)| *name)
}

pub(crate) fn prepare_node() -> Result<(), LinkError> {
    SETTINGS.iter().try_for_each(|(name, value, _)| write(name, value))
}

fn write(name: &str, value: &'static str) -> Result<(), LinkError> {
    let path = format!("/proc/sys/{name}");
    if fs::read_to_string(&path).is_ok_and(|present| present.trim() == value) {
        return Ok(());
    }
    fs::write(&path, value).map_err(|source| LinkError::WriteSetting { path, value, source })
}

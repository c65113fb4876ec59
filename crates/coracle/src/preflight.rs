//! What a machine must offer before nodes run on it: two lists, each check with the fix in its text. Looks, never changes anything.

use std::{fs, net::TcpListener, path::Path};

use anyhow::bail;

use crate::config;

/// A condition: its name, and what is missing and how to mend it, if anything is.
struct Check {
    name: &'static str,
    missing: fn() -> Option<String>,
}

const NODE_CHECKS: &[Check] = &[
    Check { name: "root", missing: root },
    Check { name: "cgroups", missing: cgroups },
    Check { name: "overlay file system", missing: overlay },
    Check { name: "network namespaces", missing: network_namespaces },
    Check { name: "nftables", missing: nftables },
];

const SERVER_CHECKS: &[Check] = &[Check { name: "API port", missing: api_port }];

/// The cgroup v1 controllers without which limits would silently not hold.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", "pids", "devices"];

/// Checks what server and nodes need, and names all that is missing at once.
///
/// # Errors
/// What is missing, each with its fix.
pub fn check() -> anyhow::Result<()> {
    check_all(&[NODE_CHECKS, SERVER_CHECKS])
}

/// Checks what a node alone needs.
///
/// # Errors
/// What is missing, each with its fix.
pub fn check_node() -> anyhow::Result<()> {
    check_all(&[NODE_CHECKS])
}

fn check_all(lists: &[&[Check]]) -> anyhow::Result<()> {
    let checks = lists.iter().copied().flatten();
    let findings: Vec<String> =
        checks.filter_map(|check| (check.missing)().map(|text| format!("  {}: {text}", check.name))).collect();
    if findings.is_empty() {
        return Ok(());
    }
    bail!("this machine cannot run a node yet:\n{}", findings.join("\n"))
}

fn root() -> Option<String> {
    (!rustix::process::geteuid().is_root())
        .then(|| "nodes make namespaces, mounts and rules: run as root, for example with sudo".into())
}

fn cgroups() -> Option<String> {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        let present = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        // On the one tree there is no device controller: devices are guarded by BPF.
        let missing: Vec<&str> = CONTROLLERS
            .into_iter()
            .filter(|name| *name != "devices" && !present.split_whitespace().any(|p| p == *name))
            .collect();
        return (!missing.is_empty()).then(|| {
            format!(
                "the controllers {} are not enabled in cgroup v2: enable them on the kernel's command line (cgroup_enable=…)",
                missing.join(", ")
            )
        });
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounted = |name: &str| {
        mounts
            .lines()
            .filter_map(|line| line.split_once(" - cgroup "))
            .any(|(_, options)| options.split([',', ' ']).any(|option| option == name))
    };
    let missing: Vec<&str> = CONTROLLERS.into_iter().filter(|name| !mounted(name)).collect();
    (!missing.is_empty()).then(|| {
        format!("the controllers {} are not mounted below /sys/fs/cgroup: mount them, or boot with systemd", missing.join(", "))
    })
}

fn overlay() -> Option<String> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    (!known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay")
        && !Path::new("/sys/module/overlay").exists())
    .then(|| "the kernel has no overlay file system loaded: run `modprobe overlay`".into())
}

fn network_namespaces() -> Option<String> {
    (!Path::new("/proc/self/ns/net").exists()).then(|| "the kernel is built without CONFIG_NET_NS: use another kernel".into())
}

fn nftables() -> Option<String> {
    use rustix::net::{AddressFamily, SocketType, netlink, socket};
    let opened = socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::NETFILTER));
    opened.is_err().then(|| "the kernel has no nftables: run `modprobe nf_tables`".into())
}

fn api_port() -> Option<String> {
    let address = config::LOOPBACK_API;
    TcpListener::bind(address).err().map(|error| format!("{address} is not free ({error}): stop what listens there (`ss -ltnp`)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_names_its_fix() {
        for check in NODE_CHECKS.iter().chain(SERVER_CHECKS) {
            if let Some(text) = (check.missing)() {
                assert!(text.contains(": "), "{} says what is missing but not what to do: {text}", check.name);
            }
        }
    }
}

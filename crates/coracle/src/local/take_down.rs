//! Leaving the machine as it was: processes, mounts, namespaces, rules, links, cgroups, kernel settings. Everything is found by name in
//! the kernel, not in a record, so that it works after a crash; every step is tried, and all that failed is told.

use std::{fs, os::unix::fs::FileTypeExt as _, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    mount::{UnmountFlags, unmount},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use super::Local;
use crate::{config, data_dir::DataDir, kubeconfig, machine::Machine, output::Progress};

/// A step of taking down: its name for a failure's text, and what it does.
type Step = (&'static str, fn(&Local) -> anyhow::Result<()>);

/// In this order: what holds something else goes first.
const STEPS: &[Step] = &[
    ("end the processes", end_processes),
    ("take mounts away", take_mounts),
    ("take links and network namespaces away", take_network),
    ("take cgroups away", take_cgroups),
    ("put kernel settings back", put_settings_back),
    ("take sockets away", take_sockets),
];

/// Stops everything; with `purge` the data goes too. `grace` is what pods get between the asking signal and the killing one.
///
/// # Errors
/// What could not be taken away.
pub async fn take_down(local: &Local, purge: bool, grace: Duration, progress: &Progress) -> anyhow::Result<()> {
    if local.other_cluster().await.is_some() {
        // Both go by the same names in the kernel, so that what is there now is the other's, and so is the context in kubeconfigs.
        return if purge { remove_data(&local.dir).context("cannot remove the data") } else { Ok(()) };
    }
    progress.step("stopping server and nodes");
    if let Some(keeper) = local.keeper().await {
        // What does not end by itself is ended below.
        if let Err(error) = keeper.shutdown().await {
            tracing::debug!(%error, "the keeper did not end in order");
        }
    }
    progress.step("ending pods");
    ask_to_end(&everything(local), grace);
    let mut failed = Vec::new();
    for (what, step) in STEPS {
        progress.step(what);
        if let Err(error) = step(local) {
            failed.push(format!("  cannot {what}: {error:#}"));
        }
    }
    if purge {
        for path in &local.machine.kubeconfigs {
            if let Err(error) = kubeconfig::remove_from(path, config::CONTEXT) {
                failed.push(format!("  cannot take the context out of {}: {error:#}", path.display()));
            }
        }
        remove_data(&local.dir).unwrap_or_else(|error| failed.push(format!("  cannot remove the data: {error:#}")));
    }
    if !failed.is_empty() {
        bail!("something is left on this machine:\n{}", failed.join("\n"));
    }
    Ok(())
}

/// Ends server and agents that outlived their keeper, so that fresh ones take over; their pods go on.
pub fn end_strays(machine: &Machine) {
    let agents = machine.nodes.iter().map(|number| format!("{}/agent", machine.name(*number)));
    for process in agents.chain([super::processes::SERVER.to_owned()]) {
        if let Err(error) = runtime::cgroup::kill(&config::cgroup(&process)) {
            tracing::debug!(%error, process, "nothing to end");
        }
    }
}

/// The cgroups of all that belongs to the cluster.
fn everything(local: &Local) -> Vec<String> {
    let nodes = local.machine.nodes.iter().map(|number| config::cgroup(&local.machine.name(*number)));
    nodes.chain([config::cgroup(super::processes::SERVER)]).collect()
}

/// Asks all processes to end, and waits for at most that long.
fn ask_to_end(cgroups: &[String], grace: Duration) {
    let pids = cgroups.iter().flat_map(|path| runtime::cgroup::processes(path).unwrap_or_default());
    let pids: Vec<Pid> = pids.filter_map(Pid::from_raw).collect();
    let watched: Vec<_> = pids.iter().filter_map(|pid| pidfd_open(*pid, PidfdFlags::empty()).ok()).collect();
    for pid in &pids {
        // Some end while we go through the list.
        let _ = kill_process(*pid, Signal::TERM);
    }
    let end = std::time::Instant::now() + grace;
    let mut waiting: Vec<_> = watched.iter().collect();
    while !waiting.is_empty() {
        let left = end.saturating_duration_since(std::time::Instant::now());
        let Ok(left) = Timespec::try_from(left) else { return };
        let mut polled: Vec<PollFd<'_>> = waiting.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
        if poll(&mut polled, Some(&left)).unwrap_or(0) == 0 {
            return;
        }
        let ended: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
        let mut ended = ended.iter();
        waiting.retain(|_| !ended.next().copied().unwrap_or(true));
    }
}

fn end_processes(local: &Local) -> anyhow::Result<()> {
    for path in everything(local) {
        runtime::cgroup::kill(&path).with_context(|| format!("the processes of {path} do not end"))?;
    }
    Ok(())
}

/// Takes away what a node that was killed left on this machine, its data included.
///
/// # Errors
/// What could not be taken away.
pub fn remove_node(local: &Local, name: &str) -> anyhow::Result<()> {
    let folder = local.dir.node(name);
    let cgroup = config::cgroup(name);
    runtime::cgroup::kill(&cgroup).with_context(|| format!("the processes of {cgroup} do not end"))?;
    unmount_below(|path| path.starts_with(&folder))?;
    local.network.remove_node(name)?;
    runtime::cgroup::remove(&cgroup).with_context(|| format!("the cgroup {cgroup} stays"))?;
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Unmounts what stands below the data directory.
fn take_mounts(local: &Local) -> anyhow::Result<()> {
    unmount_below(|path| path != local.dir.path() && path.starts_with(local.dir.path()))
}

/// Unmounts what is chosen, the last one first.
fn unmount_below(ours: impl Fn(&Path) -> bool) -> anyhow::Result<()> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mounts")?;
    let points: Vec<String> =
        table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped).filter(|path| ours(Path::new(path))).collect();
    for point in points.iter().rev() {
        unmount(point.as_str(), UnmountFlags::DETACH).with_context(|| format!("cannot unmount {point}"))?;
    }
    Ok(())
}

/// A path of the mount table, in which blanks and backslashes stand as octal numbers.
fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let octal = bytes.get(index + 1..index + 4).filter(|_| bytes[index] == b'\\');
        match octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                index += 4;
            }
            None => {
                out.push(bytes[index]);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn take_network(local: &Local) -> anyhow::Result<()> {
    let dns = match config::DNS.ip() {
        std::net::IpAddr::V4(address) => vec![address],
        std::net::IpAddr::V6(_) => Vec::new(),
    };
    local.network.remove_all(&dns)?;
    Ok(())
}

fn take_cgroups(_: &Local) -> anyhow::Result<()> {
    let root = config::cgroup("");
    runtime::cgroup::remove(root.trim_end_matches('/')).context("a cgroup stays")
}

fn put_settings_back(local: &Local) -> anyhow::Result<()> {
    for (name, value) in &local.machine.sysctls {
        let path = format!("/proc/sys/{name}");
        fs::write(&path, value).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

fn take_sockets(local: &Local) -> anyhow::Result<()> {
    let entries = fs::read_dir(local.dir.run()).context("cannot list the sockets")?;
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket())) {
        fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
    }
    let owner = fs::read_to_string(super::OWNER).unwrap_or_default();
    if owner.trim() == local.dir.path().display().to_string() {
        fs::remove_file(super::OWNER).with_context(|| format!("cannot remove {}", super::OWNER))?;
        // Others may keep something in it; then it is not ours to remove.
        let _ = fs::remove_dir("/run/coracle");
    }
    Ok(())
}

/// Removes what a cluster keeps, and the directory itself unless somebody else put something there.
fn remove_data(dir: &DataDir) -> anyhow::Result<()> {
    for name in ["server", "nodes", "images", "run"] {
        let path = dir.path().join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    for name in ["machine.json", "layout"] {
        let path = dir.path().join(name);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    let _ = fs::remove_dir(dir.path());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_in_mount_points_are_read() {
        assert_eq!(unescaped(r"/a\040b/c\134d"), r"/a b/c\d");
        assert_eq!(unescaped("/plain"), "/plain");
    }
}

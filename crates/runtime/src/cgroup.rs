//! Control groups: v1, hybrid and v2 behind one set of functions. Paths are relative to the top of a hierarchy, as `coracle/node-1/pod4`.
//! Never decides a bound; never moves a process that it was not told to.

mod devices;
mod files;
mod hierarchy;
mod usage;

use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::container::Limits;
use hierarchy::{Hierarchy, Layout, layout};
pub use usage::{Usage, oom_kills, usage};

/// How a container sees its cgroups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum View {
    /// One tree, of which its own part is the top.
    Unified,
    /// A folder for each of these names, and what it shows.
    Separate(Vec<(String, PathBuf)>),
}

impl View {
    /// Whether it is one tree.
    pub fn is_unified(&self) -> bool {
        matches!(self, Self::Unified)
    }
}

/// Whether this machine has but one tree of cgroups (v2).
pub fn is_unified() -> bool {
    layout().is_ok_and(|layout| layout.unified)
}

fn folder(hierarchy: &Hierarchy, path: &str) -> PathBuf {
    hierarchy.mount.join(path.trim_start_matches('/'))
}

/// Makes a cgroup, and those above it, in every hierarchy in use, with these bounds.
pub fn create(path: &str, limits: &Limits) -> io::Result<()> {
    create_in(layout()?, path, limits)
}

fn create_in(layout: &Layout, path: &str, limits: &Limits) -> io::Result<()> {
    for hierarchy in layout.for_limits(limits) {
        let folder = folder(hierarchy, path);
        if layout.unified {
            hierarchy::make_delegated(&hierarchy.mount, path)?;
        } else {
            fs::create_dir_all(&folder)?;
            if hierarchy.has("cpuset") {
                hierarchy::inherit_cpuset(&hierarchy.mount, path)?;
            }
        }
    }
    set_in(layout, path, limits)
}

/// Changes the bounds of one that exists; those that are `None` stay.
pub fn set(path: &str, limits: &Limits) -> io::Result<()> {
    set_in(layout()?, path, limits)
}

fn set_in(layout: &Layout, path: &str, limits: &Limits) -> io::Result<()> {
    for (controller, file, value) in files::values(limits, layout.unified) {
        let Some(hierarchy) = layout.find(controller) else { continue };
        let file = folder(hierarchy, path).join(file);
        let mut written = fs::write(&file, &value);
        if controller == "memory" && written.is_err() && !layout.unified {
            // Memory and swap together may not lie under memory alone: a raise begins with the sum.
            let sum = file.with_file_name("memory.memsw.limit_in_bytes");
            written = fs::write(sum, &value).and_then(|()| fs::write(&file, &value));
        }
        match written {
            Err(error) if files::is_optional(&file) || error.kind() == io::ErrorKind::NotFound => {
                tracing::debug!(file = %file.display(), %error, "a bound could not be set");
            }
            result => result?,
        }
    }
    Ok(())
}

/// Moves a process into one.
pub fn enter(path: &str, pid: i32) -> io::Result<()> {
    for hierarchy in &layout()?.hierarchies {
        let procs = folder(hierarchy, path).join("cgroup.procs");
        match fs::write(&procs, pid.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !procs.exists() => {}
            result => result?,
        }
    }
    Ok(())
}

/// What a new process needs in order to start in a cgroup.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    /// Open files that its maker writes its number to, or the folder to be made in (v2).
    pub early: Vec<OwnedFd>,
    /// Open files that it goes through itself when it is about to execute its program. A container that asked for no processor has next
    /// to no weight against others, and making it would wait for all of them.
    pub late: Vec<OwnedFd>,
}

/// Opens the doors of a cgroup.
pub(crate) fn doors(path: &str) -> io::Result<Doors> {
    doors_in(layout()?, path)
}

fn doors_in(layout: &Layout, path: &str) -> io::Result<Doors> {
    let mut doors = Doors::default();
    for hierarchy in &layout.hierarchies {
        let folder = folder(hierarchy, path);
        let opened =
            if layout.unified { File::open(&folder) } else { File::options().write(true).open(folder.join("cgroup.procs")) };
        match opened {
            Ok(file) if hierarchy.has("cpu") => doors.late.push(file.into()),
            Ok(file) => doors.early.push(file.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !layout.unified => {}
            Err(error) => return Err(error),
        }
    }
    Ok(doors)
}

/// The lists that a process writes itself into when it is to enter a cgroup; v2 has one.
pub(crate) fn procs(path: &str) -> io::Result<Vec<OwnedFd>> {
    let lists = layout()?.hierarchies.iter().map(|hierarchy| folder(hierarchy, path).join("cgroup.procs"));
    lists.filter(|list| list.exists()).map(|list| Ok(File::options().write(true).open(list)?.into())).collect()
}

/// How a container in `path` is to see its cgroups.
pub(crate) fn view(path: &str) -> io::Result<View> {
    let layout = layout()?;
    if layout.unified {
        return Ok(View::Unified);
    }
    let shown = |hierarchy: &Hierarchy| {
        let source = folder(hierarchy, path);
        source.is_dir().then(|| (hierarchy.name.clone(), source))
    };
    Ok(View::Separate(layout.hierarchies.iter().filter_map(shown).collect()))
}

/// Opens the cgroup whose processes may use the standard devices and `extra` alone. Hierarchies are apart in v1, so one below `parent`
/// serves all containers that want no more; in v2 a program stands before the container's own.
pub(crate) fn restrict_devices(parent: &str, path: &str, extra: &[crate::container::Device]) -> io::Result<Option<OwnedFd>> {
    let layout = layout()?;
    if layout.unified {
        let folder = layout.hierarchies.first().map(|hierarchy| folder(hierarchy, path));
        return folder.map_or(Ok(None), |folder| devices::attach(&folder, extra).map(|()| None));
    }
    let Some(hierarchy) = layout.find("devices") else { return Ok(None) };
    let folder =
        if extra.is_empty() { folder(hierarchy, parent).join("restricted") } else { folder(hierarchy, path).join("restricted") };
    devices::restrict(&folder, extra)?;
    Ok(Some(File::options().write(true).open(folder.join("cgroup.procs"))?.into()))
}

/// The processes in it and below, in whichever hierarchy.
pub fn processes(path: &str) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for hierarchy in &layout()?.hierarchies {
        collect(&folder(hierarchy, path), &mut found)?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<i32>) -> io::Result<()> {
    match fs::read_to_string(folder.join("cgroup.procs")) {
        Ok(text) => found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => return Ok(()),
        Err(error) => return Err(error),
    }
    below(folder).try_for_each(|child| collect(&child, found))
}

fn below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Kills every process in it and below, and returns when they are gone.
pub fn kill(path: &str) -> io::Result<()> {
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        io::retry_on_intr,
        process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
    };
    let own = rustix::process::getpid();
    loop {
        let handles: Vec<OwnedFd> = processes(path)?
            .into_iter()
            .filter_map(Pid::from_raw)
            .filter(|pid| *pid != own)
            .filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok())
            .collect();
        if handles.is_empty() {
            return Ok(());
        }
        // All stand still before the first one ends: none sees another's end, notes it or acts on it.
        for signal in [Signal::STOP, Signal::KILL] {
            for handle in &handles {
                let _ = pidfd_send_signal(handle, signal);
            }
        }
        // A killed process may still have a child that it made in the last moment: look again until there is none.
        for handle in &handles {
            let wait = Timespec { tv_sec: 10, tv_nsec: 0 };
            if retry_on_intr(|| poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&wait)))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

/// Removes it and all below, which must be empty of processes; fine if it is gone.
pub fn remove(path: &str) -> io::Result<()> {
    let mut result = Ok(());
    for hierarchy in &layout()?.hierarchies {
        if let Err(error) = remove_folder(&folder(hierarchy, path)) {
            result = Err(error);
        }
    }
    result
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    below(folder).try_for_each(|child| remove_folder(&child))?;
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Makes moving processes between cgroups fast for as long as this process lives: the kernel otherwise waits for a grace period of some
/// milliseconds at the first move after a pause. Kernels that cannot do it stay as they are.
pub fn prefer_fast_moves() {
    static HELD: std::sync::OnceLock<Option<OwnedFd>> = std::sync::OnceLock::new();
    HELD.get_or_init(|| layout().ok().and_then(hierarchy::favour_moves));
}

#[cfg(test)]
mod tests;

//! Which hierarchies this machine has, and where.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::container::Limits;

/// What each container has of its own where the kernel keeps controllers apart; others are used when a bound asks for them.
const ALWAYS: &[&str] = &["cpu", "cpuacct", "memory", "pids"];

/// One tree of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// The name of its folder below `/sys/fs/cgroup`.
    pub name: String,
    /// Where it is mounted.
    pub mount: PathBuf,
    /// What it controls; nothing is said for v2.
    pub controllers: Vec<String>,
}

impl Hierarchy {
    /// Whether it has this controller.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|known| known == controller)
    }
}

/// All trees in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Whether there is but one tree (v2).
    pub unified: bool,
    /// The trees.
    pub hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// The tree with this controller.
    pub fn find(&self, controller: &str) -> Option<&Hierarchy> {
        if self.unified { self.hierarchies.first() } else { self.hierarchies.iter().find(|one| one.has(controller)) }
    }

    /// The trees in which a cgroup with these bounds needs a place.
    pub fn for_limits(&self, limits: &Limits) -> impl Iterator<Item = &Hierarchy> {
        let wanted = |hierarchy: &&Hierarchy| {
            self.unified
                || ALWAYS.iter().any(|always| hierarchy.has(always))
                || (limits.cpuset.is_some() && hierarchy.has("cpuset"))
                || (!limits.hugepages.is_empty() && hierarchy.has("hugetlb"))
        };
        self.hierarchies.iter().filter(wanted)
    }
}

/// The trees of this machine, found once.
pub(super) fn layout() -> io::Result<&'static Layout> {
    static LAYOUT: OnceLock<Layout> = OnceLock::new();
    if let Some(layout) = LAYOUT.get() {
        return Ok(layout);
    }
    let found = parse(&fs::read_to_string("/proc/self/mountinfo")?);
    if found.hierarchies.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no cgroup hierarchy is mounted"));
    }
    Ok(LAYOUT.get_or_init(|| found))
}

/// Reads the trees out of a mount table. Where v1 and v2 are both mounted, the controllers are v1's.
pub(super) fn parse(mountinfo: &str) -> Layout {
    const KNOWN: &[&str] = &["cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "hugetlb"];
    let mut separate: Vec<Hierarchy> = Vec::new();
    let mut unified = None;
    for line in mountinfo.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let mut kind = kind.split(' ');
        let (Some(fs), Some(mount)) = (kind.next(), place.split(' ').nth(4)) else { continue };
        let mount = PathBuf::from(mount);
        let name = mount.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if fs == "cgroup2" && unified.is_none() {
            unified = Some(Hierarchy { name, mount, controllers: Vec::new() });
        } else if fs == "cgroup" {
            let options = kind.nth(1).unwrap_or_default();
            let controllers: Vec<String> =
                options.split(',').filter(|option| KNOWN.contains(option)).map(str::to_owned).collect();
            let known = separate.iter().any(|one| controllers.iter().any(|controller| one.has(controller)));
            if !controllers.is_empty() && !known {
                separate.push(Hierarchy { name, mount, controllers });
            }
        }
    }
    if separate.iter().any(|one| one.has("memory") || one.has("cpu")) {
        return Layout { unified: false, hierarchies: separate };
    }
    Layout { unified: true, hierarchies: unified.into_iter().collect() }
}

/// Makes a v2 cgroup below others that hand their controllers down.
pub(super) fn make_delegated(mount: &Path, path: &str) -> io::Result<()> {
    let mut reached = mount.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let offered = fs::read_to_string(reached.join("cgroup.controllers"))?;
        let active = fs::read_to_string(reached.join("cgroup.subtree_control"))?;
        for controller in ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"] {
            let has = |list: &str| list.split_ascii_whitespace().any(|one| one == controller);
            if has(&offered) && !has(&active) {
                fs::write(reached.join("cgroup.subtree_control"), format!("+{controller}"))?;
            }
        }
        reached.push(part);
        match fs::create_dir(&reached) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A v1 cpuset takes no process before it has processors and memory, which are those of the one above.
pub(super) fn inherit_cpuset(mount: &Path, path: &str) -> io::Result<()> {
    let mut above = mount.to_owned();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let here = above.join(part);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if fs::read_to_string(here.join(file))?.trim().is_empty() {
                fs::write(here.join(file), fs::read_to_string(above.join(file))?.trim())?;
            }
        }
        above = here;
    }
    Ok(())
}

/// Mounts, nowhere, a hierarchy without controllers that asks the kernel for fast moves; it goes when the returned file is closed.
pub(super) fn favour_moves(layout: &Layout) -> Option<OwnedFd> {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    };
    if layout.unified {
        // A new process is made in its place there, and none is moved.
        return None;
    }
    let context = fsopen("cgroup", FsOpenFlags::FSOPEN_CLOEXEC).ok()?;
    fsconfig_set_flag(&context, "none").ok()?;
    fsconfig_set_string(&context, "name", "coracle").ok()?;
    fsconfig_set_flag(&context, "favordynmods").ok()?;
    fsconfig_create(&context).ok()?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).ok()
}

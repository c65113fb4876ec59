//! The file systems that the kernel offers: processes, devices, system, terminals, queues, control groups; and what of them is hidden.

use std::{os::fd::OwnedFd, path::Path};

use rustix::{
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag, fsmount, fsopen},
};

use super::place;
use crate::{
    cgroup::View,
    container::ContainerSpec,
    plan::Plan,
    process::{Attempt as _, Failure},
};

/// What containers must not see.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What containers must not write.
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Mounts them all.
pub(super) fn mount(root: &OwnedFd, plan: &Plan, pod: &Path) -> Result<(), Failure> {
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let spec = &plan.container;
    one(root, "/proc", "proc", quiet, "")?;
    one(root, "/dev", "tmpfs", MountFlags::NOSUID | MountFlags::STRICTATIME, "mode=755,size=65536k")?;
    let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
    one(root, "/dev/pts", "devpts", terminals, "newinstance,ptmxmode=0666,mode=0620,gid=5")?;
    let system = if spec.privileged { quiet } else { quiet | MountFlags::RDONLY };
    one(root, "/sys", "sysfs", system, "")?;
    cgroups(root, plan)?;
    let shm = place::make_folder(root, "/dev/shm").attempt("make /dev/shm")?;
    let shared = place::copy_tree(&plan.shm, false).attempt(format_args!("bind the shared memory of {}", pod.display()))?;
    place::attach(&shared, &shm).attempt("bind /dev/shm")?;
    if plan.host_ipc {
        let queues = place::make_folder(root, "/dev/mqueue").attempt("make /dev/mqueue")?;
        if let Ok(host) = place::copy_tree(Path::new("/dev/mqueue"), false) {
            place::attach(&host, &queues).attempt("bind /dev/mqueue")?;
        }
        return Ok(());
    }
    one(root, "/dev/mqueue", "mqueue", quiet, "")
}

fn one(root: &OwnedFd, target: &str, kind: &str, flags: MountFlags, options: &str) -> Result<(), Failure> {
    let place = place::make_folder(root, target).attempt(format_args!("make {target}"))?;
    let options = std::ffi::CString::new(options).attempt("read mount options")?;
    rustix::mount::mount(kind, place::path(&place), kind, flags, options.as_c_str()).attempt(format_args!("mount {target}"))
}

/// A container sees its own cgroup as the top of each hierarchy.
fn cgroups(root: &OwnedFd, plan: &Plan) -> Result<(), Failure> {
    const TOP: &str = "/sys/fs/cgroup";
    let spec = &plan.container;
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let access = if spec.privileged { MountFlags::empty() } else { MountFlags::RDONLY };
    match &plan.cgroups {
        View::Unified => {
            // SAFETY: a plain call; this process is in its cgroup already, which so becomes the top of what it sees.
            if unsafe { libc::unshare(libc::CLONE_NEWCGROUP) } != 0 {
                return Err(Failure::step("make a cgroup namespace", std::io::Error::last_os_error()));
            }
            one(root, TOP, "cgroup2", quiet | access, "")
        }
        View::Separate(hierarchies) => {
            one(root, TOP, "tmpfs", quiet, "mode=755,size=64k")?;
            for (name, source) in hierarchies {
                let target = place::make_folder(root, &format!("{TOP}/{name}")).attempt("make a cgroup folder")?;
                let tree = place::copy_tree(source, false).attempt(format_args!("bind cgroup {}", source.display()))?;
                let mut attributes = place::NO_SUID | place::NO_EXECUTE | place::NO_DEVICES;
                if !spec.privileged {
                    attributes |= place::READ_ONLY;
                }
                place::set_attributes(&tree, attributes, 0, false).attempt("restrict cgroups")?;
                place::attach(&tree, &target).attempt("bind cgroups")?;
            }
            let top = place::find(root, TOP).attempt("find the cgroups")?;
            let seal = if spec.privileged { 0 } else { place::READ_ONLY };
            place::set_attributes(&top, seal, 0, false).attempt("restrict cgroups")
        }
    }
}

/// Hides and seals what a container has no business with.
pub(super) fn mask(root: &OwnedFd, spec: &ContainerSpec) -> Result<(), Failure> {
    if spec.privileged || !spec.masked_paths {
        return Ok(());
    }
    for path in READ_ONLY {
        let Ok(place) = place::find(root, path) else { continue };
        let copy = place::copy_of(&place).attempt(format_args!("copy {path}"))?;
        place::set_attributes(&copy, place::READ_ONLY, 0, false).attempt(format_args!("make {path} read-only"))?;
        place::attach(&copy, &place).attempt(format_args!("make {path} read-only"))?;
    }
    let nothing = place::copy_tree(Path::new("/dev/null"), false).attempt("copy /dev/null")?;
    let empty = empty_folder().attempt("make an empty folder")?;
    for path in MASKED {
        let Ok(place) = place::find(root, path) else { continue };
        let is_folder = rustix::fs::fstat(&place)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Directory);
        let cover = place::copy_of(if is_folder { &empty } else { &nothing }).attempt(format_args!("copy what hides {path}"))?;
        place::attach(&cover, &place).attempt(format_args!("hide {path}"))?;
    }
    Ok(())
}

fn empty_folder() -> Result<OwnedFd, Errno> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_flag(&context, "ro")?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::MOUNT_ATTR_RDONLY)
}

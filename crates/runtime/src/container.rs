//! What a container is to be, and the handle on one that was started. Never starts one: that is the pod's.

use std::{path::PathBuf, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::image::Image;

/// A container to start. Everything is final: nothing is looked up in the image any more but its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Unique in the pod, a file name: for instance `web-3` for the third restart of `web`.
    pub id: String,
    /// Where the root file system comes from.
    pub image: Image,
    /// Program and arguments; the program is looked up in the container's `PATH`.
    pub argv: Vec<String>,
    /// The whole environment; `PATH`, `HOME` and `HOSTNAME` are added where they are missing.
    pub env: Vec<(String, String)>,
    /// Where the program starts; made if it is missing. `None` is the image's, or `/`.
    pub working_dir: Option<String>,
    /// Whom the program runs as.
    pub user: User,
    /// Bound into the root in this order, `/etc/hosts` and the like among them.
    pub mounts: Vec<Mount>,
    /// Memory file systems of its own.
    pub tmpfs: Vec<Tmpfs>,
    /// Devices beyond the standard ones.
    pub devices: Vec<Device>,
    /// The final sets.
    pub capabilities: Capabilities,
    /// All devices, a writable `/sys`, nothing masked, no seccomp unless it is asked for.
    pub privileged: bool,
    /// Whether set-user-id programs gain nothing.
    pub no_new_privileges: bool,
    /// Which system calls are allowed.
    pub seccomp: Seccomp,
    /// Whether the root file system is read-only.
    pub read_only_root: bool,
    /// Whether the sensitive paths of `/proc` and `/sys` are hidden or read-only (the default of `procMount`).
    pub masked_paths: bool,
    /// Whether it has a terminal of its own.
    pub tty: bool,
    /// Whether its standard input stays open for those who attach.
    pub stdin: bool,
    /// Whether its standard input ends when the first who attached leaves.
    pub stdin_once: bool,
    /// Bounds of its cgroup.
    pub limits: Limits,
    /// How readily the kernel kills it when memory is short; where it may not be lowered, it stays.
    pub oom_score_adj: i32,
    /// How often it was started before; only carried.
    pub restart: u32,
}

impl ContainerSpec {
    /// A container of `image` with the usual bounds of a container: capabilities, seccomp and masks as container engines have them.
    pub fn new(id: impl Into<String>, image: Image, argv: Vec<String>) -> Self {
        Self {
            id: id.into(),
            image,
            argv,
            env: Vec::new(),
            working_dir: None,
            user: User::default(),
            mounts: Vec::new(),
            tmpfs: Vec::new(),
            devices: Vec::new(),
            capabilities: Capabilities::default(),
            privileged: false,
            no_new_privileges: false,
            seccomp: Seccomp::RuntimeDefault,
            read_only_root: false,
            masked_paths: true,
            tty: false,
            stdin: false,
            stdin_once: false,
            limits: Limits::default(),
            oom_score_adj: 0,
            restart: 0,
        }
    }
}

/// Whom a program runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The first group.
    pub gid: u32,
    /// The further groups.
    pub groups: Vec<u32>,
}

/// A file or folder of the host that is bound into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// On the host; it must exist.
    pub source: PathBuf,
    /// In the container; made if it is missing. Links on the way are followed inside the root alone.
    pub target: String,
    /// Whether the mount is read-only.
    pub read_only: bool,
    /// Whether mounts below it are read-only too.
    pub recursive_read_only: bool,
    /// Whether later mounts of one side show on the other.
    pub propagation: Propagation,
}

/// Whether later mounts below a bound folder show on the other side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// They do not.
    #[default]
    Private,
    /// Those of the host show in the container.
    HostToContainer,
    /// Both ways; the source must be a shared mount.
    Bidirectional,
}

/// A memory file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// In the container.
    pub target: String,
    /// Mount options as the kernel reads them, for instance `size=64m,mode=1777`.
    pub options: String,
}

/// A device of the host that the container may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// On the host.
    pub source: PathBuf,
    /// In the container, an absolute path.
    pub target: String,
    /// Any of `r`, `w`, `m`.
    pub access: String,
}

/// The capabilities of a container, by name as `CAP_CHOWN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// What the programs may ever have; a program of root has all of it.
    pub bounding: Vec<String>,
    /// What a program keeps that is not root's.
    pub ambient: Vec<String>,
}

/// What container engines give by default.
pub const DEFAULT_CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

impl Default for Capabilities {
    fn default() -> Self {
        Self { bounding: DEFAULT_CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(), ambient: Vec::new() }
    }
}

impl Capabilities {
    /// The default set with `add` and without `drop`, named with or without `CAP_`; `ALL` means every one.
    /// As in container runtimes, `drop: ALL` is read before `add`, and a name that is unknown is left out.
    pub fn adjusted(add: &[String], drop: &[String]) -> Self {
        crate::process::capabilities::adjusted(add, drop)
    }

    /// Every capability that this kernel and this process have.
    pub fn all() -> Self {
        Self::adjusted(&["ALL".to_owned()], &[])
    }
}

/// Which system calls are allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Seccomp {
    /// All.
    Unconfined,
    /// Those that ordinary programs need; what is allowed beyond them follows from the capabilities.
    RuntimeDefault,
    /// A profile in the form that container engines read.
    Profile(serde_json::Value),
}

/// Bounds of a cgroup; `None` is no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Weight against siblings, 1024 a processor.
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time in each period.
    pub cpu_quota_us: Option<i64>,
    /// Length of a period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Bytes of memory that are kept from reclamation, where the kernel can (v2).
    pub memory_low_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Processors, as `0-2,4`.
    pub cpuset: Option<String>,
    /// Bytes of huge pages by page size, as `2MB`.
    pub hugepages: Vec<(String, u64)>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// As a shell sees it: 128 + n for signal n.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Nobody saw how it ended: the machine went with it.
    pub unseen: bool,
    /// Whether the kernel killed one of its processes for want of memory.
    pub oom_killed: bool,
    /// When its program was started.
    pub started: SystemTime,
    /// When it had ended.
    pub finished: SystemTime,
}

pub use crate::pod::running::Container;

//! What the machine is and has, read once from the kernel. Writes nothing.

use std::collections::BTreeMap;
use std::path::Path;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::NodeSystemInfo;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// How many pods a node takes.
const PODS_MAX: i64 = 110;
/// Memory that pods are not promised, so that the node itself can run: upstream's eviction threshold.
const MEMORY_KEPT: i64 = 100 << 20;

/// The machine, as the Node tells of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// Processors.
    pub(crate) processors: i64,
    /// Bytes of memory.
    pub(crate) memory: i64,
    /// Bytes of the file system that holds the node's folder.
    pub(crate) disk: i64,
    /// Bytes of huge pages by page size, as `2Mi`.
    pub(crate) huge_pages: BTreeMap<String, i64>,
    /// Names and versions.
    pub(crate) info: NodeSystemInfo,
}

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

impl Machine {
    /// Reads it.
    pub(crate) fn read(folder: &Path) -> Self {
        let version = concat!("v1.37.2+coracle-", env!("CARGO_PKG_VERSION"));
        let system = rustix::system::uname();
        let uuid = text("/sys/class/dmi/id/product_uuid");
        let machine_id = text("/etc/machine-id");
        let info = NodeSystemInfo {
            architecture: architecture().into(),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
            container_runtime_version: concat!("coracle://", env!("CARGO_PKG_VERSION")).into(),
            kernel_version: system.release().to_string_lossy().into_owned(),
            kube_proxy_version: String::new(),
            kubelet_version: version.into(),
            system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
            machine_id,
            operating_system: "linux".into(),
            os_image: os_image(),
            ..NodeSystemInfo::default()
        };
        Self { processors: processors(), memory: memory("MemTotal:"), disk: disk_bytes(folder).0, huge_pages: huge_pages(), info }
    }

    /// All that it has.
    pub(crate) fn capacity(&self) -> BTreeMap<String, Text> {
        let mut all = BTreeMap::from([
            ("cpu".to_owned(), Text(Quantity::whole(self.processors).to_string())),
            ("memory".to_owned(), Text(format!("{}Ki", self.memory / 1024))),
            ("ephemeral-storage".to_owned(), Text(format!("{}Ki", self.disk / 1024))),
            ("pods".to_owned(), Text(PODS_MAX.to_string())),
        ]);
        for (size, bytes) in &self.huge_pages {
            all.insert(format!("hugepages-{size}"), Text(Quantity::bytes(*bytes).to_string()));
        }
        all
    }

    /// What pods may have of it.
    pub(crate) fn allocatable(&self) -> BTreeMap<String, Text> {
        let mut all = self.capacity();
        let pages: i64 = self.huge_pages.values().sum();
        let memory = (self.memory - MEMORY_KEPT - pages).max(0);
        all.insert("memory".into(), Text(format!("{}Ki", memory / 1024)));
        all.insert("ephemeral-storage".into(), Text((self.disk / 10 * 9).to_string()));
        all
    }
}

/// The architecture as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn processors() -> i64 {
    std::thread::available_parallelism().map_or(1, |n| i64::try_from(n.get()).unwrap_or(1))
}

/// A line of `/proc/meminfo` in bytes.
fn memory(line: &str) -> i64 {
    let all = text("/proc/meminfo");
    let found = all.lines().find_map(|l| l.strip_prefix(line));
    let kilobytes = found.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse::<i64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Bytes of the file system below a folder: all and free ones.
pub(crate) fn disk_bytes(folder: &Path) -> (i64, i64) {
    let Ok(stat) = rustix::fs::statvfs(folder) else { return (0, 0) };
    let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(stat.f_frsize)).unwrap_or(i64::MAX);
    (bytes(stat.f_blocks), bytes(stat.f_bavail))
}

fn huge_pages() -> BTreeMap<String, i64> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let size = name.strip_prefix("hugepages-").and_then(|rest| rest.strip_suffix("kB")).and_then(|n| n.parse::<i64>().ok());
        let Some(kilobytes) = size else { continue };
        let pages: i64 = text(&entry.path().join("nr_hugepages").to_string_lossy()).parse().unwrap_or(0);
        all.insert(Quantity::bytes(kilobytes * 1024).to_string(), pages * kilobytes * 1024);
    }
    all
}

fn os_image() -> String {
    let all = text("/etc/os-release");
    let name = all.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

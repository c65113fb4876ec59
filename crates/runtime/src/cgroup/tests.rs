use super::{files, hierarchy::parse};
use crate::container::Limits;

const HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

#[test]
fn trees_are_told_apart() {
    let hybrid = parse(HYBRID);
    assert!(!hybrid.unified);
    assert_eq!(hybrid.find("cpuacct").map(|one| one.name.as_str()), Some("cpu,cpuacct"));
    assert_eq!(hybrid.hierarchies.len(), 2);
    let unified = parse(V2);
    assert!(unified.unified);
    assert_eq!(unified.find("memory").map(|one| one.mount.as_path()), Some("/sys/fs/cgroup".as_ref()));
}

#[test]
fn bounds_are_worded_as_each_kernel_reads_them() {
    let limits = Limits {
        cpu_shares: Some(1024),
        cpu_quota_us: Some(50_000),
        memory_bytes: Some(1 << 20),
        pids: Some(10),
        ..Limits::default()
    };
    let texts = |unified| {
        files::values(&limits, unified).into_iter().map(|(_, file, value)| format!("{file}={value}")).collect::<Vec<_>>()
    };
    assert_eq!(texts(true), ["cpu.weight=100", "cpu.max=50000 100000", "memory.max=1048576", "memory.swap.max=0", "pids.max=10"]);
    assert_eq!(
        texts(false),
        [
            "cpu.shares=1024",
            "cpu.cfs_quota_us=50000",
            "memory.limit_in_bytes=1048576",
            "memory.memsw.limit_in_bytes=1048576",
            "pids.max=10"
        ]
    );
    assert_eq!((files::weight(2), files::weight(262_144)), (1, 10_000));
}

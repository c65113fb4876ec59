use std::{fs, path::Path};

use super::{
    create_in, doors_in, files,
    hierarchy::{Hierarchy, Layout, parse},
    set_in,
    usage::{oom_kills_in, usage_in},
};
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

/// A folder that looks like a v2 tree in which these cgroups were just made.
fn tree(top: &Path, paths: &[&str]) -> Layout {
    for path in paths {
        let folder = top.join(path);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("cgroup.controllers"), "cpu memory pids\n").expect("written");
        fs::write(folder.join("cgroup.subtree_control"), if path.is_empty() { "cpu memory pids\n" } else { "" })
            .expect("written");
    }
    Layout {
        unified: true,
        hierarchies: vec![Hierarchy { name: "cgroup".into(), mount: top.to_owned(), controllers: Vec::new() }],
    }
}

#[test]
fn in_one_tree_controllers_are_handed_down_and_bounds_stand_in_the_cgroup_itself() {
    let top = tempfile::tempdir().expect("a folder");
    let layout = tree(top.path(), &["", "node", "node/pod"]);
    let limits = Limits { cpu_shares: Some(1024), cpu_quota_us: Some(50_000), memory_bytes: Some(1 << 20), ..Limits::default() };
    create_in(&layout, "/node/pod/container", &limits).expect("made");
    let read = |path: &str| fs::read_to_string(top.path().join(path)).unwrap_or_default();
    assert_eq!(read("cgroup.subtree_control"), "cpu memory pids\n", "what is handed down already is left alone");
    // The kernel adds one to the others; a plain file shows the last.
    assert_eq!((read("node/cgroup.subtree_control"), read("node/pod/cgroup.subtree_control")), ("+pids".into(), "+pids".into()));
    assert!(!top.path().join("node/pod/container/cgroup.subtree_control").exists(), "a cgroup with processes hands nothing down");
    let bounds =
        ["cpu.weight", "cpu.max", "memory.max", "memory.swap.max"].map(|file| read(&format!("node/pod/container/{file}")));
    assert_eq!(bounds, ["100", "50000 100000", "1048576", "0"]);
    set_in(&layout, "/node/pod/container", &Limits { cpu_quota_us: Some(-1), memory_bytes: Some(0), ..Limits::default() })
        .expect("set");
    assert_eq!(read("node/pod/container/cpu.max"), "max 100000");
    assert_eq!(read("node/pod/container/memory.max"), "max");
    assert_eq!(read("node/pod/container/cpu.weight"), "100", "a bound that is not named stays");
}

#[test]
fn in_one_tree_a_process_is_made_in_its_place() {
    let top = tempfile::tempdir().expect("a folder");
    let layout = tree(top.path(), &["", "node", "node/pod"]);
    let doors = doors_in(&layout, "node/pod").expect("opened");
    assert_eq!((doors.early.len(), doors.late.len()), (1, 0));
    assert!(fs::File::from(doors.early.into_iter().next().expect("one")).metadata().expect("open").is_dir());
    assert!(doors_in(&layout, "node/none").is_err(), "a process without its bounds must not start");
}

#[test]
fn in_one_tree_usage_and_kills_are_read_from_its_files() {
    let top = tempfile::tempdir().expect("a folder");
    let layout = tree(top.path(), &["", "pod"]);
    for (file, text) in [
        ("memory.current", "1000\n"),
        ("memory.stat", "anon 600\nfile 400\ninactive_file 300\npgfault 7\npgmajfault 1\n"),
        ("memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\n"),
        ("cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"),
    ] {
        fs::write(top.path().join("pod").join(file), text).expect("written");
    }
    let usage = usage_in(&layout, "pod").expect("read");
    assert_eq!((usage.cpu_ns, usage.memory_bytes, usage.working_set_bytes, usage.rss_bytes), (1_500_000, 1000, 700, 600));
    assert_eq!(oom_kills_in(&layout, "pod"), 1);
}

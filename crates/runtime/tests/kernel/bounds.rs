//! What a container may not do, and what it may when it is allowed.

use std::{fs, os::unix::fs::PermissionsExt as _};

use libtest_mimic::Trial;
use runtime::{
    container::{Capabilities, Limits, Mount, Propagation, Seccomp, Tmpfs, User},
    rootfs::resolve_user,
};

use crate::{fixture::Fixture, trial};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("system_calls_are_filtered", system_calls_are_filtered),
        trial("capabilities_are_those_that_were_given", capabilities),
        trial("the_user_is_the_one_that_was_asked_for", users),
        trial("a_read_only_root_is_read_only", read_only_root),
        trial("mounts_are_where_they_should_be_and_read_only_where_they_should", mounts),
        trial("the_kernel_is_masked", masked),
        trial("devices_are_few", devices),
        trial("the_supervisors_program_cannot_be_written", sealed),
        trial("bounds_stand_in_the_cgroup_and_are_seen_inside", limits),
        trial("sysctls_are_the_pods", sysctls),
        trial("two_way_mounts_need_a_shared_source", propagation),
    ]
}

async fn system_calls_are_filtered() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let script = "unshare -m true && echo unshared; grep Seccomp: /proc/self/status; mount -t tmpfs x /tmp && echo mounted";
    let mut spec = fixture.container("a", script);
    spec.capabilities = Capabilities::adjusted(&["SYS_ADMIN".into()], &[]);
    let (_, lines) = fixture.run(&pod, spec.clone()).await;
    assert_eq!(lines.iter().filter(|line| ["unshared", "mounted"].contains(&line.as_str())).count(), 2, "{lines:?}");
    spec.id = "b".into();
    spec.capabilities = Capabilities::default();
    let (_, lines) = fixture.run(&pod, spec.clone()).await;
    assert!(!lines.iter().any(|line| ["unshared", "mounted"].contains(&line.as_str())), "{lines:?}");
    assert!(lines.contains(&"Seccomp:\t2".to_owned()), "{lines:?}");
    spec.id = "c".into();
    spec.seccomp = Seccomp::Profile(serde_json::json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]
    }));
    spec.no_new_privileges = true;
    spec.argv[2] = "chmod 700 /tmp; grep NoNewPrivs /proc/self/status".into();
    let (_, lines) = fixture.run(&pod, spec.clone()).await;
    assert!(lines.iter().any(|line| line.contains("not supported")), "{lines:?}");
    assert!(lines.contains(&"NoNewPrivs:\t1".to_owned()));
    spec.id = "d".into();
    spec.seccomp = Seccomp::Unconfined;
    spec.argv[2] = "grep Seccomp: /proc/self/status".into();
    assert_eq!(fixture.run(&pod, spec).await.1, ["Seccomp:\t0"]);
    pod.stop().await.expect("stopped");
}

async fn capabilities() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let mut spec = fixture.container("a", "grep Cap /proc/self/status");
    spec.capabilities = Capabilities::adjusted(&["NET_BIND_SERVICE".into()], &["ALL".into()]);
    let (_, lines) = fixture.run(&pod, spec.clone()).await;
    let zero = "0000000000000000";
    let one = "0000000000000400";
    let found: Vec<&str> = lines.iter().filter_map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(found, [zero, one, one, one, zero]);
    spec.id = "b".into();
    spec.user = User { uid: 1000, gid: 1000, groups: vec![] };
    let (_, lines) = fixture.run(&pod, spec.clone()).await;
    let found: Vec<&str> = lines.iter().filter_map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(found, [zero, zero, zero, one, zero], "a user has only the bound");
    spec.id = "c".into();
    spec.capabilities.ambient = spec.capabilities.bounding.clone();
    let (_, lines) = fixture.run(&pod, spec).await;
    let found: Vec<&str> = lines.iter().filter_map(|line| line.split('\t').nth(1)).collect();
    assert_eq!(found, [one; 5]);
    pod.stop().await.expect("stopped");
}

async fn users() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let mut spec = fixture.container("a", "id; echo $HOME; echo x > /dev/stdout; touch /tmp/x 2>/dev/null || echo denied");
    spec.user = resolve_user(&spec.image, "app").expect("known");
    spec.working_dir = Some("/made/for/it".into());
    spec.argv[2].push_str("; readlink /proc/self/cwd");
    fs::set_permissions(fixture.folder.path().join("layer/tmp"), fs::Permissions::from_mode(0o700)).expect("closed");
    let (_, lines) = fixture.run(&pod, spec).await;
    assert!(lines[0].starts_with("uid=1000(app) gid=1001(app) groups="), "{lines:?}");
    assert!(lines[0].contains("2000(extra)"), "{lines:?}");
    assert_eq!(lines[1], "/home/app");
    assert!(lines.contains(&"x".to_owned()) && lines.contains(&"denied".to_owned()), "{lines:?}");
    assert!(lines.contains(&"/made/for/it".to_owned()), "{lines:?}");
    pod.stop().await.expect("stopped");
}

async fn read_only_root() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let script = "touch /x && echo written; touch /dev/shm/y && echo shm; echo > /scratch/z && echo scratch; touch /proc/sys/kernel/x 2>/dev/null || echo sealed";
    let mut spec = fixture.container("a", script);
    spec.tmpfs = vec![Tmpfs { target: "/scratch".into(), options: "size=1m".into() }];
    let (_, lines) = fixture.run(&pod, spec.clone()).await;
    assert!(lines.contains(&"written".to_owned()));
    assert!(!fixture.folder.path().join("layer/x").exists(), "the layer stays as it was");
    spec.id = "b".into();
    spec.read_only_root = true;
    let (_, lines) = fixture.run(&pod, spec).await;
    assert!(!lines.contains(&"written".to_owned()), "{lines:?}");
    for expected in ["shm", "scratch", "sealed"] {
        assert!(lines.contains(&expected.to_owned()), "{lines:?}");
    }
    pod.stop().await.expect("stopped");
}

async fn mounts() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let source = fixture.folder.path().join("volume");
    fs::create_dir_all(&source).expect("made");
    fs::write(source.join("file"), "content\n").expect("written");
    // The image points somewhere else; the mount must land inside.
    std::os::unix::fs::symlink("/etc", fixture.folder.path().join("layer/link")).expect("a link");
    let bind = |source: &std::path::Path, target: &str, read_only| Mount {
        source: source.to_owned(),
        target: target.into(),
        read_only,
        recursive_read_only: read_only,
        propagation: Propagation::HostToContainer,
    };
    let script = "cat /data/file; touch /data/new && echo written; touch /sealed/new || echo sealed; cat /etc/inside";
    let mut spec = fixture.container("a", script);
    spec.mounts =
        vec![bind(&source, "/data", false), bind(&source, "/sealed", true), bind(&source.join("file"), "/link/inside", true)];
    let (_, lines) = fixture.run(&pod, spec).await;
    assert!(source.join("new").exists());
    let expected = ["content", "written", "sealed", "content"];
    let found: Vec<&str> = lines.iter().map(String::as_str).filter(|line| expected.contains(line)).collect();
    assert_eq!(found.len(), 4, "{lines:?}");
    assert!(!fs::exists("/etc/inside").expect("looked"));
    let own = fixture.folder.path().join("layers/a/upper");
    assert!(
        own.join("..").exists() && fs::read_dir(&own).expect("there").next().is_none(),
        "the places of mounts are made once for all"
    );
    pod.stop().await.expect("stopped");
}

async fn masked() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let script = "ls /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/printk || echo sealed; echo x > /sys/kernel/x || echo sealed; ls /proc/keys >/dev/null; wc -c < /proc/keys";
    let (_, lines) = fixture.run(&pod, fixture.container("a", script)).await;
    assert_eq!(lines.iter().filter(|line| line.as_str() == "0").count(), 2, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.as_str() == "sealed").count(), 2, "{lines:?}");
    let (_, lines) = fixture
        .run(&pod, fixture.container("b", "grep -c . /proc/self/mountinfo; grep coracle-runtime /proc/self/mountinfo"))
        .await;
    assert!(lines.len() < 20, "no mount of the host is seen: {lines:?}");
    pod.stop().await.expect("stopped");
}

async fn devices() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let script = "echo x > /dev/null && head -c 4 /dev/urandom | wc -c; mknod /tmp/disk b 254 0 && (head -c 1 /tmp/disk || echo refused); mknod /tmp/kmsg c 1 11; head -c 1 /tmp/kmsg || echo refused; ls /dev | wc -l";
    let (_, lines) = fixture.run(&pod, fixture.container("a", script)).await;
    assert_eq!(lines.iter().filter(|line| line.as_str() == "refused").count(), 2, "{lines:?}");
    assert!(lines.contains(&"4".to_owned()));
    let mut spec = fixture.container("b", "ls /dev | wc -l; head -c 1 /dev/kmsg | wc -c; unshare -m true && echo unshared");
    spec.privileged = true;
    spec.capabilities = Capabilities::all();
    let (_, lines) = fixture.run(&pod, spec).await;
    assert!(lines[0].parse::<u32>().expect("a number") > 20, "{lines:?}");
    assert!(lines.contains(&"unshared".to_owned()), "{lines:?}");
    pod.stop().await.expect("stopped");
}

async fn sealed() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    // An image may ask to execute this, and so hold it open for another time.
    let program = format!("/proc/{}/exe", pod.pid());
    let flags = nix::sys::statvfs::statvfs(program.as_str()).expect("known").flags();
    assert!(flags.contains(nix::sys::statvfs::FsFlags::ST_RDONLY), "{flags:?}");
    pod.stop().await.expect("stopped");
}

async fn limits() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let script = if runtime::cgroup::is_unified() {
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max"
    } else {
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares; (echo 1 > memory/memory.limit_in_bytes) 2>/dev/null || echo sealed"
    };
    let mut spec = fixture.container("a", script);
    spec.limits = Limits {
        memory_bytes: Some(64 << 20),
        pids: Some(20),
        cpu_quota_us: Some(50_000),
        cpu_period_us: Some(100_000),
        cpu_shares: Some(512),
        cpuset: Some("0".into()),
        ..Limits::default()
    };
    let (_, lines) = fixture.run(&pod, spec).await;
    assert_eq!(lines[..2], ["67108864", "20"], "{lines:?}");
    assert!(lines[2].starts_with("50000"), "{lines:?}");
    assert!(runtime::cgroup::is_unified() || (lines[3] == "512" && lines.contains(&"sealed".to_owned())), "{lines:?}");
    pod.start_container(fixture.container("b", "sleep 100"), fixture.logs("b")).await.expect("started");
    pod.set_limits(Some("b"), &Limits { memory_bytes: Some(32 << 20), ..Limits::default() }).await.expect("set");
    pod.set_limits(Some("b"), &Limits { memory_bytes: Some(96 << 20), ..Limits::default() }).await.expect("raised");
    pod.set_limits(None, &Limits { cpu_shares: Some(100), ..Limits::default() }).await.expect("set");
    pod.stop().await.expect("stopped");
}

async fn sysctls() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.sysctls =
        vec![("net.ipv4.ip_unprivileged_port_start".into(), "80".into()), ("kernel.shm_rmid_forced".into(), "1".into())];
    let pod = runtime::pod::Pod::start(spec).await.expect("started");
    let script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced";
    assert_eq!(fixture.run(&pod, fixture.container("a", script)).await.1, ["80", "1"]);
    pod.stop().await.expect("stopped");
    let mut spec = fixture.spec();
    spec.sysctls = vec![("kernel.no_such".into(), "1".into())];
    let error = runtime::pod::Pod::start(spec).await.expect_err("there is none");
    assert!(crate::fixture::chain(&error).contains("kernel.no_such"), "{}", crate::fixture::chain(&error));
    assert!(!fixture.dir().exists(), "nothing is left of it");
}

async fn propagation() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let source = fixture.folder.path().join("shared");
    fs::create_dir_all(source.join("below")).expect("made");
    let none: Option<&str> = None;
    let flags = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(&source), &source, none, flags, none).expect("bound");
    nix::mount::mount(none, &source, none, nix::mount::MsFlags::MS_SHARED, none).expect("shared");
    let mut spec = fixture.container("a", "mount -t tmpfs x /two/below && touch /two/below/here && echo mounted; sleep 0.3");
    spec.mounts = vec![Mount {
        source: source.clone(),
        target: "/two".into(),
        read_only: false,
        recursive_read_only: false,
        propagation: Propagation::Bidirectional,
    }];
    spec.privileged = true;
    spec.capabilities = Capabilities::all();
    let (_, lines) = fixture.run(&pod, spec).await;
    let seen = source.join("below/here").exists();
    let _ = nix::mount::umount(&source.join("below"));
    nix::mount::umount2(&source, nix::mount::MntFlags::MNT_DETACH).expect("unmounted");
    assert_eq!(lines, ["mounted"]);
    assert!(seen, "the host sees the mount of the container");
    pod.stop().await.expect("stopped");
}

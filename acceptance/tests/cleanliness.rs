//! `coracle down` leaves the machine as it was: after an orderly end, and after every process was killed.

use std::{collections::BTreeSet, fs, path::Path, process::ExitCode, time::Duration};

use acceptance::{BUSYBOX, Cluster, Program, within};
use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

fn main() -> ExitCode {
    acceptance::run_without_cluster(&[
        ("down leaves the machine as it was", || leaves_nothing(|_| Ok(()))),
        ("down leaves the machine as it was after everything was killed", || leaves_nothing(kill_everything)),
        ("up resumes with the pods back, and keeps what was written", resumes),
        ("down of another cluster's data leaves the running one alone", spares_others),
    ])
}

/// What of the machine could be left behind.
#[derive(Debug, PartialEq, Eq)]
struct Traces {
    processes: BTreeSet<String>,
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    links: String,
    addresses: String,
    routes: String,
    namespaces: String,
    nft: String,
    iptables: String,
    settings: Vec<String>,
}

const SETTINGS: &[&str] = &["net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/all/rp_filter"];

fn traces() -> anyhow::Result<Traces> {
    let say = |program: &str, arguments: &str| -> anyhow::Result<String> {
        Program::new(program).arguments(arguments.split_whitespace()).run()?.ok()
    };
    let mut cgroups = BTreeSet::new();
    folders(Path::new("/sys/fs/cgroup"), &mut cgroups);
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    // The numbers of mounts change; where they stand and what they are does not.
    let mounts = mountinfo.lines().filter_map(|line| line.split_once(' ')?.1.split_once(' ')).map(|(_, rest)| rest.to_owned());
    Ok(Traces {
        processes: processes(),
        mounts: mounts.collect(),
        cgroups,
        links: say("ip", "-o link show")?,
        addresses: say("ip", "-o -4 addr show")?,
        routes: say("ip", "route show table all")?,
        namespaces: say("ip", "netns list")?,
        nft: say("nft", "list ruleset")?,
        iptables: Program::new("iptables-save").run().map(|finished| finished.stdout).unwrap_or_default(),
        settings: SETTINGS.iter().map(|name| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default()).collect(),
    })
}

/// Processes of Coracle and of its pods; others come and go on a machine that is in use.
fn processes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let cgroup = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let line = String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).unwrap_or_default()).replace('\0', " ");
        let ours = std::env::var("CORACLE_CGROUP").is_ok_and(|root| cgroup.contains(&root));
        // The keeper stands in no cgroup of ours; its folder bears the number of this test's process.
        if ours || line.contains(&format!("coracle-acceptance-{}/", std::process::id())) {
            found.insert(format!("{pid} {line}"));
        }
    }
    found
}

fn folders(path: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            let text = path.display().to_string();
            // Others on this machine, other clusters among them, make groups of their own beside us.
            let ours = std::env::var("CORACLE_CGROUP").is_ok_and(|root| text.contains(&root));
            if ours || !text.contains("coracle") {
                found.insert(text);
            }
            folders(&path, found);
        }
    }
}

fn leaves_nothing(before_down: fn(&Cluster) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let before = traces()?;
    let cluster = Cluster::up(3)?;
    let used = use_it(&cluster).and_then(|()| before_down(&cluster));
    let down = cluster.down();
    used?;
    down?;
    let after = traces()?;
    for (what, before, after) in [
        ("processes", format!("{:#?}", before.processes), format!("{:#?}", after.processes)),
        ("mounts", format!("{:#?}", before.mounts), format!("{:#?}", after.mounts)),
        ("cgroups", format!("{:#?}", before.cgroups), format!("{:#?}", after.cgroups)),
    ] {
        ensure!(before == after, "{what} differ:\nbefore {before}\nafter {after}");
    }
    ensure!(before == after, "before {before:#?}\nafter {after:#?}");
    Ok(())
}

/// Pods with volumes and a service on every node.
fn use_it(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    let manifest = format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: s}}\nspec:\n  replicas: 3\n  serviceName: s\n  podManagementPolicy: Parallel\n  selector: {{matchLabels: {{app: s}}}}\n  template:\n    metadata: {{labels: {{app: s}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      topologySpreadConstraints:\n      - {{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {{matchLabels: {{app: s}}}}}}\n      containers:\n      - name: main\n        image: {BUSYBOX}\n        command: [sh, -c, 'date >> /data/starts; exec sleep 3600']\n        volumeMounts: [{{name: data, mountPath: /data}}, {{name: tmp, mountPath: /scratch}}]\n      volumes: [{{name: tmp, emptyDir: {{medium: Memory}}}}]\n  volumeClaimTemplates:\n  - metadata: {{name: data}}\n    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec: {{type: NodePort, selector: {{app: s}}, ports: [{{port: 80}}]}}\n"
    );
    cluster.apply(&namespace, &manifest)?;
    cluster.kubectl(&format!("rollout status statefulset s -n {namespace} --timeout=60s"))?;
    Ok(())
}

/// Ends every process of the cluster at once, from the keeper down to the containers.
fn kill_everything(_: &Cluster) -> anyhow::Result<()> {
    for _ in 0..3 {
        for process in processes() {
            let pid: i32 = process.split(' ').next().unwrap_or_default().parse()?;
            // Some end while we go through the list, with their parents.
            let _ = kill_process(Pid::from_raw(pid).context("no process id")?, Signal::KILL);
        }
    }
    Ok(())
}

fn spares_others() -> anyhow::Result<()> {
    let cluster = Cluster::up(1)?;
    let spared = (|| {
        let namespace = cluster.namespace()?;
        cluster.kubectl(&format!("run p -n {namespace} --image={BUSYBOX} -- sleep 3600"))?;
        cluster.kubectl(&format!("wait pod/p -n {namespace} --for=condition=Ready --timeout=60s"))?;
        let other = cluster.folder().join("other");
        let other = other.to_str().context("no text")?;
        let refused = cluster.coracle(["up", "--data-dir", other])?;
        ensure!(refused.code != 0 && refused.said().contains("another cluster runs on this machine"), "{}", refused.said());
        cluster.coracle(["down", "--purge", "--data-dir", other])?.ok()?;
        ensure!(!Path::new(other).exists(), "the other's data stay");
        let pod = cluster.get(&format!("pod p -n {namespace}"))?;
        ensure!(pod["status"]["containerStatuses"][0]["restartCount"] == 0, "{pod:#}");
        cluster.kubectl(&format!("exec p -n {namespace} -- nslookup kubernetes.default.svc.cluster.local"))?;
        Ok(())
    })();
    cluster.down()?;
    spared
}

fn resumes() -> anyhow::Result<()> {
    let cluster = Cluster::up(2)?;
    let resumed = (|| {
        let namespace = cluster.namespace()?;
        cluster.kubectl(&format!("create configmap kept -n {namespace} --from-literal=a=b"))?;
        cluster.kubectl(&format!("create deployment d -n {namespace} --image={BUSYBOX} --replicas=2 -- sleep 3600"))?;
        cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
        cluster.coracle(["down"])?.ok()?;
        cluster.start(2)?;
        ensure!(cluster.get(&format!("configmap kept -n {namespace}"))?["data"]["a"] == "b");
        within(Duration::from_secs(60), || {
            let deployment = cluster.get(&format!("deployment d -n {namespace}"))?;
            ensure!(deployment["status"]["readyReplicas"] == 2, "{}", deployment["status"]);
            Ok(())
        })
    })();
    let down = cluster.down();
    resumed?;
    down
}

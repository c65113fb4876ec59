//! A second machine, in network and mount namespaces of its own behind one cable, joins the cluster of the first: its pods and those of
//! the first machine's local nodes reach each other, also through Services, and the API reaches its containers.

use std::{io::BufRead as _, process::ExitCode, time::Duration};

use acceptance::{BUSYBOX, BareCase, Cluster, Finished, Program, Started, binary, within};
use anyhow::{Context as _, ensure};

fn main() -> ExitCode {
    acceptance::run_without_cluster(CASES)
}

const CASES: &[BareCase] = &[("a second machine joins, and its pods are pods like others", joins)];

/// The addresses of both machines on their cable.
const FIRST: &str = "192.0.2.1";
const SECOND: &str = "192.0.2.2";

fn joins() -> anyhow::Result<()> {
    let cluster = Cluster::prepare()?;
    let second = Machine::connect(&cluster)?;
    let outcome = join(&cluster, &second);
    let logs = if outcome.is_err() { cluster.logs() } else { String::new() };
    let left = second.coracle(&cluster, ["down", "--purge"])?.ok();
    cluster.down()?;
    outcome.context(logs)?;
    left.map(drop)
}

fn join(cluster: &Cluster, second: &Machine) -> anyhow::Result<()> {
    let kubeconfig = cluster.kubeconfig().display().to_string();
    cluster.coracle(["up", "--nodes", "2", "--address", FIRST, "--kubeconfig", &kubeconfig])?.ok()?;
    let token = cluster.coracle_json(["token", "create", "--output", "json", "--kubeconfig", &kubeconfig])?;
    let command = token["command"].as_str().context("no command is shown")?;
    ensure!(command.starts_with(&format!("coracle join https://{FIRST}:6443 --token ")), "{command}");
    let words: Vec<&str> = command.split(' ').skip(1).chain(["--name", "second"]).collect();
    second.coracle(cluster, words)?.ok()?;
    let archive = cluster.folder().join("busybox.tar").display().to_string();
    acceptance::busybox_archive(archive.as_ref())?;
    cluster.coracle(["image", "load", &archive])?.ok()?;
    second.coracle(cluster, ["image", "load", &archive])?.ok()?;
    let nodes = cluster.kubectl("get nodes -o wide")?;
    ensure!(nodes.lines().any(|line| line.starts_with("second") && line.contains(SECOND)), "{nodes}");
    meet(cluster)
}

/// A pod on each of the three nodes: each asks each, by its address and by the Service of all.
fn meet(cluster: &Cluster) -> anyhow::Result<()> {
    const NODES: [&str; 3] = ["node-1", "node-2", "second"];
    let namespace = cluster.namespace()?;
    for node in NODES {
        cluster.apply(&namespace, &server_on(node))?;
    }
    cluster.kubectl(&format!("wait -n {namespace} pod --all --for=condition=Ready --timeout=60s"))?;
    for node in NODES {
        cluster.kubectl(&format!("expose pod {node} -n {namespace} --port=80"))?;
    }
    for asker in NODES {
        for asked in NODES {
            let address = cluster.kubectl(&format!("get pod {asked} -n {namespace} -o jsonpath={{.status.podIP}}"))?;
            for host in [address.as_str(), asked] {
                within(Duration::from_secs(20), || {
                    let page = cluster.kubectl(&format!("exec -n {namespace} {asker} -- timeout 2 wget -qO- http://{host}/"))?;
                    ensure!(page.trim() == asked, "{asker} asked {host}: {page}");
                    Ok(())
                })?;
            }
        }
    }
    let log = cluster.kubectl(&format!("logs -n {namespace} second"))?;
    ensure!(log.trim() == "serving", "{log}");
    Ok(())
}

fn server_on(node: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {node}, labels: {{app: {node}}}}}
spec:
  nodeName: {node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: {BUSYBOX}
    command: [sh, -c, 'mkdir /www; echo {node} > /www/index.html; echo serving; exec httpd -f -p 80 -h /www']
    readinessProbe: {{tcpSocket: {{port: 80}}, periodSeconds: 1}}
"
    )
}

/// The second machine: namespaces that live as long as the process that holds them.
struct Machine {
    holder: Started,
}

impl Machine {
    /// Makes it, and a cable to the first.
    fn connect(cluster: &Cluster) -> anyhow::Result<Self> {
        let script =
            "mount -t tmpfs tmpfs /run/netns && mount -t tmpfs tmpfs /run/coracle && ip link set lo up && echo ready && exec cat";
        let mut holder = Program::new("unshare").arguments(["--net", "--mount", "sh", "-c", script]).spawn()?;
        let output = holder.0.stdout.take().context("the output of the second machine is not heard")?;
        let mut said = String::new();
        std::io::BufReader::new(output).read_line(&mut said)?;
        ensure!(said == "ready\n", "the second machine did not start: {said:?}");
        let machine = Self { holder };
        let pid = machine.holder.0.id().to_string();
        ip(["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", &pid])?;
        ip(["address", "add", &format!("{FIRST}/24"), "dev", "cable"])?;
        ip(["link", "set", "cable", "up"])?;
        machine.run(cluster, "ip", ["address", "add", &format!("{SECOND}/24"), "dev", "cable"])?.ok()?;
        machine.run(cluster, "ip", ["link", "set", "cable", "up"])?.ok()?;
        Ok(machine)
    }

    /// Runs a program there.
    fn run<'a>(
        &self,
        cluster: &Cluster,
        program: &str,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Finished> {
        let pid = self.holder.0.id().to_string();
        let group = std::env::var("CORACLE_CGROUP").context("the test runs outside of its cgroup")?;
        Program::new("nsenter")
            .arguments(["--target", &pid, "--net", "--mount", program])
            .arguments(arguments)
            .variable("CORACLE_DATA_DIR", &cluster.folder().join("second").display().to_string())
            .variable("CORACLE_CGROUP", &format!("{group}-second"))
            .run()
    }

    fn coracle<'a>(&self, cluster: &Cluster, arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Finished> {
        self.run(cluster, &binary()?.display().to_string(), arguments)
    }
}

fn ip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
    Program::new("ip").arguments(arguments).run()?.ok().map(drop)
}

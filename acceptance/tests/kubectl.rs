//! An unmodified kubectl, verb by verb, on a cluster of two nodes. `KUBECTL` names another kubectl than the machine's.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::ExitCode,
    time::Duration,
};

use acceptance::{BUSYBOX, Case, Cluster, eventually, start, within};
use anyhow::{Context as _, ensure};

fn main() -> ExitCode {
    acceptance::run(2, 3, CASES)
}

const CASES: &[Case] = &[
    ("get prints tables, wide tables, names, yaml and paths", get),
    ("describe tells of a pod and its events", describe),
    ("apply works from the client's side, and diff shows what it would change", apply_and_diff),
    ("apply works from the server's side, and conflicts name the manager", server_side_apply),
    ("edit changes what an editor changed", edit),
    ("patch works in its three forms", patch),
    ("scale changes the number of pods", scale),
    ("rollout waits, shows history and undoes", rollout),
    ("logs follow, and show the earlier container", logs),
    ("exec runs with a terminal and without, and passes the exit code on", exec),
    ("attach reads what a container prints", attach),
    ("cp goes both ways", copy),
    ("port-forward reaches a pod and a service", port_forward),
    ("explain knows the fields", explain),
    ("auth can-i answers for others", can_i),
    ("wait returns when the condition holds, and gives up in time", wait),
    ("delete waits until the object is gone", delete),
    ("drain empties a node, and uncordon opens it again", drain),
    ("debug adds a container to a running pod", debug),
    ("get --raw and proxy reach the API and a pod", raw),
    ("top says clearly that there are no metrics", top),
    ("services are found by name and reached from pods", services),
    ("config maps change inside running pods", live_config),
];

/// A pod that only waits.
fn waiting_pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {name}}}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers:\n  - name: main\n    image: {BUSYBOX}\n    command: [sh, -c, 'trap \"exit 0\" TERM; echo started; while true; do sleep 1; done']\n"
    )
}

fn deployment(name: &str, replicas: u32, text: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec:\n      terminationGracePeriodSeconds: 0\n      containers:\n      - name: web\n        image: {BUSYBOX}\n        command: [sh, -c, 'mkdir /www; echo {text} > /www/index.html; exec httpd -f -p 80 -h /www']\n        ports: [{{containerPort: 80}}]\n        readinessProbe: {{tcpSocket: {{port: 80}}, periodSeconds: 1}}\n"
    )
}

fn running_pod(cluster: &Cluster, name: &str) -> anyhow::Result<String> {
    let namespace = cluster.namespace()?;
    cluster.apply(&namespace, &waiting_pod(name))?;
    cluster.kubectl(&format!("wait -n {namespace} pod/{name} --for=condition=Ready --timeout=30s"))?;
    Ok(namespace)
}

fn get(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = running_pod(cluster, "p")?;
    let table = cluster.kubectl(&format!("get pods -n {namespace}"))?;
    ensure!(table.starts_with("NAME   READY   STATUS    RESTARTS"), "{table}");
    ensure!(table.contains("p      1/1     Running   0"), "{table}");
    let wide = cluster.kubectl("get nodes -o wide")?;
    ensure!(wide.contains("INTERNAL-IP") && wide.contains("node-2") && wide.contains("coracle://"), "{wide}");
    let yaml = cluster.kubectl(&format!("get pod p -n {namespace} -o yaml"))?;
    ensure!(yaml.starts_with("apiVersion: v1\nkind: Pod"), "{yaml}");
    let address = cluster.kubectl(&format!("get pod p -n {namespace} -o jsonpath={{.status.podIP}}"))?;
    ensure!(address.starts_with("10.42."), "{address}");
    let selected = cluster.kubectl(&format!("get pods -n {namespace} -l app=p --field-selector status.phase=Running -o name"))?;
    ensure!(selected.trim() == "pod/p", "{selected}");
    let none = cluster.kubectl_any(&format!("get pod nobody -n {namespace}"))?;
    ensure!(none.code == 1 && none.stderr.contains("Error from server (NotFound): pods \"nobody\" not found"), "{none:?}");
    Ok(())
}

fn describe(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = running_pod(cluster, "p")?;
    within(Duration::from_secs(10), || {
        let text = cluster.kubectl(&format!("describe pod p -n {namespace}"))?;
        for part in ["Successfully assigned", "Container created", "Container started", "Ready             True"] {
            ensure!(text.contains(part) || text.contains(&part.replace("Ready     ", "Ready")), "{part:?} is not in\n{text}");
        }
        Ok(())
    })?;
    let node = cluster.kubectl("describe node node-1")?;
    ensure!(node.contains("Allocated resources") && node.contains("KubeletReady"), "{node}");
    Ok(())
}

fn apply_and_diff(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: one, b: two}\n";
    ensure!(cluster.apply(&namespace, manifest)?.contains("configmap/c created"));
    ensure!(cluster.apply(&namespace, manifest)?.contains("configmap/c unchanged"));
    let changed = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: three}\n";
    let diff = cluster.kubectl_program(["diff", "-n", &namespace, "-f", "-"]).input(changed).run()?;
    ensure!(diff.code == 1 && diff.stdout.contains("-  a: one") && diff.stdout.contains("+  a: three"), "{diff:?}");
    ensure!(cluster.apply(&namespace, changed)?.contains("configmap/c configured"));
    let left = cluster.get(&format!("configmap c -n {namespace}"))?;
    ensure!(left["data"] == serde_json::json!({"a": "three"}), "what left the manifest leaves the object: {left}");
    let wrong = cluster.kubectl_program(["apply", "-n", &namespace, "-f", "-"]);
    let wrong = wrong.input("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d}\ndatta: {}\n").run()?;
    ensure!(wrong.code == 1 && wrong.stderr.contains("unknown field \"datta\""), "{wrong:?}");
    Ok(())
}

fn server_side_apply(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    let apply = |manager: &str, value: &str, force: bool| {
        let mut arguments = vec!["apply", "--server-side", "--field-manager", manager, "-n", &namespace, "-f", "-"];
        if force {
            arguments.push("--force-conflicts");
        }
        let manifest = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{a: {value}}}\n");
        cluster.kubectl_program(arguments).input(&manifest).run()
    };
    ensure!(apply("one", "first", false)?.stdout.contains("serverside-applied"));
    let conflict = apply("two", "second", false)?;
    ensure!(conflict.code == 1 && conflict.stderr.contains("conflict with \"one\": .data.a"), "{conflict:?}");
    ensure!(apply("two", "second", true)?.code == 0);
    let owners = cluster.kubectl(&format!("get configmap c -n {namespace} -o yaml --show-managed-fields"))?;
    ensure!(owners.contains("manager: two") && owners.contains("operation: Apply"), "{owners}");
    Ok(())
}

fn edit(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    cluster.kubectl(&format!("create configmap c -n {namespace} --from-literal=a=before"))?;
    let edited = cluster.kubectl_program(["edit", "configmap", "c", "-n", &namespace]);
    let edited = edited.variable("KUBE_EDITOR", "sed -i s/before/after/").run()?.ok()?;
    ensure!(edited.contains("configmap/c edited"), "{edited}");
    ensure!(cluster.get(&format!("configmap c -n {namespace}"))?["data"]["a"] == "after");
    Ok(())
}

fn patch(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    cluster.apply(&namespace, &deployment("d", 0, "x"))?;
    let patch = |kind: &str, body: &str| {
        cluster.kubectl_program(["patch", "deployment", "d", "-n", &namespace, "--type", kind, "-p", body]).run()?.ok()
    };
    patch("strategic", r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}"#)?;
    patch("merge", r#"{"metadata":{"annotations":{"note":"here"}}}"#)?;
    patch("json", r#"[{"op":"replace","path":"/spec/revisionHistoryLimit","value":3}]"#)?;
    let object = cluster.get(&format!("deployment d -n {namespace}"))?;
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    ensure!(container["env"][0]["name"] == "A" && container["image"] == BUSYBOX, "{container}");
    ensure!(object["metadata"]["annotations"]["note"] == "here" && object["spec"]["revisionHistoryLimit"] == 3, "{object}");
    Ok(())
}

fn scale(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    cluster.apply(&namespace, &deployment("d", 1, "x"))?;
    cluster.kubectl(&format!("scale deployment d -n {namespace} --replicas=4"))?;
    cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
    cluster.kubectl(&format!("scale deployment d -n {namespace} --current-replicas=4 --replicas=1"))?;
    eventually("one pod is left", || {
        Ok(cluster.get(&format!("pods -n {namespace}"))?["items"].as_array().map(Vec::len) == Some(1))
    })
}

fn rollout(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    cluster.apply(&namespace, &deployment("d", 2, "one"))?;
    cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
    cluster.apply(&namespace, &deployment("d", 2, "two"))?;
    let said = cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
    ensure!(said.contains("successfully rolled out"), "{said}");
    let history = cluster.kubectl(&format!("rollout history deployment d -n {namespace}"))?;
    ensure!(history.contains('1') && history.contains('2'), "{history}");
    cluster.kubectl(&format!("rollout undo deployment d -n {namespace}"))?;
    cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
    let object = cluster.get(&format!("deployment d -n {namespace}"))?;
    ensure!(object["spec"]["template"]["spec"]["containers"][0]["command"][2].to_string().contains("echo one"), "{object}");
    cluster.kubectl(&format!("rollout restart deployment d -n {namespace}"))?;
    cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
    Ok(())
}

fn logs(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  restartPolicy: OnFailure\n  containers:\n  - name: main\n    image: {BUSYBOX}\n    command: [sh, -c, 'for i in $(seq 1 200); do echo line $i; done; if [ ! -e /keep/again ]; then touch /keep/again; exit 3; fi']\n    volumeMounts: [{{name: keep, mountPath: /keep}}]\n  volumes: [{{name: keep, emptyDir: {{}}}}]\n"
    );
    cluster.apply(&namespace, &manifest)?;
    cluster.kubectl(&format!("wait pod/p -n {namespace} --for=jsonpath={{.status.phase}}=Succeeded --timeout=60s"))?;
    let lines = |flags: &str| -> anyhow::Result<Vec<String>> {
        Ok(cluster.kubectl(&format!("logs p -n {namespace} {flags}"))?.lines().map(str::to_owned).collect())
    };
    ensure!(lines("-f")?.len() == 200, "following a container that ended gives all its lines");
    ensure!(lines("--previous")?.len() == 200);
    ensure!(lines("--tail=1")? == ["line 200"]);
    ensure!(lines("--timestamps --tail=1")?[0].contains("T"));
    let status = cluster.get(&format!("pod p -n {namespace}"))?;
    let last = &status["status"]["containerStatuses"][0]["lastState"]["terminated"];
    ensure!(last["exitCode"] == 3 && last["reason"] == "Error", "{last}");
    Ok(())
}

fn exec(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = running_pod(cluster, "p")?;
    let run = |arguments: &[&str], input: &str| {
        let all = ["exec", "-n", &namespace].into_iter().chain(arguments.iter().copied());
        cluster.kubectl_program(all).input(input).run()
    };
    let plain = run(&["p", "--", "sh", "-c", "echo out; echo err >&2; exit 7"], "")?;
    ensure!(plain.code == 7 && plain.stdout == "out\n" && plain.stderr.starts_with("err\n"), "{plain:?}");
    let piped = run(&["-i", "p", "--", "cat"], "through the pod")?;
    ensure!(piped.code == 0 && piped.stdout == "through the pod", "{piped:?}");
    // `script` gives kubectl a terminal, as a person has one.
    let command = format!("kubectl exec -n {namespace} -it p -- sh -c 'tty; stty size'");
    let terminal = acceptance::Program::new("script").arguments(["-qec", &command, "/dev/null"]);
    let said = terminal.variable("KUBECONFIG", &cluster.kubeconfig().display().to_string()).run()?;
    ensure!(said.stdout.contains("/dev/pts/0"), "{said:?}");
    Ok(())
}

fn attach(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    let said = cluster
        .kubectl_program([
            "run",
            "-n",
            &namespace,
            "-i",
            "--rm",
            "--quiet",
            "--restart=Never",
            "--image",
            BUSYBOX,
            "p",
            "--",
            "sh",
            "-c",
            "read line; echo got $line",
        ])
        .input("this\n")
        .run()?
        .ok()?;
    ensure!(said.contains("got this"), "{said}");
    Ok(())
}

fn copy(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = running_pod(cluster, "p")?;
    let (there, back) = (cluster.folder().join(format!("{namespace}-there")), cluster.folder().join(format!("{namespace}-back")));
    std::fs::write(&there, "a file\n".repeat(5000))?;
    cluster.kubectl(&format!("cp {} {namespace}/p:/tmp/file", there.display()))?;
    cluster.kubectl(&format!("cp {namespace}/p:/tmp/file {}", back.display()))?;
    ensure!(std::fs::read(&there)? == std::fs::read(&back)?, "what came back is what went");
    Ok(())
}

fn port_forward(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    cluster.apply(&namespace, &deployment("web", 1, "hello"))?;
    cluster.kubectl(&format!("expose deployment web -n {namespace} --port=80"))?;
    cluster.kubectl(&format!("rollout status deployment web -n {namespace} --timeout=60s"))?;
    for (what, port) in [("deployment/web", 18080), ("service/web", 18081)] {
        let forward = start(cluster.kubectl_program(["port-forward", "-n", &namespace, what, &format!("{port}:80")]))?;
        let answer = within(Duration::from_secs(15), || http_get(port, "/"));
        drop(forward);
        ensure!(answer.with_context(|| format!("through {what}"))?.contains("hello"));
    }
    Ok(())
}

fn http_get(port: u16, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.contains(" 200 "), "{answer}");
    Ok(answer)
}

fn explain(cluster: &Cluster) -> anyhow::Result<()> {
    let text = cluster.kubectl("explain deployment.spec.strategy.rollingUpdate")?;
    ensure!(text.contains("maxSurge") && text.contains("maxUnavailable"), "{text}");
    let text = cluster.kubectl("explain pod.spec.containers.livenessProbe --recursive")?;
    ensure!(text.contains("httpGet") && text.contains("periodSeconds"), "{text}");
    Ok(())
}

fn can_i(cluster: &Cluster) -> anyhow::Result<()> {
    ensure!(cluster.kubectl("auth can-i delete nodes")?.trim() == "yes");
    let no = cluster.kubectl_any("auth can-i delete nodes --as system:serviceaccount:default:default")?;
    ensure!(no.code == 1 && no.stdout.trim() == "no", "{no:?}");
    ensure!(cluster.kubectl("auth whoami")?.contains("kubernetes-admin"));
    let list = cluster.kubectl("auth can-i --list --as system:serviceaccount:default:default")?;
    ensure!(list.contains("selfsubjectaccessreviews.authorization.k8s.io"), "{list}");
    Ok(())
}

fn wait(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = running_pod(cluster, "p")?;
    let never = cluster.kubectl_any(&format!("wait pod/p -n {namespace} --for=condition=Never --timeout=1s"))?;
    ensure!(never.code == 1 && never.stderr.contains("timed out waiting for the condition"), "{never:?}");
    Ok(())
}

fn delete(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = running_pod(cluster, "p")?;
    cluster.kubectl(&format!("delete pod p -n {namespace} --timeout=30s"))?;
    ensure!(cluster.kubectl_any(&format!("get pod p -n {namespace}"))?.code == 1, "the pod is gone when delete returns");
    cluster.kubectl(&format!("delete namespace {namespace} --timeout=30s"))?;
    ensure!(cluster.kubectl_any(&format!("get namespace {namespace}"))?.code == 1);
    Ok(())
}

fn drain(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    let manifest = deployment("d", 2, "x").replace(
        "    spec:\n      terminationGracePeriodSeconds: 0\n",
        "    spec:\n      terminationGracePeriodSeconds: 0\n      topologySpreadConstraints:\n      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: d}}, nodeTaintsPolicy: Honor}\n",
    );
    cluster.apply(&namespace, &manifest)?;
    cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
    let drained =
        cluster.kubectl("drain node-2 --ignore-daemonsets --delete-emptydir-data --force --pod-selector=app=d --timeout=60s");
    let opened = cluster.kubectl("uncordon node-2");
    drained?;
    opened?;
    cluster.kubectl(&format!("rollout status deployment d -n {namespace} --timeout=60s"))?;
    Ok(())
}

fn debug(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = running_pod(cluster, "p")?;
    let said = cluster
        .kubectl_program([
            "debug",
            "-n",
            &namespace,
            "p",
            "--image",
            BUSYBOX,
            "--target=main",
            "--container=dbg",
            "--profile=general",
            "--",
            "sh",
            "-c",
            "ps; echo seen",
        ])
        .run()?;
    ensure!(said.code == 0, "{said:?}");
    within(Duration::from_secs(20), || {
        let log = cluster.kubectl(&format!("logs p -n {namespace} -c dbg"))?;
        ensure!(log.contains("seen"), "{log}");
        Ok(())
    })
}

fn raw(cluster: &Cluster) -> anyhow::Result<()> {
    ensure!(cluster.kubectl("get --raw /readyz")?.trim() == "ok");
    ensure!(cluster.kubectl("get --raw /version")?.contains("v1.37"));
    ensure!(cluster.kubectl("get --raw /openapi/v3")?.contains("apis/apps/v1"));
    let namespace = cluster.namespace()?;
    cluster.apply(&namespace, &deployment("web", 1, "proxied"))?;
    cluster.kubectl(&format!("expose deployment web -n {namespace} --port=80"))?;
    cluster.kubectl(&format!("rollout status deployment web -n {namespace} --timeout=60s"))?;
    let page = cluster.kubectl(&format!("get --raw /api/v1/namespaces/{namespace}/services/web:80/proxy/index.html"))?;
    ensure!(page.contains("proxied"), "{page}");
    Ok(())
}

fn top(cluster: &Cluster) -> anyhow::Result<()> {
    let said = cluster.kubectl_any("top nodes")?;
    ensure!(said.code == 1 && said.stderr.trim() == "error: Metrics API not available", "{said:?}");
    Ok(())
}

fn services(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    cluster.apply(&namespace, &deployment("web", 2, "answer"))?;
    cluster.kubectl(&format!("expose deployment web -n {namespace} --port=80"))?;
    cluster.apply(&namespace, &waiting_pod("asker"))?;
    cluster.kubectl(&format!("wait -n {namespace} pod/asker --for=condition=Ready --timeout=30s"))?;
    cluster.kubectl(&format!("rollout status deployment web -n {namespace} --timeout=60s"))?;
    within(Duration::from_secs(10), || {
        for name in ["web".to_owned(), format!("web.{namespace}.svc.cluster.local")] {
            let page = cluster.kubectl(&format!("exec -n {namespace} asker -- timeout 2 wget -qO- http://{name}/"))?;
            ensure!(page.contains("answer"), "{page}");
        }
        Ok(())
    })?;
    let api = cluster.kubectl(&format!("exec -n {namespace} asker -- nslookup kubernetes.default.svc.cluster.local"))?;
    ensure!(api.contains("10.43.0.1"), "{api}");
    Ok(())
}

fn live_config(cluster: &Cluster) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    cluster.kubectl(&format!("create configmap c -n {namespace} --from-literal=key=before"))?;
    let manifest = waiting_pod("p").replace("    image:", "    volumeMounts: [{name: c, mountPath: /c}]\n    image:")
        + "  volumes: [{name: c, configMap: {name: c}}]\n";
    cluster.apply(&namespace, &manifest)?;
    cluster.kubectl(&format!("wait -n {namespace} pod/p --for=condition=Ready --timeout=30s"))?;
    let read = || cluster.kubectl(&format!("exec -n {namespace} p -- cat /c/key"));
    ensure!(read()? == "before");
    cluster.kubectl_program(["patch", "configmap", "c", "-n", &namespace, "-p", r#"{"data":{"key":"after"}}"#]).run()?.ok()?;
    eventually("the file has changed", || Ok(read()? == "after"))
}

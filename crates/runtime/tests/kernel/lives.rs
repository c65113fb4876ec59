//! A container's life: start, output, end, exec, attach, terminal; and that nothing is left.

use std::{fs, time::Instant};

use libtest_mimic::Trial;
use runtime::{container::Limits, pod::PodError, session::ExecSpec};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{
    fixture::{Fixture, chain, exec, wait},
    trial,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_container_runs_and_its_output_and_code_are_kept", a_container_runs),
        trial("a_program_that_is_not_there_is_named", a_program_that_is_not_there),
        trial("a_signal_ends_it_and_the_code_says_so", a_signal_ends_it),
        trial("too_much_memory_is_told_apart", too_much_memory),
        trial("an_exec_sees_the_container", an_exec_sees_the_container),
        trial("an_exec_reads_its_input", an_exec_reads_its_input),
        trial("a_terminal_is_the_containers_own", a_terminal),
        trial("attached_input_ends_when_its_first_writer_leaves", attached_input),
        trial("containers_of_a_pod_share_names_network_and_memory", containers_share),
        trial("processes_are_shared_when_asked_for", processes_shared),
        trial("a_port_inside_is_reached", a_port_inside),
        trial("nothing_is_left_after_a_stop", nothing_is_left),
        trial("start_latency", start_latency),
    ]
}

async fn a_container_runs() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let script = "echo one; echo two >&2; hostname; echo $HOME $HOSTNAME; exit 7";
    let (code, mut lines) = fixture.run(&pod, fixture.container("a", script)).await;
    lines.sort();
    assert_eq!((code, lines), (7, vec!["/root the-pod".into(), "one".into(), "the-pod".into(), "two".into()]));
    let exit = pod.container("a").expect("known").exit().expect("ended");
    assert!(exit.finished >= exit.started && !exit.oom_killed && exit.signal.is_none());
    pod.remove_container("a").await.expect("removed");
    let (code, _) = fixture.run(&pod, fixture.container("a", "true")).await;
    assert_eq!(code, 0);
    pod.stop().await.expect("stopped");
}

async fn a_program_that_is_not_there() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    for (program, message, code) in [
        ("nothing", "exec: \"nothing\": executable file not found in $PATH", 127),
        ("/bin/nothing", "exec: \"/bin/nothing\": stat /bin/nothing: no such file or directory", 127),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied", 126),
        ("/etc", "exec: \"/etc\": is a directory", 126),
    ] {
        let mut spec = fixture.container("a", "");
        spec.argv = vec![program.into()];
        let error = pod.start_container(spec, fixture.logs("a")).await.expect_err("it is not there");
        assert_eq!(error.to_string(), message);
        assert!(matches!(error, PodError::ExecuteProgram { code: found, .. } if found == code));
        assert!(!fixture.dir().join("c/a").exists(), "nothing is left of it");
    }
    let mut spec = fixture.container("a", "");
    spec.mounts = vec![runtime::container::Mount {
        source: "/no/such/folder".into(),
        target: "/x".into(),
        read_only: false,
        recursive_read_only: false,
        propagation: runtime::container::Propagation::Private,
    }];
    let error = pod.start_container(spec, fixture.logs("a")).await.expect_err("the source is missing");
    assert!(matches!(&error, PodError::StartContainer { message } if message.contains("/no/such/folder")), "{}", chain(&error));
    pod.stop().await.expect("stopped");
}

async fn a_signal_ends_it() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let container = pod.start_container(
        fixture.container("a", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"),
        fixture.logs("a"),
    );
    let container = container.await.expect("started");
    fixture.said("a", "ready").await;
    container.signal(15).await.expect("sent");
    assert_eq!(wait(&container).await.code, 3);
    let container = pod.start_container(fixture.container("b", "sleep 100"), fixture.logs("b")).await.expect("started");
    container.signal(9).await.expect("sent");
    let exit = wait(&container).await;
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), false));
    container.signal(15).await.expect("fine after its end");
    pod.stop().await.expect("stopped");
}

async fn too_much_memory() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let mut spec = fixture.container("a", "x=$(dd if=/dev/zero bs=1M count=64 2>/dev/null | tail -c 60000000 | wc -c; head -c 60000000 /dev/zero | tail -c 60000000)");
    spec.limits = Limits { memory_bytes: Some(16 << 20), ..Limits::default() };
    let container = pod.start_container(spec, fixture.logs("a")).await.expect("started");
    let exit = wait(&container).await;
    assert!(exit.oom_killed, "{exit:?}");
    pod.stop().await.expect("stopped");
}

async fn an_exec_sees_the_container() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let mut spec = fixture.container("a", "echo inside > /tmp/file; echo ready; sleep 100");
    spec.env.push(("GREETING".into(), "hello".into()));
    spec.user.uid = 1000;
    spec.user.gid = 1001;
    spec.image.layers.clone_from(&fixture.container("x", "").image.layers);
    fs::set_permissions(fixture.folder.path().join("layer/tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("open");
    pod.start_container(spec, fixture.logs("a")).await.expect("started");
    fixture.said("a", "ready").await;
    let (code, text) = exec(&pod, "a", "cat /tmp/file; echo $GREETING; id -u; ps | wc -l; exit 5").await;
    assert_eq!(code, 5, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["inside", "hello", "1000"]);
    let spec = ExecSpec { argv: vec!["nothing".into()], ..ExecSpec::default() };
    let error = pod.exec("a", spec).await.expect_err("it is not there");
    assert!(matches!(error, PodError::ExecuteProgram { code: 127, .. }));
    assert!(matches!(pod.exec("b", ExecSpec::default()).await, Err(PodError::FindContainer(_))));
    pod.stop().await.expect("stopped");
}

async fn an_exec_reads_its_input() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    pod.start_container(fixture.container("a", "sleep 100"), fixture.logs("a")).await.expect("started");
    let spec = ExecSpec { argv: vec!["cat".into()], stdin: true, stdout: true, ..ExecSpec::default() };
    let mut session = pod.exec("a", spec).await.expect("started");
    let (mut input, mut output) = (session.stdin.take().expect("input"), session.stdout.take().expect("output"));
    let data = vec![b'x'; 1 << 20];
    let sent = data.clone();
    let writer = tokio::spawn(async move {
        input.write_all(&sent).await.expect("written");
        drop(input);
    });
    let mut back = Vec::new();
    output.read_to_end(&mut back).await.expect("read");
    writer.await.expect("done");
    assert!(back == data);
    assert_eq!(session.wait().await, 0);
    pod.stop().await.expect("stopped");
}

async fn a_terminal() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    pod.start_container(fixture.container("a", "sleep 100"), fixture.logs("a")).await.expect("started");
    let spec = ExecSpec {
        argv: vec!["sh".into(), "-c".into(), "tty; read line; stty size; echo got $line".into()],
        tty: true,
        stdin: true,
        stdout: true,
        ..ExecSpec::default()
    };
    let mut session = pod.exec("a", spec).await.expect("started");
    session.resize(120, 40).expect("resized");
    session.stdin.as_mut().expect("input").write_all(b"word\n").await.expect("written");
    let mut text = String::new();
    session.stdout.take().expect("output").read_to_string(&mut text).await.expect("read");
    assert!(text.contains("/dev/pts/0") && text.contains("40 120") && text.contains("got word"), "{text}");
    assert_eq!(session.wait().await, 0);

    let mut spec = fixture.container("b", "read line; echo heard $line; tty; exit 4");
    spec.tty = true;
    spec.stdin = true;
    let container = pod.start_container(spec, fixture.logs("b")).await.expect("started");
    let mut attached = pod.attach("b").await.expect("attached");
    attached.stdin.as_mut().expect("input").write_all(b"me\n").await.expect("written");
    assert_eq!(wait(&container).await.code, 4);
    assert_eq!(attached.wait().await, 4);
    let lines = fixture.lines("b");
    assert!(lines.iter().any(|line| line.trim_end() == "heard me"), "{lines:?}");
    pod.stop().await.expect("stopped");
}

async fn attached_input() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let mut spec = fixture.container("a", "cat; echo the end");
    spec.stdin = true;
    spec.stdin_once = true;
    let container = pod.start_container(spec, fixture.logs("a")).await.expect("started");
    let mut attached = pod.attach("a").await.expect("attached");
    attached.stdin.as_mut().expect("input").write_all(b"typed\n").await.expect("written");
    let mut output = attached.stdout.take().expect("output");
    let mut first = [0; 6];
    output.read_exact(&mut first).await.expect("read");
    assert_eq!(&first, b"typed\n");
    drop(attached);
    assert_eq!(wait(&container).await.code, 0);
    let mut rest = String::new();
    output.read_to_string(&mut rest).await.expect("read");
    assert_eq!(rest, "the end\n");
    assert_eq!(fixture.lines("a"), ["typed", "the end"]);
    pod.stop().await.expect("stopped");
}

async fn containers_share() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let script = "echo shared > /dev/shm/file; for n in net ipc uts; do readlink /proc/self/ns/$n; done; echo ready; sleep 100";
    pod.start_container(fixture.container("a", script), fixture.logs("a")).await.expect("started");
    fixture.said("a", "ready").await;
    let script = "cat /dev/shm/file; for n in net ipc uts; do readlink /proc/self/ns/$n; done; ps | grep -c '[s]leep 100 *$'";
    let (_, lines) = fixture.run(&pod, fixture.container("b", script)).await;
    assert_eq!(lines[0], "shared");
    assert_eq!(lines[1..4], fixture.lines("a")[..3]);
    assert_eq!(lines[4], "0", "processes are not shared: {lines:?}");
    pod.stop().await.expect("stopped");
}

async fn processes_shared() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.share_processes = true;
    let pod = runtime::pod::Pod::start(spec).await.expect("started");
    pod.start_container(fixture.container("a", "sleep 100"), fixture.logs("a")).await.expect("started");
    let (code, lines) = fixture.run(&pod, fixture.container("b", "ps; sleep 200 & exit 6")).await;
    assert_eq!(code, 6);
    assert!(lines.iter().any(|line| line.contains("sleep 100")), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.trim_start().starts_with("1 ") && line.contains("pause") || line.contains("coracle")),
        "{lines:?}"
    );
    let (_, text) = exec(&pod, "a", "ps").await;
    assert!(!text.contains("sleep 200"), "what the ended container left is gone: {text}");
    pod.stop().await.expect("stopped");
}

async fn a_port_inside() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    pod.start_container(fixture.container("a", "echo answer | nc -l -p 8080"), fixture.logs("a")).await.expect("started");
    let mut stream = loop {
        match pod.dial(8080).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    };
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    assert_eq!(text, "answer\n");
    assert!(matches!(pod.dial(1).await, Err(PodError::Dial { port: 1, .. })));
    pod.stop().await.expect("stopped");
}

async fn nothing_is_left() {
    let mounts = || fs::read_to_string("/proc/self/mountinfo").expect("read");
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let supervisor = pod.pid();
    for id in ["a", "b"] {
        pod.start_container(fixture.container(id, "sleep 100 & sleep 100"), fixture.logs(id)).await.expect("started");
    }
    let pids: Vec<i32> = pod.containers().iter().map(runtime::container::Container::pid).collect();
    let stats = pod.stats().await.expect("stats");
    assert_eq!(stats.containers.len(), 2);
    assert!(stats.pod.memory_bytes > 0);
    assert!(runtime::cgroup::processes(&format!("{}/pod", fixture.cgroup)).expect("listed").len() >= 2);
    pod.stop().await.expect("stopped");
    for pid in pids.into_iter().chain([supervisor]) {
        assert!(!fs::exists(format!("/proc/{pid}/root/bin")).unwrap_or(false), "process {pid} is there");
    }
    assert!(!fixture.dir().exists());
    assert!(!mounts().contains(&*fixture.dir().to_string_lossy()));
    assert!(!fs::exists(format!("/sys/fs/cgroup/memory/{}/pod", fixture.cgroup)).unwrap_or(false));
}

async fn start_latency() {
    let fixture = Fixture::new();
    let (mut pods, mut containers) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let begin = Instant::now();
        let pod = fixture.pod().await;
        let between = Instant::now();
        pod.start_container(fixture.container("a", "sleep 100"), fixture.logs("a")).await.expect("started");
        pods.push(begin.elapsed());
        containers.push(between.elapsed());
        pod.stop().await.expect("stopped");
    }
    pods.sort();
    containers.sort();
    eprintln!(
        "pod with a container: p50 {:?}, best {:?}; container: p50 {:?}, best {:?}",
        pods[10], pods[0], containers[10], containers[0]
    );
}

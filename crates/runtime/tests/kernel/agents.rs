//! Agent and supervisor die, each alone and one after the other: no container restarts, no line and no exit code is lost.
//! A child process plays the agent that dies; this program is the subreaper that orphans fall to.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use libtest_mimic::Trial;
use runtime::pod::Pod;

use crate::{
    fixture::{Fixture, exec, kill, wait},
    trial,
};

const ROLE: &str = "play-agent";
const LINES: usize = 200;

pub fn tests() -> Vec<Trial> {
    vec![
        trial("the_supervisor_dies_alone", the_supervisor_dies),
        trial("the_agent_dies_alone", the_agent_dies),
        trial("the_agent_dies_and_then_the_supervisor", both_die),
        trial("all_have_ended_before_anyone_looks", all_have_ended),
    ]
}

fn script() -> String {
    format!("i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 9")
}

/// Plays the agent if this process was started for that: starts a pod with two containers, says so, and waits to be killed.
pub fn branch() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_none_or(|word| word != ROLE) {
        return false;
    }
    let folder = PathBuf::from(&arguments[2]);
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    tokio.block_on(async {
        let fixture = Fixture::existing(folder, arguments[3].clone());
        let pod = fixture.pod().await;
        for (id, script) in [("writer", script()), ("sleeper", "sleep 100".to_owned())] {
            pod.start_container(fixture.container(id, &script), fixture.logs(id)).await.expect("started");
        }
        println!("{} {}", pod.pid(), pod.container("writer").expect("known").pid());
        std::future::pending::<()>().await;
    });
    true
}

struct Agent {
    process: Child,
    supervisor: i32,
    writer: i32,
}

impl Agent {
    fn start(fixture: &Fixture) -> Self {
        let mut process = Command::new("/proc/self/exe")
            .arg(ROLE)
            .arg(fixture.folder.path())
            .arg(&fixture.cgroup)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("an output")).read_line(&mut line).expect("read");
        let mut numbers = line.split_whitespace().map(|word| word.parse().expect("a number"));
        Self { process, supervisor: numbers.next().expect("a supervisor"), writer: numbers.next().expect("a container") }
    }

    fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("reaped");
    }
}

fn all_lines() -> Vec<String> {
    (0..LINES).map(|number| format!("line {number}")).collect()
}

async fn the_supervisor_dies() {
    let fixture = Fixture::new();
    let pod = fixture.pod().await;
    let container = pod.start_container(fixture.container("writer", &script()), fixture.logs("writer")).await.expect("started");
    fixture.said("writer", "line 10").await;
    kill(pod.pid());
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (code, text) = exec(&pod, "writer", "echo still here").await;
    assert_eq!((code, text.as_str()), (0, "still here\n"));
    let (_, lines) = fixture.run(&pod, fixture.container("late", "hostname; readlink /proc/self/ns/ipc")).await;
    let (_, text) = exec(&pod, "writer", "hostname; readlink /proc/self/ns/ipc").await;
    assert_eq!(lines.join("\n"), text.trim_end());
    assert_eq!(wait(&container).await.code, 9);
    assert_eq!(fixture.lines("writer"), all_lines());
    pod.stop().await.expect("stopped");
    assert!(!fixture.dir().exists());
}

async fn the_agent_dies() {
    let fixture = Fixture::new();
    let mut agent = Agent::start(&fixture);
    fixture.said("writer", "line 10").await;
    agent.kill();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let pod = Pod::adopt(&fixture.dir()).await.expect("adopted").expect("alive");
    assert_eq!(pod.pid(), agent.supervisor);
    let writer = pod.container("writer").expect("known");
    assert_eq!((writer.pid(), writer.exit()), (agent.writer, None));
    let (code, _) = exec(&pod, "sleeper", "exit 2").await;
    assert_eq!(code, 2);
    assert_eq!(wait(&writer).await.code, 9);
    assert_eq!(fixture.lines("writer"), all_lines());
    pod.stop().await.expect("stopped");
}

async fn both_die() {
    let fixture = Fixture::new();
    let mut agent = Agent::start(&fixture);
    fixture.said("writer", "line 10").await;
    agent.kill();
    tokio::time::sleep(Duration::from_millis(60)).await;
    kill(agent.supervisor);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let pod = Pod::adopt(&fixture.dir()).await.expect("adopted").expect("alive");
    assert_ne!(pod.pid(), agent.supervisor);
    let writer = pod.container("writer").expect("known");
    assert_eq!(writer.pid(), agent.writer);
    let (code, _) = exec(&pod, "sleeper", "exit 2").await;
    assert_eq!(code, 2);
    assert_eq!(wait(&writer).await.code, 9);
    assert_eq!(fixture.lines("writer"), all_lines());
    pod.stop().await.expect("stopped");
}

async fn all_have_ended() {
    let fixture = Fixture::new();
    let mut agent = Agent::start(&fixture);
    agent.kill();
    while !fixture.dir().join("c/writer/exit").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pod = Pod::adopt(&fixture.dir()).await.expect("adopted").expect("alive");
    let exit = wait(&pod.container("writer").expect("known")).await;
    assert_eq!(exit.code, 9);
    assert_eq!(fixture.lines("writer"), all_lines());
    pod.remove_container("writer").await.expect("removed");
    assert!(pod.container("writer").is_none());
    pod.stop().await.expect("stopped");
    assert!(Pod::adopt(&fixture.dir()).await.expect("looked").is_none());
    assert!(!fs::exists(fixture.dir()).expect("looked"));
}

//! The keeper: restarts, stops, kills, and remembers how orphans ended.

use std::{fs, path::Path, time::Duration};

use libtest_mimic::Trial;
use runtime::keeper::{Client, KeeperError, Kept, Program};

use crate::{
    fixture::{Fixture, kill},
    trial,
};

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_keeper_restarts_what_ends_by_itself", restarts),
        trial("a_program_hears_that_it_is_asked_to_end", asks),
        trial("a_keeper_kills_a_whole_cgroup", kills),
        trial("a_keeper_knows_how_an_orphan_ended", orphans),
    ]
}

async fn keeper(fixture: &Fixture) -> Client {
    let socket = fixture.folder.path().join("keeper.sock");
    Client::spawn(&socket, &fixture.folder.path().join("keeper.log")).await.expect("started")
}

fn program(fixture: &Fixture, name: &str, script: &str) -> Program {
    Program {
        name: name.into(),
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: vec![("WORD".into(), "hello".into())],
        restart: true,
        cgroup: Some(format!("{}/{name}/self", fixture.cgroup)),
        kill_cgroup: Some(format!("{}/{name}", fixture.cgroup)),
        network: None,
        log: Some(fixture.folder.path().join(format!("{name}.log"))),
        grace_ms: 300,
    }
}

async fn until(client: &Client, name: &str, wanted: impl Fn(&Kept) -> bool) -> Kept {
    for _ in 0..500 {
        let list = client.list().await.expect("listed");
        if let Some(kept) = list.into_iter().find(|kept| kept.name == name && wanted(kept)) {
            return kept;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} never came to that");
}

/// Waits for `text` in the log of `name`: a program that has started has not yet said anything.
async fn said(fixture: &Fixture, name: &str, text: &str) {
    let log = fixture.folder.path().join(format!("{name}.log"));
    for _ in 0..500 {
        if fs::read_to_string(&log).is_ok_and(|whole| whole.contains(text)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{name} never said {text:?}");
}

async fn restarts() {
    let fixture = Fixture::new();
    let client = keeper(&fixture).await;
    let first = client.start(&program(&fixture, "a", "echo $WORD; exec sleep 100")).await.expect("started");
    said(&fixture, "a", "hello\n").await;
    assert!(matches!(client.start(&program(&fixture, "a", "true")).await, Err(KeeperError::Obey(_))));
    kill(first);
    let again = until(&client, "a", |kept| kept.restarts == 1 && kept.pid.is_some()).await;
    assert_ne!(again.pid, Some(first));
    assert_eq!(again.exit, Some(137));
    client.stop("a").await.expect("stopped");
    assert!(client.list().await.expect("listed").is_empty());
    let once = Program { restart: false, ..program(&fixture, "b", "exit 5") };
    client.start(&once).await.expect("started");
    assert_eq!(until(&client, "b", |kept| kept.exit.is_some()).await.exit, Some(5));
    client.start(&program(&fixture, "deaf", "trap '' TERM; exec sleep 100")).await.expect("started");
    client.shutdown().await.expect("ended");
    assert!(matches!(client.list().await, Err(KeeperError::Reach { .. })));
    assert!(runtime::cgroup::processes(&fixture.cgroup).expect("listed").is_empty());
}

async fn asks() {
    let fixture = Fixture::new();
    let client = keeper(&fixture).await;
    let script = "trap 'echo heard; exit 0' TERM; echo waits; while true; do sleep 0.01; done";
    client.start(&Program { grace_ms: 60_000, ..program(&fixture, "a", script) }).await.expect("started");
    said(&fixture, "a", "waits").await;
    client.stop("a").await.expect("stopped");
    said(&fixture, "a", "heard").await;
    client.shutdown().await.expect("ended");
}

async fn kills() {
    let fixture = Fixture::new();
    let client = keeper(&fixture).await;
    client.start(&program(&fixture, "a", "setsid sleep 100 & echo begun; sleep 100; true")).await.expect("started");
    said(&fixture, "a", "begun").await;
    assert!(runtime::cgroup::processes(&fixture.cgroup).expect("listed").len() >= 2);
    client.kill("a").await.expect("killed");
    assert!(runtime::cgroup::processes(&fixture.cgroup).expect("listed").is_empty());
    let kept = until(&client, "a", |kept| kept.exit.is_some()).await;
    assert_eq!((kept.pid, kept.restarts), (None, 0));
    client.start(&program(&fixture, "a", "sleep 100")).await.expect("started again");
    client.shutdown().await.expect("ended");
}

async fn orphans() {
    let fixture = Fixture::new();
    let client = keeper(&fixture).await;
    let file = fixture.folder.path().join("orphan");
    let script = format!(
        "(read pid x x x x x x x x x x x x x x x x x x x x ticks x < /proc/self/stat; sleep 0.3; exit 6) & echo $! > {0}.new; cat /proc/$!/stat >> {0}.new; mv {0}.new {0}; exit 0",
        file.display()
    );
    client.start(&Program { restart: false, ..program(&fixture, "a", &script) }).await.expect("started");
    let text = read_when_there(&file).await;
    let (pid, stat) = text.split_once('\n').expect("two lines");
    let ticks: u64 =
        stat.rsplit_once(')').expect("a name").1.split_whitespace().nth(19).expect("a field").parse().expect("a number");
    let pid: i32 = pid.parse().expect("a number");
    for _ in 0..200 {
        if let Some(code) = client.orphan_exit(pid, ticks).await.expect("asked") {
            assert_eq!(code, 6);
            assert_eq!(client.orphan_exit(pid, ticks + 1).await.expect("asked"), None);
            client.shutdown().await.expect("ended");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody knows how the orphan ended");
}

async fn read_when_there(path: &Path) -> String {
    for _ in 0..500 {
        if let Ok(text) = fs::read_to_string(path) {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} never came", path.display());
}

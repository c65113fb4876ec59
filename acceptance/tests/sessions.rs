//! The main job: sessions on a Redis Cluster over three nodes, seen by a browser, and under load while its members are taken away.

use std::{
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use acceptance::{
    Case, Chromium, Cluster,
    demo::{self, ACCOUNT, ADDRESS, NAMESPACE},
    web::Browser,
    within,
};
use anyhow::{Context as _, ensure};

fn main() -> ExitCode {
    acceptance::run(3, 1, CASES)
}

const CASES: &[Case] = &[
    ("the demo settles with the table of the brief", demo::bring_up),
    ("a browser stays signed in while the master of its session is lost with its node", browser),
    ("no acknowledged session is lost while each member is deleted and a node is lost and returns", load),
];

/// A node may be gone, and its members with it, for as long as this.
const REPAIR: Duration = Duration::from_secs(120);

fn browser(cluster: &Cluster) -> anyhow::Result<()> {
    demo::bring_up(cluster)?;
    let page = format!("http://{ADDRESS}/");
    let chromium = Chromium::start()?;
    chromium.open(&page)?;
    chromium.screenshot("1-sign-in")?;
    sign_in(&chromium)?;
    ensure!(chromium.text("user")? == ACCOUNT.0);
    chromium.screenshot("2-signed-in")?;
    let (key, pod, node) = (chromium.text("key")?, chromium.text("master-pod")?, chromium.text("master-node")?);
    ensure!(demo::redis(cluster, &pod, &format!("hget {key} user"))?.trim() == ACCOUNT.0, "{key} is not in {pod}");
    let token = chromium.cookie("session")?;
    ensure!(!demo::redis(cluster, &pod, "keys \\*")?.contains(&token), "the token itself is stored");

    // The first node is the test's own host: its loss is another's to try. A session elsewhere is lost with its master's node.
    let mut lost = node;
    while lost == "node-1" {
        chromium.click("form[action='/sign-out'] button")?;
        sign_in(&chromium)?;
        lost = chromium.text("master-node")?;
    }
    cluster.coracle(["node", "kill", &lost])?.ok()?;
    within(Duration::from_secs(60), || {
        chromium.open(&page)?;
        ensure!(chromium.text("user")? == ACCOUNT.0, "signed out");
        ensure!(chromium.text("master-node")? != lost, "the dead master still counts");
        Ok(())
    })?;
    chromium.screenshot("3-after-the-node-is-lost")?;
    cluster.coracle(["node", "start", &lost])?.ok()?;
    demo::settled(cluster, REPAIR)?;

    let mut elsewhere = signed_in(ACCOUNT.0)?;
    chromium.open(&page)?;
    chromium.screenshot("4-two-sessions")?;
    chromium.click("#everywhere")?;
    chromium.arrives("/sign-in")?;
    chromium.screenshot("5-signed-out-everywhere")?;
    ensure!(elsewhere.get("/")?.code == 303, "the other browser is still signed in");
    Ok(())
}

fn sign_in(chromium: &Chromium) -> anyhow::Result<()> {
    chromium.type_into("name", ACCOUNT.0)?;
    chromium.type_into("password", ACCOUNT.1)?;
    chromium.click("button[type=submit]")
}

fn signed_in(name: &str) -> anyhow::Result<Browser> {
    let mut browser = Browser::new(ADDRESS);
    let page = browser.post("/sign-in", &format!("name={name}&password={}", ACCOUNT.1))?;
    ensure!(page.code == 303, "{} {}", page.code, page.body);
    Ok(browser)
}

fn load(cluster: &Cluster) -> anyhow::Result<()> {
    demo::bring_up(cluster)?;
    let load = Load::start(2);
    for shard in 1..=3 {
        for index in 0..=1 {
            let pod = format!("sessions-{shard}-{index}");
            let uid = || Ok::<_, anyhow::Error>(cluster.get(&format!("pod {pod} -n {NAMESPACE}"))?["metadata"]["uid"].clone());
            let before = uid()?;
            cluster.kubectl(&format!("delete pod {pod} -n {NAMESPACE} --wait=false"))?;
            within(REPAIR, || {
                ensure!(uid()? != before, "{pod} is not replaced yet");
                Ok(())
            })?;
            demo::settled(cluster, REPAIR).with_context(|| format!("after {pod} was deleted"))?;
            load.check().with_context(|| format!("after {pod} was deleted"))?;
        }
    }
    cluster.coracle(["node", "kill", "node-2"])?.ok()?;
    within(REPAIR, || {
        let redis = cluster.get(&format!("redisclusters sessions -n {NAMESPACE}"))?;
        ensure!(redis["status"]["phase"] != "Ready" && redis["status"]["slots"] == 16384, "{:#}", redis["status"]);
        Ok(())
    })?;
    load.check().context("while a node is away")?;
    cluster.coracle(["node", "start", "node-2"])?.ok()?;
    demo::settled(cluster, REPAIR).context("after the node returned")?;
    let count = load.stop()?;
    ensure!(count > 20, "only {count} sessions: that was no load");
    Ok(())
}

/// The newest sessions that are looked at; the app keeps more, for each of the accounts some.
const LOOKED_AT: usize = 200;

/// Browsers that sign in, one after the other, until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    signed_in: Arc<Mutex<Vec<Browser>>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Load {
    fn start(at_once: usize) -> Self {
        let (stop, browsers) = <(Arc<AtomicBool>, Arc<Mutex<Vec<Browser>>>)>::default();
        let threads = (0..at_once).map(|number| {
            let (stop, all) = (Arc::clone(&stop), Arc::clone(&browsers));
            thread::spawn(move || {
                for name in demo::LOAD.iter().cycle().skip(number) {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // What was not acknowledged is no loss.
                    if let (Ok(browser), Ok(mut all)) = (signed_in(name), all.lock()) {
                        all.push(browser);
                    }
                }
            })
        });
        Self { threads: threads.collect(), stop, signed_in: browsers }
    }

    /// Every acknowledged session that the app still keeps is there.
    fn check(&self) -> anyhow::Result<()> {
        let newest: Vec<Browser> = {
            let all = self.signed_in.lock().map_err(|_| anyhow::anyhow!("a browser panicked"))?;
            all.iter().rev().take(LOOKED_AT).cloned().collect()
        };
        for mut browser in newest {
            within(Duration::from_secs(60), || {
                let code = browser.get("/")?.code;
                // A page that says that Redis is away is no loss; one that asks to sign in is.
                ensure!(code == 200 || code == 303, "answered by {code}");
                Ok(code)
            })
            .and_then(|code| {
                ensure!(code == 200, "a session is lost: {:?}", browser.cookie);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn stop(self) -> anyhow::Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a browser panicked"))?;
        }
        let load = Self { stop: self.stop, signed_in: self.signed_in, threads: Vec::new() };
        load.check()?;
        let all = load.signed_in.lock().map_err(|_| anyhow::anyhow!("a browser panicked"))?;
        Ok(all.len())
    }
}

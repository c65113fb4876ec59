//! Releases against the real API server in this process: their whole life, what they refuse, and what happens to those
//! that were interrupted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chart::release::{Info, Release, Status};
use chart::template::{self, Rendered, Request};
use chart::value::{Map as ValueMap, Value};
use chart::values::Values;
use client::transport;
use platform::helm::{self, Applied, Cluster, HelmError, Rollback, Store, Uninstall, Wish};
use serde_json::{Map, Value as Json, json};
use server::{Server, Settings};
use tokio::sync::Notify;
use tower::ServiceExt as _;

struct Still;

impl chart::functions::Facts for Still {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<Value, String> {
        Ok(Value::Map(ValueMap::any()))
    }
}

/// A chart of as many ConfigMaps as `names` says, which hold `text`.
fn rendered(names: &[&str], text: &str) -> Rendered {
    let file = |name: String, data: String| chart::chart::File { name, data: data.into_bytes(), modified: None };
    let mut files = vec![file("Chart.yaml".to_owned(), "apiVersion: v2\nname: maps\nversion: 1.0.0\n".to_owned())];
    files.extend(names.iter().map(|name| {
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  text: {text}\n");
        file(format!("templates/{name}.yaml"), map)
    }));
    let chart = chart::load::load(files).expect("a chart").chart;
    let request = Request {
        values: &Values::new(),
        release: chart::render::Release::default(),
        capabilities: template::imagined(),
        include_crds: false,
        skip_schema: false,
        subchart_notes: false,
    };
    template::template(chart, request, &Still).expect("manifests")
}

fn how() -> Applied {
    Applied {
        server_side: None,
        force_conflicts: false,
        dry: false,
        force_replace: false,
        cleanup: false,
        wait: true,
        wait_for_jobs: false,
        no_hooks: false,
        undo: false,
        take_ownership: false,
        timeout: Duration::from_secs(20),
        history_max: 10,
        description: String::new(),
    }
}

fn wish(rendered: &Rendered) -> Wish<'_> {
    Wish { name: "maps", rendered, config: Map::new(), labels: BTreeMap::new(), how: how() }
}

fn away() -> Uninstall {
    Uninstall {
        keep_history: false,
        dry: false,
        no_hooks: false,
        wait: true,
        propagation: "Background",
        timeout: Duration::from_secs(20),
        description: String::new(),
    }
}

struct World {
    cluster: Cluster,
    server: Server,
    _folder: tempfile::TempDir,
}

fn admin() -> api::identity::Identity {
    api::identity::Identity::new("admin", [api::identity::MASTERS])
}

async fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::open(Settings::new(folder.path())).await.expect("a server");
    let client = transport::in_process(server.service(), admin());
    World { cluster: Cluster::new(client, "default"), server, _folder: folder }
}

impl World {
    async fn map(&self, name: &str) -> Option<Json> {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        self.cluster.find(&object).await.expect("an answer")
    }

    async fn statuses(&self) -> Vec<Status> {
        let history = Store::new(&self.cluster).history("maps").await.expect("records");
        history.into_iter().map(|release| release.info.status).collect()
    }
}

#[tokio::test]
async fn a_release_lives_from_install_to_uninstall() {
    let world = world().await;
    let cluster = &world.cluster;
    helm::install(cluster, wish(&rendered(&["a", "b"], "first"))).await.expect("installed");
    let made = world.map("a").await.expect("the object is there");
    assert_eq!(made["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm");
    assert!(matches!(helm::check_free(cluster, "maps", false).await, Err(HelmError::ReuseName)));

    helm::upgrade(cluster, wish(&rendered(&["a", "c"], "second"))).await.expect("upgraded");
    assert_eq!(world.map("a").await.expect("kept")["data"]["text"], "second");
    assert!(world.map("b").await.is_none() && world.map("c").await.is_some());
    assert_eq!(world.statuses().await, [Status::Superseded, Status::Deployed]);

    helm::rollback(cluster, "maps", &Rollback { revision: 1, how: how() }).await.expect("rolled back");
    assert_eq!(world.map("a").await.expect("kept")["data"]["text"], "first");
    assert!(world.map("b").await.is_some() && world.map("c").await.is_none());
    assert_eq!(world.statuses().await, [Status::Superseded, Status::Superseded, Status::Deployed]);

    helm::uninstall(cluster, "maps", &away()).await.expect("uninstalled");
    assert!(world.map("a").await.is_none() && world.statuses().await.is_empty());
}

#[tokio::test]
async fn an_object_of_somebody_else_is_not_taken_over() {
    let world = world().await;
    let foreign = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    world.cluster.create(&foreign).await.expect("made");
    let refused = helm::install(&world.cluster, wish(&rendered(&["a"], "mine"))).await.expect_err("refused");
    let text = refused.to_string();
    assert!(text.starts_with("unable to continue with install: ConfigMap \"a\" in namespace \"default\" exists"), "{text}");
    assert!(world.statuses().await.is_empty(), "nothing was begun");
}

/// Leaves what a killed worker leaves: a pending record, and a lease that was renewed so many seconds ago.
async fn interrupt(world: &World, seconds: i64) {
    let pending = Release {
        name: "maps".to_owned(),
        namespace: "default".to_owned(),
        version: 2,
        info: Info {
            status: Status::PendingUpgrade,
            last_deployed: (jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds)).to_string(),
            ..Info::default()
        },
        ..Release::default()
    };
    assert!(Store::new(&world.cluster).create(&pending).await.expect("recorded"));
    let renewed = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "sh.helm.release.v1.maps"},
        "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15,
            "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()},
    });
    world.cluster.create(&lease).await.expect("leased");
}

#[tokio::test]
async fn an_upgrade_whose_worker_is_gone_is_marked_and_gone_on_from() {
    let world = world().await;
    helm::install(&world.cluster, wish(&rendered(&["a"], "first"))).await.expect("installed");
    interrupt(&world, 60).await;
    helm::upgrade(&world.cluster, wish(&rendered(&["a"], "third"))).await.expect("upgraded");
    assert_eq!(world.statuses().await, [Status::Superseded, Status::Failed, Status::Deployed]);
    assert_eq!(world.map("a").await.expect("there")["data"]["text"], "third");
}

#[tokio::test]
async fn an_upgrade_whose_worker_renews_its_lease_is_left_alone() {
    let world = world().await;
    helm::install(&world.cluster, wish(&rendered(&["a"], "first"))).await.expect("installed");
    interrupt(&world, 1).await;
    let refused = helm::upgrade(&world.cluster, wish(&rendered(&["a"], "third"))).await;
    assert!(matches!(refused, Err(HelmError::InProgress)));
}

/// Lets so many writes pass; with the next one its user is dead: that is not carried out, or its answer never comes.
#[derive(Clone)]
struct Fuse {
    left: Arc<AtomicUsize>,
    after: bool,
    burnt: Arc<Notify>,
}

impl World {
    /// The cluster, as somebody sees it who dies with a write.
    fn through(&self, fuse: &Fuse) -> Cluster {
        let (inner, fuse) = (self.server.service(), fuse.clone());
        let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let (inner, fuse) = (inner.clone(), fuse.clone());
            async move {
                let fatal = request.method() != http::Method::GET && fuse.left.fetch_sub(1, Ordering::SeqCst) == 0;
                if fatal && !fuse.after {
                    fuse.burnt.notify_one();
                    std::future::pending::<()>().await;
                }
                let answer = inner.oneshot(request).await;
                if fatal {
                    fuse.burnt.notify_one();
                    std::future::pending::<()>().await;
                }
                answer
            }
        });
        Cluster::new(transport::in_process(service, admin()), "default")
    }

    /// The lease of one who was killed runs out just now.
    async fn let_the_lease_run_out(&self) {
        let lease =
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "sh.helm.release.v1.maps"}});
        let Some(mut found) = self.cluster.find(&lease).await.expect("an answer") else { return };
        let renewed = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(15);
        found["spec"]["renewTime"] = json!(renewed.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
        self.cluster.replace(&found).await.expect("changed");
    }
}

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Install,
    Upgrade,
    Rollback,
    Uninstall,
}

const DEEDS: [Deed; 4] = [Deed::Install, Deed::Upgrade, Deed::Rollback, Deed::Uninstall];

async fn carry_out(cluster: &Cluster, deed: Deed) -> Result<(), HelmError> {
    match deed {
        Deed::Install => helm::install(cluster, wish(&rendered(&["a", "b"], "first"))).await.map(drop),
        Deed::Upgrade => helm::upgrade(cluster, wish(&rendered(&["a", "c"], "second"))).await.map(drop),
        Deed::Rollback => helm::rollback(cluster, "maps", &Rollback { revision: 1, how: how() }).await.map(drop),
        Deed::Uninstall => helm::uninstall(cluster, "maps", &away()).await.map(drop),
    }
}

/// Does what comes before a deed, then the deed, which is killed with a write; false if it came to its end.
async fn killed(world: &World, deed: Deed, writes: usize, after: bool) -> bool {
    for before in DEEDS.into_iter().take_while(|before| *before != deed) {
        carry_out(&world.cluster, before).await.expect("done");
    }
    let fuse = Fuse { left: Arc::new(AtomicUsize::new(writes)), after, burnt: Arc::default() };
    let cluster = world.through(&fuse);
    tokio::select! {
        done = carry_out(&cluster, deed) => {
            done.expect("done");
            false
        }
        () = fuse.burnt.notified() => true,
    }
}

#[tokio::test]
async fn whatever_is_killed_at_any_write_is_gone_on_from() {
    for (deed, after, by_upgrade) in DEEDS.into_iter().flat_map(|deed| [(deed, false, true), (deed, true, false)]) {
        let mut writes = 0;
        loop {
            let world = world().await;
            let killed = killed(&world, deed, writes, after).await;
            let told = format!("{deed:?}, killed at write {writes}");
            world.let_the_lease_run_out().await;
            let found = world.statuses().await;
            let begun = !found.is_empty();
            let done = found.last() == Some(&Status::Deployed);
            let (names, text): (&[&str], &str) = match (deed, begun) {
                (Deed::Uninstall, true) if after => {
                    carry_out(&world.cluster, Deed::Uninstall).await.expect(&told);
                    (&[], "")
                }
                (Deed::Uninstall, false) => (&[], ""),
                (Deed::Install, _) if after || !begun => {
                    if !done {
                        helm::check_free(&world.cluster, "maps", false).await.expect(&told);
                        carry_out(&world.cluster, Deed::Install).await.expect(&told);
                    }
                    (&["a", "b"], "first")
                }
                _ if by_upgrade => {
                    helm::upgrade(&world.cluster, wish(&rendered(&["a", "d"], "third"))).await.expect(&told);
                    (&["a", "d"], "third")
                }
                _ => {
                    carry_out(&world.cluster, Deed::Rollback).await.expect(&told);
                    (&["a", "b"], "first")
                }
            };
            for name in ["a", "b", "c", "d"] {
                let found = world.map(name).await.map(|map| map["data"]["text"].clone());
                assert_eq!(found, names.contains(&name).then(|| json!(text)), "{told}: {name}");
            }
            let statuses = world.statuses().await;
            let deployed = statuses.iter().filter(|status| **status == Status::Deployed).count();
            assert_eq!(deployed, usize::from(!names.is_empty()), "{told}: {statuses:?}");
            assert!(!statuses.iter().any(|status| status.is_pending()), "{told}: {statuses:?}");
            assert_eq!(statuses.last().copied(), (!names.is_empty()).then_some(Status::Deployed), "{told}: {statuses:?}");
            if !killed {
                break;
            }
            writes += 1;
        }
        assert!(writes >= 5, "{deed:?} writes more than {writes} times");
    }
}

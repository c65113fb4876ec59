//! Releases against the real API server in this process: their whole life, what they refuse, and what happens to those
//! that were interrupted.

use std::collections::BTreeMap;
use std::time::Duration;

use chart::release::{Info, Release, Status};
use chart::template::{self, Rendered, Request};
use chart::value::{Map as ValueMap, Value};
use chart::values::Values;
use client::transport;
use platform::helm::{self, Applied, Cluster, HelmError, Rollback, Store, Uninstall, Wish};
use serde_json::{Map, Value as Json, json};
use server::{Server, Settings};

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

struct World {
    cluster: Cluster,
    _server: Server,
    _folder: tempfile::TempDir,
}

async fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::open(Settings::new(folder.path())).await.expect("a server");
    let client = transport::in_process(server.service(), api::identity::Identity::new("admin", [api::identity::MASTERS]));
    World { cluster: Cluster::new(client, "default"), _server: server, _folder: folder }
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

    let away = Uninstall {
        keep_history: false,
        no_hooks: false,
        wait: true,
        propagation: "Background",
        timeout: Duration::from_secs(20),
        description: String::new(),
    };
    helm::uninstall(cluster, "maps", &away).await.expect("uninstalled");
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
        info: Info { status: Status::PendingUpgrade, last_deployed: jiff::Timestamp::now().to_string(), ..Info::default() },
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

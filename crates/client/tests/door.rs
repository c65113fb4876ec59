//! The door to a real server, in process and over TLS: what is written is seen, watches stream, caches follow, leases have one holder.

use std::{sync::Arc, time::Duration};

use api::identity::{Identity, MASTERS};
use client::{
    Cache, Caches, Key, Options,
    events::Recorder,
    lease::{Candidacy, Settings},
    transport,
};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Service};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use server::{
    Server,
    listen::{Limits, Listener},
};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;

struct Cluster {
    server: Server,
    _folder: tempfile::TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { server: Server::open(server::Settings::new(folder.path())).await.unwrap(), _folder: folder }
    }

    fn client(&self) -> kube::Client {
        transport::in_process(self.server.service(), Identity::new("admin", [MASTERS]))
    }
}

fn config_map(name: &str, labels: serde_json::Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}, "data": {"key": "value"}})).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("it did not happen in time")
}

#[tokio::test]
async fn a_cache_follows_what_is_written_and_its_indexes_too() {
    let cluster = Cluster::start().await;
    let api: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    api.create(&PostParams::default(), &config_map("a", json!({"app": "x"}))).await.unwrap();
    let caches = Caches::new(cluster.client());
    let cache = caches.get_with::<ConfigMap>(Options { project: |map| map.data = None, ..Options::default() });
    let by_app = cache.by_label("app");
    soon(caches.synced()).await;
    assert_eq!(by_app.count("x"), 1);
    let written = api.create(&PostParams::default(), &config_map("b", json!({"app": "x"}))).await.unwrap();
    soon(cache.caught_up(&written)).await.unwrap();
    assert_eq!(by_app.get("x").iter().map(|map| map.metadata.name.clone().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    let b = cache.find("default", "b").unwrap();
    assert!(b.data.is_none() && b.metadata.managed_fields.is_none());
    let patch = json!({"metadata": {"labels": {"app": "y"}}});
    let written = api.patch("b", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    soon(cache.caught_up(&written)).await.unwrap();
    assert_eq!((by_app.count("x"), by_app.count("y")), (1, 1));
    api.delete("b", &DeleteParams::default()).await.unwrap();
    soon(cache.forgotten(&Key::new("default", "b"), b.metadata.uid.as_deref().unwrap())).await.unwrap();
    assert_eq!((by_app.count("y"), cache.find("default", "b").is_none()), (0, true));
    assert!(Arc::ptr_eq(&cache, &caches.get::<ConfigMap>()));
}

#[tokio::test]
async fn changes_begin_with_what_is_there_and_carry_old_and_new() {
    let cluster = Cluster::start().await;
    let api: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    api.create(&PostParams::default(), &config_map("a", json!({}))).await.unwrap();
    let cache = Cache::start(cluster.client(), Options::<ConfigMap> { namespace: Some("default".into()), ..Options::default() });
    let mut changes = cache.changes();
    let first = soon(changes.next()).await.unwrap();
    assert_eq!((first.key, first.old.is_none(), first.new.is_some()), (Key::new("default", "a"), true, true));
    let patch = json!({"data": {"key": "other"}});
    api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    let second = soon(changes.next()).await.unwrap();
    assert_eq!(second.old.unwrap().data.as_ref().unwrap()["key"], "value");
    assert_eq!(second.new.unwrap().data.as_ref().unwrap()["key"], "other");
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let third = soon(changes.next()).await.unwrap();
    assert!(third.old.is_some() && third.new.is_none());
}

/// Programs in Go leave out the time of a condition, which the type here must have.
#[tokio::test]
async fn an_object_that_is_read_with_patience_hides_no_other() {
    let cluster = Cluster::start().await;
    let services: Api<Service> = Api::namespaced(cluster.client(), "default");
    let untimed: Api<DynamicObject> = Api::namespaced_with(cluster.client(), "default", &ApiResource::erase::<Service>(&()));
    let service =
        |name: &str| serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}})).unwrap();
    let strip = |name: &str| {
        let patch = json!({"status": {"conditions": [{"type": "T", "status": "True", "reason": "R", "message": ""}]}});
        let (untimed, name) = (untimed.clone(), name.to_owned());
        async move { untimed.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap() }
    };
    services.create(&PostParams::default(), &service("watched")).await.unwrap();
    services.create(&PostParams::default(), &service("listed")).await.unwrap();
    strip("listed").await;
    let cache = Caches::new(cluster.client()).get::<Service>();
    soon(cache.synced()).await;
    strip("watched").await;
    let written = services.create(&PostParams::default(), &service("later")).await.unwrap();
    soon(cache.caught_up(&written)).await.unwrap();
    for name in ["listed", "watched"] {
        let conditions = cache.find("default", name).unwrap().status.as_ref().unwrap().conditions.clone().unwrap();
        assert_eq!(conditions[0].type_, "T", "{name}");
    }
}

#[tokio::test]
async fn the_same_event_is_counted_not_repeated() {
    let cluster = Cluster::start().await;
    let api: Api<ConfigMap> = Api::namespaced(cluster.client(), "default");
    let map = api.create(&PostParams::default(), &config_map("a", json!({}))).await.unwrap();
    let events: Api<Event> = Api::namespaced(cluster.client(), "default");
    let watch = Cache::start(cluster.client(), Options::<Event> { namespace: Some("default".into()), ..Options::default() });
    soon(watch.synced()).await;
    let mut changes = watch.changes();
    let recorder = Recorder::new(cluster.client(), "test-controller", "");
    recorder.normal(&map, "Tested", "it works");
    soon(changes.next()).await;
    recorder.normal(&map, "Tested", "it works");
    soon(changes.next()).await;
    let list = events.list(&ListParams::default().fields("reason=Tested")).await.unwrap();
    let event = &list.items[0];
    assert_eq!((list.items.len(), event.count, event.message.as_deref()), (1, Some(2), Some("it works")));
    assert_eq!(event.involved_object.uid, map.metadata.uid);
}

#[tokio::test]
async fn a_lease_has_one_holder_and_the_next_takes_over() {
    let cluster = Cluster::start().await;
    let quick = Settings {
        duration: Duration::from_secs(1),
        renew_deadline: Duration::from_millis(500),
        retry: Duration::from_millis(50),
    };
    let stand = |identity| Candidacy::stand(cluster.client(), "default", "platform", identity, quick);
    let mut first = stand("a");
    soon(first.won()).await;
    let mut second = stand("b");
    assert!(timeout(Duration::from_millis(300), second.won()).await.is_err());
    drop(first);
    soon(second.won()).await;
}

#[tokio::test]
async fn credentials_change_while_the_client_runs_and_watches_go_on() {
    let cluster = Cluster::start().await;
    let pki = &cluster.server.state().security.pki;
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let _ends_with_the_test = shutdown.clone().drop_guard();
    tokio::spawn(Listener::new(pki, Limits::default()).unwrap().serve(socket, cluster.server.service(), shutdown));
    let issue = |name: &str, group: &str| {
        let issued = pki.issue_client(name, &[group], Duration::from_secs(600)).unwrap();
        transport::Credentials::Certificate { chain_pem: issued.certificate_pem.into(), key_pem: issued.key_pem.into() }
    };
    let config = transport::Config {
        url: format!("https://localhost:{}", address.port()).parse().unwrap(),
        authorities_pem: pki.authority().pem().into(),
        credentials: issue("admin", MASTERS),
    };
    let (client, https) = transport::https(config).unwrap();
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let cache = Cache::start(client, Options::<ConfigMap> { namespace: Some("default".into()), ..Options::default() });
    soon(cache.synced()).await;
    let written = api.create(&PostParams::default(), &config_map("a", json!({}))).await.unwrap();
    soon(cache.caught_up(&written)).await.unwrap();
    https.renew(&issue("nobody", "nobodies")).unwrap();
    let refused = api.get("a").await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.is_forbidden()));
    https.renew(&issue("admin", MASTERS)).unwrap();
    let written = api.create(&PostParams::default(), &config_map("b", json!({}))).await.unwrap();
    soon(cache.caught_up(&written)).await.unwrap();
}

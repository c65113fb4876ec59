//! A node's network against an API that a test speaks for: on the real kernel, as root, in network namespaces of its own.

mod network_lab;

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use decide::network_rules::{HostPort, Protocol};
use network_lab::api::{Api, object};
use network_lab::{Lab, NODE, connect, resolve, until};
use node::network::{NetworkHandle, NetworkSettings, start};
use serde_json::{Value, json};

const WEB: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 80);

fn node_object(cidr: Option<&str>) -> Value {
    object(None, "node-1", json!({"spec": {"podCIDR": cidr}, "status": {"addresses": [{"type": "InternalIP", "address": NODE}]}}))
}

fn slice(address: Ipv4Addr) -> Value {
    let mut slice = object(
        Some("default"),
        "web-1",
        json!({"addressType": "IPv4", "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "nodeName": "node-1", "conditions": {"ready": true}}]}),
    );
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": "web"});
    slice
}

fn api(cidr: Option<&str>) -> Api {
    let spec = json!({"clusterIP": WEB, "clusterIPs": [WEB], "ports": [{"port": 80, "protocol": "TCP"}]});
    let services = vec![object(Some("default"), "web", json!({"spec": spec}))];
    Api::with([("services", services), ("nodes", vec![node_object(cidr)])])
}

async fn started(api: &Api, folder: &Path) -> NetworkHandle {
    let settings = NetworkSettings { resolv_conf: "/nowhere".into(), ..NetworkSettings::new("node-1", NODE, folder.to_owned()) };
    start(api.client(), settings).await.unwrap()
}

#[test]
#[expect(clippy::print_stderr, reason = "shows the times; it asserts none")]
fn a_node_attaches_pods_follows_services_answers_names_and_outlives_its_agent() {
    let lab = Lab::new("life");
    let folder = tempfile::tempdir().unwrap();
    let api = api(Some("10.42.1.0/24"));
    let pod = lab.pod("a");
    let address = lab.run(|| async {
        let begun = Instant::now();
        let network = started(&api, folder.path()).await;
        network.ready().await.unwrap();
        let ready = begun.elapsed();
        let begun = Instant::now();
        let attached = network.attach("uid-a", pod.name()).await.unwrap();
        eprintln!("ready after {ready:?}; a pod attached in {:?}", begun.elapsed());
        assert_eq!(attached.gateway, Ipv4Addr::new(10, 42, 1, 1));
        assert_eq!(network.attach("uid-a", pod.name()).await.unwrap(), attached);
        assert_eq!(connect(attached.address, 8080).await.unwrap(), "pod");

        assert_eq!(resolve(&["web", "default", "svc", "cluster", "local"]).await.unwrap(), WEB);
        assert_eq!(connect(WEB, 80).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        api.tell("endpointslices", "ADDED", slice(attached.address)).await;
        until("the service has its endpoint", async || connect(WEB, 80).await.is_ok_and(|text| text == "pod")).await;

        let port = HostPort { host_address: None, protocol: Protocol::Tcp, host_port: 8081, pod_port: 8080 };
        network.set_host_ports("uid-a", vec![port]).await.unwrap();
        assert_eq!(connect(NODE, 8081).await.unwrap(), "pod");
        attached.address
    });
    // Another agent, and an API that says nothing: all is as it was.
    lab.run(|| async {
        let network = started(&Api::silent(), folder.path()).await;
        assert!(network.is_ready());
        let known = async || resolve(&["web", "default", "svc", "cluster", "local"]).await.is_ok_and(|address| address == WEB);
        until("names are answered", known).await;
        assert_eq!(network.address_of("uid-a"), Some(address));
        assert_eq!(connect(WEB, 80).await.unwrap(), "pod");
        assert_eq!(connect(NODE, 8081).await.unwrap(), "pod");
    });
    lab.run(|| async {
        let network = started(&api, folder.path()).await;
        until("the API was heard", async || connect(WEB, 80).await.is_err()).await;
        assert_eq!(connect(NODE, 8081).await.unwrap(), "pod");
        network.detach("uid-a").await.unwrap();
        assert_eq!(network.held(), []);
        assert_eq!(connect(NODE, 8081).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_node_without_a_pod_cidr_waits_for_one() {
    let lab = Lab::new("cidr");
    let folder = tempfile::tempdir().unwrap();
    let api = api(None);
    lab.run(|| async {
        let network = started(&api, folder.path()).await;
        api.tell("services", "MODIFIED", object(Some("default"), "web", json!({"spec": {"clusterIP": WEB}}))).await;
        assert!(!network.is_ready());
        // The second is on no link of ours: its route has to wait, the first one's has not.
        let others = [("10.42.7.0/24", "10.44.0.12"), ("10.42.8.0/24", "192.0.2.1")];
        for (number, (cidr, address)) in others.into_iter().enumerate() {
            let rest = json!({"spec": {"podCIDR": cidr}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}});
            api.tell("nodes", "ADDED", object(None, &format!("other-{number}"), rest)).await;
        }
        api.tell("nodes", "MODIFIED", node_object(Some("10.42.3.0/24"))).await;
        network.ready().await.unwrap();
        assert!(network.attach("uid-b", "no-such-namespace").await.is_err());
        assert_eq!(network.held(), []);
        let routes = std::fs::read_to_string("/proc/thread-self/net/route").unwrap();
        assert!(routes.contains("00072A0A"), "the route to the other node's pods: {routes}");
    });
}

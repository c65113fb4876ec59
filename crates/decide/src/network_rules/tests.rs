use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn node() -> NodeFacts {
    NodeFacts {
        name: "here".into(),
        address: Ipv4Addr::new(10, 44, 0, 2),
        pod_cidr: "10.42.1.0/24".parse().unwrap(),
        cluster_cidr: "10.42.0.0/16".parse().unwrap(),
        service_cidr: "10.43.0.0/16".parse().unwrap(),
        local_network: None,
        own_service: Ipv4Addr::new(10, 43, 0, 10),
    }
}

fn service(name: &str, spec: Json) -> Service {
    let mut whole = json!({"clusterIP": "10.43.0.5", "ports": [{"name": "http", "port": 80}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": name}, "spec": whole})).unwrap()
}

fn slice(service: &str, name: &str, endpoints: Json) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"namespace": "ns", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn endpoint(address: &str, node: &str, ready: bool, serving: bool, terminating: bool) -> Json {
    let conditions = json!({"ready": ready, "serving": serving, "terminating": terminating});
    json!({"addresses": [address], "nodeName": node, "conditions": conditions})
}

fn ready(address: &str, node: &str) -> Json {
    endpoint(address, node, true, true, false)
}

/// The entries of one service, as text.
fn rules_of(spec: Json, endpoints: Json) -> Vec<String> {
    let mut rules = Rules::new(node());
    rules.set_service(&service("web", spec));
    rules.set_slice(&slice("web", "web-1", endpoints));
    let changes = rules.take_changes();
    let entries: BTreeMap<_, _> = rules.entries().collect();
    assert_eq!(changes.set, entries);
    assert_eq!(check(&entries), Vec::<String>::new());
    entries.iter().map(|(key, value)| text(key, value)).collect()
}

fn text(key: &Key, value: &Value) -> String {
    let front = |frontend: &Frontend| {
        let address = frontend.address.map_or("*".into(), |address| address.to_string());
        format!("{:?} {address}:{}", frontend.protocol, frontend.port)
    };
    let back = |backend: &Backend| format!("{}:{}", backend.address, backend.port);
    let key = match key {
        Key::Frontend(whom, frontend) => format!("{whom:?} {}", front(frontend)),
        Key::Backend(frontend, scope, index) => format!("{scope:?} {} #{index}", front(frontend)),
        Key::Member(frontend, backend) => format!("Member {} {}", front(frontend), back(backend)),
        Key::Hairpin(pod) => format!("Hairpin {pod}"),
        Key::Restricted(frontend) => format!("Restricted {}", front(frontend)),
        Key::Allowed(frontend, network) => format!("Allowed {} {network}", front(frontend)),
    };
    match value {
        Value::Verdict(Verdict::Spread(spread)) => {
            let affinity = spread.affinity_seconds.map(|seconds| format!(" keep {seconds}")).unwrap_or_default();
            format!("{key} -> {} of {:?}, masquerade {:?}{affinity}", spread.count, spread.scope, spread.masquerade)
        }
        Value::Verdict(verdict) => format!("{key} -> {verdict:?}"),
        Value::Backend(backend) => format!("{key} -> {}", back(backend)),
        Value::Present => key,
    }
}

#[test]
fn a_cluster_address_is_spread_over_ready_endpoints() {
    let endpoints =
        json!([ready("10.42.1.9", "here"), ready("10.42.2.9", "there"), endpoint("10.42.2.8", "there", false, false, false)]);
    assert_eq!(
        rules_of(json!({}), endpoints),
        [
            "Everyone Tcp 10.43.0.5:80 -> 2 of Cluster, masquerade Outsiders",
            "Cluster Tcp 10.43.0.5:80 #0 -> 10.42.1.9:8080",
            "Cluster Tcp 10.43.0.5:80 #1 -> 10.42.2.9:8080",
            "Hairpin 10.42.1.9",
        ]
    );
}

#[test]
fn endpoints_that_end_serve_only_while_nobody_is_ready() {
    let ending = endpoint("10.42.2.8", "there", false, true, true);
    let lines = rules_of(json!({}), json!([ready("10.42.2.9", "there"), ending]));
    assert_eq!(lines[1..], ["Cluster Tcp 10.43.0.5:80 #0 -> 10.42.2.9:8080"]);
    let lines = rules_of(json!({}), json!([ending]));
    assert_eq!(lines[1..], ["Cluster Tcp 10.43.0.5:80 #0 -> 10.42.2.8:8080"]);
}

#[test]
fn nobody_serves_means_refused_and_only_others_means_dropped() {
    assert_eq!(rules_of(json!({}), json!([])), ["Everyone Tcp 10.43.0.5:80 -> Reject"]);
    let local = json!({"internalTrafficPolicy": "Local"});
    assert_eq!(rules_of(local.clone(), json!([])), ["Everyone Tcp 10.43.0.5:80 -> Reject"]);
    assert_eq!(rules_of(local, json!([ready("10.42.2.9", "there")])), ["Everyone Tcp 10.43.0.5:80 -> Drop"]);
}

#[test]
fn outsiders_of_a_local_policy_have_a_table_of_their_own() {
    let ports = json!([{"name": "http", "port": 80, "nodePort": 30080}]);
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "ports": ports});
    assert_eq!(
        rules_of(spec.clone(), json!([ready("10.42.1.9", "here"), ready("10.42.2.9", "there")])),
        [
            "Everyone Tcp *:30080 -> 2 of Cluster, masquerade Outsiders",
            "Everyone Tcp 10.43.0.5:80 -> 2 of Cluster, masquerade Outsiders",
            "Outsiders Tcp *:30080 -> 1 of Local, masquerade Never",
            "Cluster Tcp *:30080 #0 -> 10.42.1.9:8080",
            "Cluster Tcp *:30080 #1 -> 10.42.2.9:8080",
            "Local Tcp *:30080 #0 -> 10.42.1.9:8080",
            "Cluster Tcp 10.43.0.5:80 #0 -> 10.42.1.9:8080",
            "Cluster Tcp 10.43.0.5:80 #1 -> 10.42.2.9:8080",
            "Hairpin 10.42.1.9",
        ]
    );
    let lines = rules_of(spec, json!([ready("10.42.2.9", "there")]));
    assert!(lines.contains(&"Outsiders Tcp *:30080 -> Drop".to_owned()), "{lines:?}");
}

#[test]
fn external_and_balancer_addresses_are_masqueraded() {
    let mut balanced = service(
        "web",
        json!({"type": "LoadBalancer", "externalIPs": ["192.0.2.1"],
        "loadBalancerSourceRanges": ["198.51.100.0/24", "198.51.100.7/32", "fd00::/8"]}),
    );
    balanced.status = serde_json::from_value(json!({"loadBalancer": {"ingress": [
        {"ip": "192.0.2.2", "ipMode": "VIP"}, {"ip": "192.0.2.3", "ipMode": "Proxy"}, {"hostname": "elsewhere"}
    ]}}))
    .unwrap();
    let mut rules = Rules::new(node());
    rules.set_service(&balanced);
    rules.set_slice(&slice("web", "web-1", json!([ready("10.42.2.9", "there")])));
    let lines: Vec<_> =
        rules.take_changes().set.iter().map(|(key, value)| text(key, value)).filter(|line| line.contains("->")).collect();
    assert!(lines.contains(&"Everyone Tcp 192.0.2.1:80 -> 1 of Cluster, masquerade Always".to_owned()), "{lines:?}");
    assert!(lines.contains(&"Everyone Tcp 192.0.2.2:80 -> 1 of Cluster, masquerade Always".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("192.0.2.3")), "{lines:?}");
}

#[test]
fn affinity_has_kubernetes_default_and_lists_its_members() {
    let lines = rules_of(json!({"sessionAffinity": "ClientIP"}), json!([ready("10.42.2.9", "there")]));
    assert_eq!(lines[0], "Everyone Tcp 10.43.0.5:80 -> 1 of Cluster, masquerade Outsiders keep 10800");
    assert_eq!(lines[2], "Member Tcp 10.43.0.5:80 10.42.2.9:8080");
}

#[test]
fn services_without_an_address_or_with_another_proxy_or_our_own_dns_have_no_rules() {
    let endpoints = json!([ready("10.42.2.9", "there")]);
    for spec in [
        json!({"clusterIP": "None"}),
        json!({"type": "ExternalName", "externalName": "example.org", "clusterIP": ""}),
        json!({"clusterIP": "10.43.0.10"}),
        json!({"ports": [{"name": "other", "port": 80, "protocol": "ODD"}]}),
    ] {
        assert_eq!(rules_of(spec.clone(), endpoints.clone()), Vec::<String>::new(), "{spec}");
    }
    let mut foreign = service("web", json!({}));
    foreign.metadata.labels = Some([("service.kubernetes.io/service-proxy-name".into(), "other".into())].into());
    let mut rules = Rules::new(node());
    rules.set_service(&foreign);
    assert!(rules.take_changes().is_empty());
}

#[test]
fn a_changed_service_tells_the_difference_alone() {
    let mut rules = Rules::new(node());
    rules.set_service(&service("web", json!({})));
    rules.set_slice(&slice("web", "web-1", json!([ready("10.42.2.7", "there"), ready("10.42.2.9", "there")])));
    drop(rules.take_changes());
    rules.set_slice(&slice("web", "web-1", json!([ready("10.42.2.7", "there")])));
    let changes = rules.take_changes();
    let lines = |side: &BTreeMap<Key, Value>| side.iter().map(|(key, value)| text(key, value)).collect::<Vec<_>>();
    assert_eq!(lines(&changes.set), ["Everyone Tcp 10.43.0.5:80 -> 1 of Cluster, masquerade Outsiders"]);
    assert_eq!(
        lines(&changes.unset),
        ["Everyone Tcp 10.43.0.5:80 -> 2 of Cluster, masquerade Outsiders", "Cluster Tcp 10.43.0.5:80 #1 -> 10.42.2.9:8080"]
    );
    rules.set_slice(&slice("web", "web-1", json!([ready("10.42.2.7", "there")])));
    assert!(rules.take_changes().is_empty());
}

#[test]
fn of_two_claims_on_a_port_the_second_takes_over_when_the_first_goes() {
    let mut rules = Rules::new(node());
    let port = HostPort { host_address: None, protocol: Protocol::Tcp, host_port: 80, pod_port: 8080 };
    rules.set_host_ports("b", Ipv4Addr::new(10, 42, 1, 8), vec![port]);
    rules.set_host_ports("a", Ipv4Addr::new(10, 42, 1, 7), vec![port]);
    let first = Key::Backend(Frontend { address: None, protocol: Protocol::Tcp, port: 80 }, Scope::Cluster, 0);
    let backend = |last| Value::Backend(Backend { address: Ipv4Addr::new(10, 42, 1, last), port: 8080 });
    assert_eq!(rules.take_changes().set[&first], backend(7));
    rules.set_host_ports("a", Ipv4Addr::new(10, 42, 1, 7), Vec::new());
    assert_eq!(rules.take_changes().set[&first], backend(8));
    rules.set_host_ports("b", Ipv4Addr::new(10, 42, 1, 8), Vec::new());
    assert_eq!(rules.take_changes().set.len(), 0);
    assert_eq!(rules.entries().count(), 0);
}

#[test]
fn load_balancers_are_told_how_many_endpoints_are_here() {
    let mut rules = Rules::new(node());
    rules.set_service(&service("web", json!({"externalTrafficPolicy": "Local", "healthCheckNodePort": 32000})));
    rules.set_slice(&slice("web", "web-1", json!([ready("10.42.1.9", "here"), ready("10.42.2.9", "there")])));
    assert_eq!(rules.health_checks(), [(32000, HealthCheck { service: Name::new("ns", "web"), local_endpoints: 1 })].into());
}

#[derive(Debug, Clone)]
enum News {
    Service(u8, u8),
    NoService(u8),
    Slice(u8, u8, Vec<(u8, u8)>),
    NoSlice(u8, u8),
}

fn news() -> impl Strategy<Value = News> {
    let endpoints = prop::collection::vec((0..6u8, 0..6u8), 0..5);
    prop_oneof![
        (0..3u8, 0..16u8).prop_map(|(service, shape)| News::Service(service, shape)),
        (0..3u8).prop_map(News::NoService),
        (0..3u8, 0..2u8, endpoints).prop_map(|(service, slice, endpoints)| News::Slice(service, slice, endpoints)),
        (0..3u8, 0..2u8).prop_map(|(service, slice)| News::NoSlice(service, slice)),
    ]
}

fn apply(rules: &mut Rules, news: &News) {
    match news {
        News::Service(number, shape) => {
            let policy = |bit: u8| if shape & bit == 0 { "Cluster" } else { "Local" };
            let protocol = if shape & 4 == 0 { "TCP" } else { "UDP" };
            let spec = json!({
                "clusterIP": format!("10.43.0.{}", 20 + number), "internalTrafficPolicy": policy(1), "externalTrafficPolicy": policy(2),
                "ports": [{"name": "http", "port": 80, "nodePort": 30000 + i32::from(*number), "protocol": protocol}],
                "sessionAffinity": if shape & 8 == 0 { "None" } else { "ClientIP" },
            });
            rules.set_service(&service(&format!("s{number}"), spec));
        }
        News::NoService(number) => rules.remove_service(&Name::new("ns", &format!("s{number}"))),
        News::Slice(number, part, endpoints) => {
            let endpoints = endpoints.iter().map(|(last, shape)| {
                let node = if shape % 2 == 0 { "here" } else { "there" };
                endpoint(&format!("10.42.1.{}", last + 2), node, *shape < 3, true, *shape >= 3)
            });
            let mut made = slice(&format!("s{number}"), &format!("s{number}-{part}"), endpoints.collect());
            let mut udp = made.ports.as_ref().unwrap()[0].clone();
            udp.protocol = Some("UDP".into());
            made.ports.as_mut().unwrap().push(udp);
            rules.set_slice(&made);
        }
        News::NoSlice(number, part) => rules.remove_slice(&Name::new("ns", &format!("s{number}-{part}"))),
    }
}

proptest! {
    #[test]
    fn differences_add_up_to_the_whole_and_the_whole_is_sound(news in prop::collection::vec((news(), any::<bool>()), 1..40)) {
        let mut rules = Rules::new(node());
        let mut kernel: BTreeMap<Key, Value> = BTreeMap::new();
        for (news, told) in &news {
            apply(&mut rules, news);
            if !told {
                continue;
            }
            let changes = rules.take_changes();
            for (key, value) in &changes.unset {
                prop_assert_eq!(kernel.remove(key), Some(*value));
            }
            for (key, value) in &changes.set {
                prop_assert_eq!(kernel.insert(*key, *value), None);
            }
            let whole: BTreeMap<_, _> = rules.entries().collect();
            prop_assert_eq!(&kernel, &whole);
            prop_assert_eq!(check(&whole), Vec::<String>::new());
        }
    }
}

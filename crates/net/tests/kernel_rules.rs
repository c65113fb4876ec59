//! The rule set on the real kernel: what clients of services see, from pods, from nodes and from outside. As root, in namespaces of its own.

mod lab;
#[path = "lab/objects.rs"]
mod objects;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use decide::network_rules::{HostPort, Name, NodeFacts, Protocol, Rules};
use ipnet::Ipv4Net;
use lab::{Lab, Pod};
use net::machine::Machine;
use net::namespace::Namespace;
use net::network_rules::{RuleTable, is_present};
use objects::{service, slice};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(2);
const DNS: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 10);
const WEB: Ipv4Addr = Ipv4Addr::new(10, 43, 0, 80);

fn facts(lab: &Lab, node: usize) -> NodeFacts {
    let node = &lab.nodes[node];
    NodeFacts {
        name: node.name.clone(),
        address: node.address,
        pod_cidr: node.links.settings().pod_cidr,
        cluster_cidr: Ipv4Net::new(Ipv4Addr::new(10, 42, 0, 0), 16).unwrap(),
        service_cidr: node.links.settings().service_cidr,
        local_network: None,
        own_service: DNS,
    }
}

/// The same services on every node of a lab.
struct Cluster {
    nodes: Vec<(Rules, RuleTable)>,
}

impl Cluster {
    fn new(lab: &Lab) -> Self {
        let nodes = (0..lab.nodes.len()).map(|node| {
            let facts = facts(lab, node);
            let mut table = lab.nodes[node].namespace.run(|| RuleTable::open(facts.clone())).unwrap().unwrap();
            table.replace([]).unwrap();
            (Rules::new(facts), table)
        });
        Self { nodes: nodes.collect() }
    }

    fn update(&mut self, change: impl Fn(&mut Rules)) {
        for (rules, table) in &mut self.nodes {
            change(rules);
            let changes = rules.take_changes();
            table.change(&changes).unwrap();
            table.forget(&changes.stale).unwrap();
            assert_eq!(decide::network_rules::check(&rules.entries().collect()), Vec::<String>::new());
        }
    }
}

/// Answers every connection with a name and the client's address, until dropped with its thread's listener.
fn serve_tcp(namespace: &Namespace, port: u16, name: &'static str) {
    let listener = namespace.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let _ = write!(stream, "{name} {}", peer.ip());
        }
    });
}

fn serve_udp(namespace: &Namespace, port: u16, name: &'static str) {
    let socket = namespace.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(name.as_bytes(), peer);
        }
    });
}

fn ask(client: &Namespace, address: Ipv4Addr, port: u16) -> io::Result<(String, Ipv4Addr)> {
    let mut stream = client.run(|| TcpStream::connect_timeout(&(address, port).into(), PATIENCE)).unwrap()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (name, source) = text.split_once(' ').ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok((name.to_owned(), source.parse().unwrap()))
}

fn who_answers(client: &Namespace, address: Ipv4Addr, port: u16, times: usize) -> BTreeSet<String> {
    (0..times).map(|_| ask(client, address, port).unwrap().0).collect()
}

fn refused_quickly(client: &Namespace, address: Ipv4Addr, port: u16) {
    let start = Instant::now();
    let refusal = ask(client, address, port).unwrap_err();
    assert_eq!(refusal.kind(), io::ErrorKind::ConnectionRefused, "{refusal}");
    assert!(start.elapsed() < Duration::from_millis(500));
}

/// Two nodes; pods `a` and `b` on the first, `c` on the second, all of them serving.
fn web() -> (Lab, Cluster, Pod, Pod, Pod) {
    let lab = Lab::new(2);
    let cluster = Cluster::new(&lab);
    let (a, b, c) = (lab.pod(0, 5), lab.pod(0, 6), lab.pod(1, 7));
    for (pod, name) in [(&a, "a"), (&b, "b"), (&c, "c")] {
        serve_tcp(&pod.namespace, 8080, name);
        serve_udp(&pod.namespace, 8080, name);
    }
    (lab, cluster, a, b, c)
}

#[test]
fn a_cluster_address_is_spread_over_all_pods_from_pods_and_nodes() {
    let (lab, mut cluster, a, b, c) = web();
    cluster.update(|rules| {
        rules.set_service(&service("web", "10.43.0.80", "TCP", json!({})));
        rules.set_slice(&slice("web", "TCP", &[(a.address, "node-1"), (b.address, "node-1"), (c.address, "node-2")]));
    });
    let all = BTreeSet::from(["a", "b", "c"].map(String::from));
    for client in [&a.namespace, &c.namespace, &lab.nodes[0].namespace, &lab.nodes[1].namespace] {
        assert_eq!(who_answers(client, WEB, 80, 40), all);
    }
    // A pod keeps its address toward others; toward itself it cannot.
    for _ in 0..20 {
        let (name, source) = ask(&a.namespace, WEB, 80).unwrap();
        assert_eq!(source, if name == "a" { lab.nodes[0].address } else { a.address }, "{name}");
    }
    refused_quickly(&a.namespace, WEB, 81);
    refused_quickly(&lab.nodes[0].namespace, WEB, 81);
    cluster.update(|rules| rules.set_slice(&slice("web", "TCP", &[(c.address, "node-2")])));
    assert_eq!(who_answers(&a.namespace, WEB, 80, 10), BTreeSet::from(["c".to_owned()]));
}

#[test]
fn a_service_without_endpoints_refuses_at_once_until_it_has_some() {
    let (lab, mut cluster, a, b, _) = web();
    let spec =
        json!({"type": "NodePort", "externalIPs": ["10.44.9.9"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]});
    cluster.update(|rules| rules.set_service(&service("web", "10.43.0.80", "TCP", spec.clone())));
    let node = &lab.nodes[0];
    for client in [&a.namespace, &node.namespace] {
        refused_quickly(client, WEB, 80);
        refused_quickly(client, Ipv4Addr::new(10, 44, 9, 9), 80);
        refused_quickly(client, node.address, 30080);
    }
    refused_quickly(&lab.host, node.address, 30080);
    cluster.update(|rules| rules.set_slice(&slice("web", "TCP", &[(b.address, "node-1")])));
    for client in [&a.namespace, &node.namespace] {
        assert_eq!(ask(client, WEB, 80).unwrap().0, "b");
        assert_eq!(ask(client, Ipv4Addr::new(10, 44, 9, 9), 80).unwrap().0, "b");
    }
    cluster.update(|rules| rules.remove_service(&Name::new("default", "web")));
    refused_quickly(&a.namespace, WEB, 80);
}

#[test]
fn a_node_port_answers_on_every_node_on_localhost_and_for_outsiders() {
    let (lab, mut cluster, a, _, c) = web();
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]});
    cluster.update(|rules| {
        rules.set_service(&service("web", "10.43.0.80", "TCP", spec.clone()));
        rules.set_slice(&slice("web", "TCP", &[(c.address, "node-2")]));
    });
    for node in &lab.nodes {
        for client in [&lab.host, &a.namespace, &c.namespace, &node.namespace] {
            assert_eq!(ask(client, node.address, 30080).unwrap().0, "c", "{} from {}", node.name, client.name());
        }
        assert_eq!(ask(&node.namespace, Ipv4Addr::LOCALHOST, 30080).unwrap().0, "c");
    }
    assert_eq!(ask(&lab.host, lab.nodes[0].address, 30080).unwrap().1, lab.nodes[0].address);
}

#[test]
fn a_load_balancer_address_lets_in_whom_it_is_for() {
    let (lab, mut cluster, a, b, c) = web();
    let balancer = Ipv4Addr::new(10, 44, 8, 8);
    let balanced = |ranges: serde_json::Value| {
        let mut service =
            service("web", "10.43.0.80", "TCP", json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ranges}));
        service.status = serde_json::from_value(json!({"loadBalancer": {"ingress": [{"ip": balancer}]}})).unwrap();
        service
    };
    cluster.update(|rules| {
        rules.set_service(&balanced(json!([])));
        rules.set_slice(&slice("web", "TCP", &[(b.address, "node-1")]));
    });
    assert_eq!(ask(&a.namespace, balancer, 80).unwrap().0, "b");
    cluster.update(|rules| rules.set_service(&balanced(json!(["10.42.1.0/30", "10.42.2.0/24", "192.0.2.0/24"]))));
    let kept_out = a.namespace.run(|| TcpStream::connect_timeout(&(balancer, 80).into(), Duration::from_millis(300))).unwrap();
    assert_eq!(kept_out.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(ask(&c.namespace, balancer, 80).unwrap().0, "b");
    assert_eq!(ask(&a.namespace, WEB, 80).unwrap().0, "b");
    cluster.update(|rules| rules.set_service(&balanced(json!(["10.42.0.0/16"]))));
    assert_eq!(ask(&a.namespace, balancer, 80).unwrap().0, "b");
    drop(lab);
}

#[test]
fn local_policies_keep_the_client_address_and_stay_on_the_node() {
    let (lab, mut cluster, a, b, c) = web();
    let ports = json!([{"port": 80, "nodePort": 30080, "protocol": "TCP"}]);
    let spec = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local", "ports": ports});
    cluster.update(|rules| {
        rules.set_service(&service("web", "10.43.0.80", "TCP", spec.clone()));
        rules.set_slice(&slice("web", "TCP", &[(b.address, "node-1")]));
    });
    let outside = Ipv4Addr::new(10, 44, 0, 1);
    assert_eq!(ask(&lab.host, lab.nodes[0].address, 30080).unwrap(), ("b".into(), outside));
    let dropped =
        lab.host.run(|| TcpStream::connect_timeout(&(lab.nodes[1].address, 30080).into(), Duration::from_millis(300))).unwrap();
    assert_eq!(dropped.unwrap_err().kind(), io::ErrorKind::TimedOut);
    // From inside of the cluster a node port leads everywhere, a cluster address only here.
    assert_eq!(ask(&c.namespace, lab.nodes[1].address, 30080).unwrap().0, "b");
    assert_eq!(ask(&a.namespace, WEB, 80).unwrap(), ("b".into(), a.address));
    let dropped = c.namespace.run(|| TcpStream::connect_timeout(&(WEB, 80).into(), Duration::from_millis(300))).unwrap();
    assert_eq!(dropped.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn a_client_stays_with_its_backend_until_that_is_gone() {
    let (lab, mut cluster, a, b, c) = web();
    let spec = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}});
    let everywhere = [(a.address, "node-1"), (b.address, "node-1"), (c.address, "node-2")];
    cluster.update(|rules| {
        rules.set_service(&service("web", "10.43.0.80", "TCP", spec.clone()));
        rules.set_slice(&slice("web", "TCP", &everywhere));
    });
    for client in [&a.namespace, &lab.nodes[0].namespace] {
        let first = who_answers(client, WEB, 80, 20);
        assert_eq!(first.len(), 1, "{first:?}");
        let first = first.first().unwrap().clone();
        let rest: Vec<_> =
            everywhere.into_iter().zip(["a", "b", "c"]).filter(|(_, name)| *name != first).map(|(end, _)| end).collect();
        cluster.update(|rules| rules.set_slice(&slice("web", "TCP", &rest)));
        let second = who_answers(client, WEB, 80, 20);
        assert_eq!(second.len(), 1, "{second:?}");
        assert!(!second.contains(&first));
        cluster.update(|rules| rules.set_slice(&slice("web", "TCP", &everywhere)));
        assert_eq!(who_answers(client, WEB, 80, 20), second);
    }
}

#[test]
fn udp_clients_move_on_when_their_backend_goes_or_the_first_one_comes() {
    let (_lab, mut cluster, a, b, c) = web();
    let socket = a.namespace.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 4000))).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let ask = || -> io::Result<String> {
        let mut buffer = [0; 64];
        socket.send_to(b"?", SocketAddrV4::new(WEB, 80))?;
        let (length, peer) = socket.recv_from(&mut buffer)?;
        assert_eq!(peer, SocketAddrV4::new(WEB, 80).into());
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    cluster.update(|rules| rules.set_service(&service("web", "10.43.0.80", "UDP", json!({}))));
    assert!(ask().is_err());
    cluster.update(|rules| rules.set_slice(&slice("web", "UDP", &[(b.address, "node-1")])));
    assert_eq!(ask().unwrap(), "b");
    cluster.update(|rules| rules.set_slice(&slice("web", "UDP", &[(c.address, "node-2")])));
    assert_eq!(ask().unwrap(), "c");
}

#[test]
fn a_host_port_leads_to_its_pod_and_ends_with_it() {
    let (lab, mut cluster, a, b, c) = web();
    let port = HostPort { host_address: None, protocol: Protocol::Tcp, host_port: 8081, pod_port: 8080 };
    let (rules, table) = &mut cluster.nodes[0];
    rules.set_host_ports("uid-b", b.address, vec![port]);
    table.change(&rules.take_changes()).unwrap();
    let node = &lab.nodes[0];
    let outside = Ipv4Addr::new(10, 44, 0, 1);
    assert_eq!(ask(&lab.host, node.address, 8081).unwrap(), ("b".into(), outside));
    assert_eq!(ask(&a.namespace, node.address, 8081).unwrap().0, "b");
    assert_eq!(ask(&b.namespace, node.address, 8081).unwrap(), ("b".into(), node.address));
    assert_eq!(ask(&c.namespace, node.address, 8081).unwrap().0, "b");
    assert_eq!(ask(&node.namespace, Ipv4Addr::LOCALHOST, 8081).unwrap().0, "b");
    rules.set_host_ports("uid-b", b.address, Vec::new());
    table.change(&rules.take_changes()).unwrap();
    refused_quickly(&lab.host, node.address, 8081);
}

#[test]
fn an_endpoint_on_a_node_itself_is_reached_from_everywhere_the_node_included() {
    let (lab, mut cluster, a, _, c) = web();
    let node = &lab.nodes[0];
    serve_tcp(&node.namespace, 8080, "node");
    let ports = json!([{"port": 80, "nodePort": 30080, "protocol": "TCP"}]);
    for affinity in ["None", "ClientIP"] {
        let spec = json!({"type": "NodePort", "sessionAffinity": affinity, "ports": ports});
        cluster.update(|rules| {
            rules.set_service(&service("web", "10.43.0.80", "TCP", spec.clone()));
            rules.set_slice(&slice("web", "TCP", &[(node.address, "node-1")]));
        });
        for client in [&a.namespace, &c.namespace, &node.namespace, &lab.nodes[1].namespace] {
            assert_eq!(ask(client, WEB, 80).unwrap().0, "node", "{}", client.name());
            assert_eq!(ask(client, node.address, 30080).unwrap().0, "node", "{}", client.name());
        }
        assert_eq!(ask(&lab.nodes[1].namespace, Ipv4Addr::LOCALHOST, 30080).unwrap().0, "node");
        assert_eq!(ask(&lab.host, lab.nodes[1].address, 30080).unwrap().0, "node");
    }
}

#[test]
fn the_dns_address_is_answered_by_the_node_of_the_client_alone() {
    let (lab, mut cluster, a, _, c) = web();
    cluster.update(|rules| {
        rules.set_service(&service("kube-dns", "10.43.0.10", "TCP", json!({})));
        rules.set_slice(&slice("kube-dns", "TCP", &[(c.address, "node-2")]));
    });
    for (node, name) in lab.nodes.iter().zip(["first", "second"]) {
        node.links.add_loopback_address(DNS).unwrap();
        node.links.add_loopback_address(DNS).unwrap();
        serve_tcp(&node.namespace, 80, name);
    }
    assert_eq!(ask(&a.namespace, DNS, 80).unwrap(), ("first".into(), a.address));
    assert_eq!(ask(&lab.nodes[0].namespace, DNS, 80).unwrap().0, "first");
    assert_eq!(ask(&c.namespace, DNS, 80).unwrap(), ("second".into(), c.address));
    // It never becomes the source of what the node says elsewhere.
    assert_eq!(ask(&lab.nodes[0].namespace, a.address, 8080).unwrap().1, lab.nodes[0].address);
    lab.nodes[0].links.close(&[DNS]).unwrap();
    refused_quickly(&a.namespace, DNS, 80);
}

#[test]
fn what_leaves_the_cluster_has_the_address_of_the_node() {
    let (lab, _cluster, a, ..) = web();
    serve_tcp(&lab.host, 9000, "host");
    assert_eq!(ask(&a.namespace, Ipv4Addr::new(10, 44, 0, 1), 9000).unwrap(), ("host".into(), lab.nodes[0].address));
}

#[test]
fn what_leaves_the_machine_has_an_address_that_is_known_there() {
    let (lab, _cluster, a, ..) = web();
    let facts = NodeFacts { local_network: Some(lab.machine.address.trunc()), ..facts(&lab, 0) };
    lab.host.run(|| RuleTable::open(facts).unwrap().replace([])).unwrap().unwrap();
    let gateway = Ipv4Addr::new(192, 0, 2, 1);
    let beyond =
        Machine { bridge: "beyond0".into(), address: Ipv4Net::new(gateway, 24).unwrap(), prefix: lab.machine.prefix.clone() };
    lab.host.run(|| beyond.set_up()).unwrap().unwrap();
    let far = lab.host.run(|| beyond.add_node("far", Ipv4Addr::new(192, 0, 2, 2))).unwrap().unwrap();
    serve_tcp(&far, 9000, "far");
    for client in [&a.namespace, &lab.nodes[1].namespace] {
        assert_eq!(ask(client, Ipv4Addr::new(192, 0, 2, 2), 9000).unwrap(), ("far".into(), gateway));
    }
}

#[test]
fn the_table_comes_and_goes_as_a_whole_and_a_foreign_hand_is_noticed() {
    let lab = Lab::new(1);
    let mut cluster = Cluster::new(&lab);
    let (rules, table) = &mut cluster.nodes[0];
    let namespace = &lab.nodes[0].namespace;
    assert!(namespace.run(is_present).unwrap().unwrap());
    table.remove().unwrap();
    table.remove().unwrap();
    assert!(!namespace.run(is_present).unwrap().unwrap());
    rules.set_service(&service("web", "10.43.0.80", "TCP", json!({})));
    let changes = rules.take_changes();
    assert!(table.change(&changes).is_err());
    table.replace(rules.entries()).unwrap();
    assert!(namespace.run(is_present).unwrap().unwrap());
}

#[test]
#[expect(clippy::print_stderr, reason = "shows the time; it asserts none")]
fn a_thousand_services_are_put_in_force_and_one_is_changed() {
    let lab = Lab::new(1);
    let mut cluster = Cluster::new(&lab);
    let (rules, table) = &mut cluster.nodes[0];
    let endpoints =
        [Ipv4Addr::new(10, 42, 1, 1), Ipv4Addr::new(10, 42, 2, 1), Ipv4Addr::new(10, 42, 3, 1)].map(|ip| (ip, "node-1"));
    let start = Instant::now();
    for number in 0..1000u16 {
        let name = format!("s{number}");
        let [high, low] = number.to_be_bytes();
        rules.set_service(&service(&name, &Ipv4Addr::new(10, 43, high + 1, low).to_string(), "TCP", json!({})));
        rules.set_slice(&slice(&name, "TCP", &endpoints));
    }
    let changes = rules.take_changes();
    let decided = start.elapsed();
    let start = Instant::now();
    table.replace(rules.entries()).unwrap();
    let replaced = start.elapsed();
    assert_eq!(changes.set.len(), 1000 * 4 + 1);
    rules.set_slice(&slice("s500", "TCP", &endpoints[..2]));
    let start = Instant::now();
    table.change(&rules.take_changes()).unwrap();
    eprintln!("1000 services: decided in {decided:?}, put in force in {replaced:?}; one changed in {:?}", start.elapsed());
}

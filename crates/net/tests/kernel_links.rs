//! Namespaces, links and routes on the real kernel, as root, in namespaces of their own.

mod lab;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lab::Lab;
use net::namespace::{self, Namespace};

const PATIENCE: Duration = Duration::from_secs(2);

/// Connects two places over TCP and says which source address the server saw.
fn seen_source(client: &Namespace, server: &Namespace, address: Ipv4Addr) -> std::io::Result<Ipv4Addr> {
    let listener = server.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8080))).unwrap().unwrap();
    let mut stream = client.run(|| TcpStream::connect_timeout(&(address, 8080).into(), PATIENCE)).unwrap()?;
    let (mut accepted, peer) = listener.accept().unwrap();
    accepted.write_all(b"hello").unwrap();
    drop(accepted);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    match peer.ip() {
        std::net::IpAddr::V4(ip) => Ok(ip),
        std::net::IpAddr::V6(ip) => panic!("{ip}"),
    }
}

#[test]
fn a_namespace_is_made_once_listed_and_removed() {
    let name = format!("lab{}-once", std::process::id());
    let made = Namespace::create(&name).unwrap();
    assert!(namespace::list().unwrap().contains(&name));
    assert!(Namespace::create(&name).is_err());
    let links = made.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    assert!(links.contains("lo:") && !links.contains("eth0:"), "{links}");
    namespace::remove(&name).unwrap();
    namespace::remove(&name).unwrap();
    assert!(!namespace::list().unwrap().contains(&name));
    assert!(Namespace::create("../escape").is_err());
}

#[test]
fn a_name_without_a_namespace_is_made_anew() {
    let name = format!("lab{}-stale", std::process::id());
    std::fs::create_dir_all(namespace::FOLDER).unwrap();
    std::fs::write(namespace::path_of(&name), "").unwrap();
    let made = Namespace::open_or_create(&name);
    namespace::remove(&name).unwrap();
    made.unwrap().run(|| ()).unwrap();
}

#[test]
fn pods_of_one_node_and_of_two_see_each_other_under_their_own_addresses() {
    let lab = Lab::new(2);
    let (a, b, c) = (lab.pod(0, 5), lab.pod(0, 6), lab.pod(1, 5));
    assert_eq!(seen_source(&a.namespace, &b.namespace, b.address).unwrap(), a.address);
    assert_eq!(seen_source(&a.namespace, &c.namespace, c.address).unwrap(), a.address);
    assert_eq!(seen_source(&c.namespace, &a.namespace, a.address).unwrap(), c.address);
    let node = &lab.nodes[0];
    assert_eq!(seen_source(&node.namespace, &a.namespace, a.address).unwrap(), node.address);
    assert_eq!(seen_source(&node.namespace, &c.namespace, c.address).unwrap(), node.address);
    assert_eq!(seen_source(&a.namespace, &node.namespace, node.address).unwrap(), a.address);
    assert_eq!(seen_source(&a.namespace, &a.namespace, Ipv4Addr::LOCALHOST).unwrap(), Ipv4Addr::LOCALHOST);
}

#[test]
fn a_cut_node_is_unreachable_until_it_is_healed() {
    let lab = Lab::new(2);
    let (a, c) = (lab.pod(0, 5), lab.pod(1, 5));
    lab.host.run(|| lab.machine.cut("node-2")).unwrap().unwrap();
    let quick =
        |from: &Namespace| from.run(|| TcpStream::connect_timeout(&(c.address, 1).into(), Duration::from_millis(200))).unwrap();
    assert_ne!(quick(&a.namespace).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    lab.host.run(|| lab.machine.heal("node-2")).unwrap().unwrap();
    assert_eq!(seen_source(&a.namespace, &c.namespace, c.address).unwrap(), a.address);
}

#[test]
fn a_link_that_is_there_is_replaced_and_goes_with_its_namespace() {
    let lab = Lab::new(1);
    let node = &lab.nodes[0];
    let pod = lab.pod(0, 9);
    node.links.attach(pod.namespace.name(), &pod.namespace, pod.address).unwrap();
    assert_eq!(node.links.pod_links().unwrap().len(), 1);
    node.links.detach(pod.namespace.name()).unwrap();
    node.links.detach(pod.namespace.name()).unwrap();
    assert_eq!(node.links.pod_links().unwrap().len(), 0);
}

#[test]
fn the_machine_lists_what_it_made_and_takes_all_of_it_away() {
    let lab = Lab::new(2);
    let left = lab.host.run(|| lab.machine.leftovers()).unwrap().unwrap();
    assert_eq!(left.iter().filter(|name| name.starts_with("link")).count(), 3, "{left:?}");
    let node = lab.host.run(|| lab.machine.add_node("node-1", lab.nodes[0].address)).unwrap().unwrap();
    assert_eq!(node.name(), lab.nodes[0].namespace.name());
    lab.host.run(|| lab.machine.remove_node("node-1")).unwrap().unwrap();
    lab.host.run(|| lab.machine.remove_all(&[])).unwrap().unwrap();
    lab.host.run(|| lab.machine.remove_all(&[])).unwrap().unwrap();
    assert_eq!(lab.host.run(|| lab.machine.leftovers()).unwrap().unwrap(), Vec::<String>::new());
}

#[test]
#[expect(clippy::print_stderr, reason = "shows the time of an attach; it asserts none")]
fn fifty_pods_are_attached() {
    let lab = Lab::new(1);
    let mut times = Vec::new();
    for last in 10..60u8 {
        let name = format!("{}many-{last}", lab.machine.prefix);
        let start = Instant::now();
        let namespace = Namespace::create(&name).unwrap();
        let made = start.elapsed();
        lab.nodes[0].links.attach(&name, &namespace, Ipv4Addr::new(10, 42, 1, last)).unwrap();
        times.push((start.elapsed().saturating_sub(made), made));
    }
    times.sort();
    let (attach, made) = times[times.len() / 2];
    eprintln!("attach, median of {}: {attach:?}; its namespace: {made:?}", times.len());
    assert_eq!(lab.nodes[0].links.pod_links().unwrap().len(), 50);
}

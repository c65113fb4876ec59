use decide::network_rules::Protocol;

use super::*;

fn cidr(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

#[test]
fn addresses_and_ports_are_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let now = Timestamp::UNIX_EPOCH;
    let port = HostPort { host_address: None, protocol: Protocol::Tcp, host_port: 80, pod_port: 8080 };
    let mut addresses = Addresses::open(folder.path()).unwrap();
    assert!(matches!(addresses.allocate("a", now), Err(NetworkError::NotReady)));
    addresses.set_pod_cidr(cidr("10.42.3.0/24")).unwrap();
    let a = addresses.allocate("a", now).unwrap();
    assert_ne!(addresses.allocate("b", now).unwrap(), a);
    assert!(addresses.set_host_ports("a", &[port]).unwrap());
    assert!(!addresses.set_host_ports("a", &[port]).unwrap());

    let mut addresses = Addresses::open(folder.path()).unwrap();
    assert_eq!(addresses.pod_cidr(), Some(cidr("10.42.3.0/24")));
    assert_eq!(addresses.allocate("a", now).unwrap(), a);
    assert_eq!(addresses.host_ports(), [("a".into(), a, vec![port])]);
    addresses.release("a", now).unwrap();
    assert_eq!(addresses.host_ports(), []);
    assert_eq!(addresses.held().len(), 1);
}

#[test]
fn another_pod_cidr_means_another_node() {
    let folder = tempfile::tempdir().unwrap();
    let mut addresses = Addresses::open(folder.path()).unwrap();
    addresses.set_pod_cidr(cidr("10.42.3.0/24")).unwrap();
    addresses.allocate("a", Timestamp::UNIX_EPOCH).unwrap();
    addresses.set_pod_cidr(cidr("10.42.3.0/24")).unwrap();
    assert_eq!(addresses.held().len(), 1);
    addresses.set_pod_cidr(cidr("10.42.4.0/24")).unwrap();
    assert_eq!(addresses.held(), []);
}

#[test]
fn a_damaged_file_is_a_new_beginning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE), "{").unwrap();
    assert_eq!(Addresses::open(folder.path()).unwrap().pod_cidr(), None);
}

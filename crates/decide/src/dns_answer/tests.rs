use serde_json::{Value, json};

use super::*;

fn zone() -> Zone {
    let mut zone = Zone::new(ZoneFacts {
        domain: "cluster.local".into(),
        address: Ipv4Addr::new(10, 43, 0, 10),
        networks: vec!["10.42.0.0/16".parse().unwrap(), "10.43.0.0/16".parse().unwrap()],
    });
    let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}, {"name": "metrics", "port": 9090, "protocol": "TCP"}]);
    zone.set_service(&service("web", json!({"clusterIP": "10.43.0.5", "clusterIPs": ["10.43.0.5", "fd00::5"], "ports": ports})));
    zone.set_slice(&slice("web", "web-1", json!([{"addresses": ["10.42.0.7"]}])));
    zone.set_service(&service("db", json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}]})));
    zone.set_slice(&slice(
        "db",
        "db-1",
        json!([
            {"addresses": ["10.42.1.5"], "hostname": "db-0", "conditions": {"ready": true}},
            {"addresses": ["10.42.1.6"], "hostname": "DB-1", "conditions": {"ready": true}},
            {"addresses": ["10.42.1.7"], "conditions": {"ready": true}},
            {"addresses": ["10.42.1.8"], "hostname": "db-3", "conditions": {"ready": false}},
        ]),
    ));
    zone.set_service(&service("empty", json!({"clusterIP": "None"})));
    zone.set_service(&service("out", json!({"type": "ExternalName", "externalName": "Example.ORG."})));
    zone.set_service(&service("pending", json!({"ports": []})));
    zone
}

fn service(name: &str, spec: Value) -> Service {
    serde_json::from_value(json!({"metadata": {"namespace": "ns", "name": name}, "spec": spec})).unwrap()
}

fn slice(service: &str, name: &str, endpoints: Value) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"namespace": "ns", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "sql", "port": 15432, "protocol": "TCP"}],
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn text(record: &Record) -> String {
    let data = match &record.data {
        Data::A(address) => address.to_string(),
        Data::Aaaa(address) => address.to_string(),
        Data::Cname(name) | Data::Ptr(name) | Data::Ns(name) | Data::Text(name) => name.clone(),
        Data::Srv { weight, port, target } => format!("0 {weight} {port} {target}"),
        Data::Soa { primary, mailbox, .. } => format!("{primary} {mailbox}"),
    };
    data.replace(".svc.cluster.local", "…")
}

fn ask(name: &str, kind: Kind) -> String {
    match zone().answer(name, kind, 0) {
        Answer::Found { answers, additional } => {
            let lines = |records: &[Record]| records.iter().map(text).collect::<Vec<_>>().join(", ");
            assert!(answers.iter().all(|record| record.name == name));
            let more = if additional.is_empty() { String::new() } else { format!(" + {}", lines(&additional)) };
            lines(&answers) + &more
        }
        Answer::Alias { record, target } => format!("{} -> {target}", text(&record)),
        other => format!("{other:?}"),
    }
}

#[test]
fn names_mean_what_the_specification_says() {
    let table = [
        ("web.ns.svc.cluster.local", Kind::A, "10.43.0.5"),
        ("web.ns.svc.cluster.local", Kind::Aaaa, "fd00::5"),
        ("web.ns.svc.cluster.local", Kind::Txt, "NoData"),
        ("_http._tcp.web.ns.svc.cluster.local", Kind::Srv, "0 100 80 web.ns… + 10.43.0.5, fd00::5"),
        ("_http._tcp.web.ns.svc.cluster.local", Kind::A, "NoData"),
        ("_http._udp.web.ns.svc.cluster.local", Kind::Srv, "NoName"),
        ("_nope._tcp.web.ns.svc.cluster.local", Kind::Srv, "NoName"),
        ("_tcp.web.ns.svc.cluster.local", Kind::Srv, "NoData"),
        ("_udp.web.ns.svc.cluster.local", Kind::Srv, "NoName"),
        ("web.ns.svc.cluster.local", Kind::Srv, "0 50 80 web.ns…, 0 50 9090 web.ns… + 10.43.0.5, fd00::5"),
        ("10-42-0-7.web.ns.svc.cluster.local", Kind::A, "10.42.0.7"),
        ("db.ns.svc.cluster.local", Kind::A, "10.42.1.5, 10.42.1.6, 10.42.1.7"),
        ("db.ns.svc.cluster.local", Kind::Aaaa, "NoData"),
        ("db-0.db.ns.svc.cluster.local", Kind::A, "10.42.1.5"),
        ("db-1.db.ns.svc.cluster.local", Kind::A, "10.42.1.6"),
        ("10-42-1-7.db.ns.svc.cluster.local", Kind::A, "10.42.1.7"),
        ("db-3.db.ns.svc.cluster.local", Kind::A, "NoName"),
        (
            "_sql._tcp.db.ns.svc.cluster.local",
            Kind::Srv,
            "0 33 15432 10-42-1-7.db.ns…, 0 33 15432 db-0.db.ns…, 0 33 15432 db-1.db.ns… + 10.42.1.7, 10.42.1.5, 10.42.1.6",
        ),
        ("empty.ns.svc.cluster.local", Kind::A, "NoName"),
        ("pending.ns.svc.cluster.local", Kind::A, "NoName"),
        ("out.ns.svc.cluster.local", Kind::A, "example.org -> example.org"),
        ("nobody.ns.svc.cluster.local", Kind::A, "NoName"),
        ("ns.svc.cluster.local", Kind::A, "NoData"),
        ("n.svc.cluster.local", Kind::A, "NoName"),
        ("svc.cluster.local", Kind::A, "NoData"),
        ("10-42-0-5.ns.pod.cluster.local", Kind::A, "10.42.0.5"),
        ("fd00--5.ns.pod.cluster.local", Kind::Aaaa, "fd00::5"),
        ("pod-7.ns.pod.cluster.local", Kind::A, "NoName"),
        ("dns-version.cluster.local", Kind::Txt, "1.1.0"),
        ("cluster.local", Kind::Soa, "ns.dns.cluster.local hostmaster.cluster.local"),
        ("cluster.local", Kind::Ns, "ns.dns.cluster.local"),
        ("ns.dns.cluster.local", Kind::A, "10.43.0.10"),
        ("5.0.43.10.in-addr.arpa", Kind::Ptr, "web.ns…"),
        ("5.1.42.10.in-addr.arpa", Kind::Ptr, "db-0.db.ns…"),
        ("7.0.42.10.in-addr.arpa", Kind::Ptr, "NoName"),
        ("5.0.0.10.in-addr.arpa", Kind::Ptr, "NotOurs"),
        ("5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", Kind::Ptr, "web.ns…"),
        ("example.org", Kind::A, "NotOurs"),
        ("mycluster.local", Kind::A, "NotOurs"),
        ("a.b.web.ns.svc.cluster.local", Kind::A, "NoName"),
        ("", Kind::Ns, "NotOurs"),
    ];
    for (name, kind, expected) in table {
        assert_eq!(ask(name, kind), expected, "{name} {kind:?}");
    }
}

#[test]
fn addresses_take_turns_to_be_first() {
    let first = |turn| match zone().answer("db.ns.svc.cluster.local", Kind::A, turn) {
        Answer::Found { answers, .. } => text(&answers[0]),
        other => panic!("{other:?}"),
    };
    assert_eq!([first(0), first(1), first(2), first(3)], ["10.42.1.5", "10.42.1.6", "10.42.1.7", "10.42.1.5"]);
}

#[test]
fn what_is_gone_leaves_no_name_and_a_copy_stays_as_it_was() {
    let mut zone = zone();
    let before = zone.clone();
    zone.remove_slice(&Name::new("ns", "db-1"));
    zone.remove_service(&Name::new("ns", "web"));
    assert_eq!(zone.answer("db.ns.svc.cluster.local", Kind::A, 0), Answer::NoName);
    assert_eq!(zone.answer("5.0.43.10.in-addr.arpa", Kind::Ptr, 0), Answer::NoName);
    assert_eq!(zone.answer("5.1.42.10.in-addr.arpa", Kind::Ptr, 0), Answer::NoName);
    assert_ne!(before.answer("db.ns.svc.cluster.local", Kind::A, 0), Answer::NoName);
    assert_ne!(before.answer("5.0.43.10.in-addr.arpa", Kind::Ptr, 0), Answer::NoName);
}

proptest::proptest! {
    #[test]
    fn any_text_gets_an_answer(name in "[a-z0-9._-]{0,40}(\\.svc|\\.pod|)(\\.cluster\\.local|\\.in-addr\\.arpa|\\.ip6\\.arpa|)", turn: usize) {
        for kind in [Kind::A, Kind::Srv, Kind::Ptr, Kind::Soa, Kind::Unknown] {
            let _ = zone().answer(&name, kind, turn);
        }
    }
}

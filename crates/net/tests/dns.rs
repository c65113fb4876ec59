//! The DNS server over its sockets, on loopback; and anything thrown at it.

#[path = "lab/objects.rs"]
mod objects;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use decide::dns_answer::{Zone, ZoneFacts};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use net::dns::{DnsServer, DnsSockets, answer_offline};
use objects::{service, slice};
use proptest::prelude::*;
use serde_json::json;

fn zone() -> Zone {
    let mut zone = Zone::new(ZoneFacts {
        domain: "cluster.local".into(),
        address: Ipv4Addr::new(10, 43, 0, 10),
        networks: vec!["10.42.0.0/16".parse().unwrap()],
    });
    zone.set_service(&service("web", "10.43.0.80", "TCP", json!({})));
    zone.set_service(&service("out", "", "TCP", json!({"type": "ExternalName", "externalName": "elsewhere.test"})));
    zone.set_service(&service("many", "None", "TCP", json!({})));
    let endpoints: Vec<_> = (1..=100).map(|last| (Ipv4Addr::new(10, 42, 0, last), "node-1")).collect();
    zone.set_slice(&slice("many", "TCP", &endpoints));
    zone
}

struct Running {
    address: SocketAddr,
    _server: DnsServer,
    _folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// A server whose `resolv.conf` has these lines.
fn start(resolv_conf: &str) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("resolv.conf");
    std::fs::write(&path, resolv_conf).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sockets = DnsSockets::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = sockets.address();
    let inside = runtime.enter();
    let server = DnsServer::start(sockets, Arc::new(ArcSwap::from_pointee(zone())), path).unwrap();
    drop(inside);
    Running { address, _server: server, _folder: folder, runtime }
}

fn request(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn over_udp(server: &Running, request: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&request.to_vec().unwrap(), server.address).unwrap();
    let mut buffer = [0; 65535];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    let response = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!(response.metadata.id, 4711);
    response
}

fn over_tcp(server: &Running, requests: &[Message]) -> Vec<Message> {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let answers = requests.iter().map(|request| {
        let bytes = request.to_vec().unwrap();
        stream.write_all(&[&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut buffer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut buffer).unwrap();
        Message::from_vec(&buffer).unwrap()
    });
    answers.collect()
}

fn addresses(response: &Message) -> Vec<Ipv4Addr> {
    let addresses = response.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(address.0),
        _ => None,
    });
    addresses.collect()
}

#[test]
fn names_of_the_cluster_are_answered_over_both_transports_in_the_case_of_the_question() {
    let server = start("");
    let asked = request("wEb.DeFault.svc.CLUSTER.local.", RecordType::A);
    let again = request("web.default.svc.cluster.local.", RecordType::AAAA);
    for response in [over_udp(&server, &asked), over_tcp(&server, &[again.clone(), asked.clone()]).remove(1)] {
        assert_eq!(response.metadata.response_code, ResponseCode::NoError);
        assert!(response.metadata.authoritative && response.metadata.recursion_available && response.metadata.recursion_desired);
        assert_eq!(addresses(&response), [Ipv4Addr::new(10, 43, 0, 80)]);
        assert_eq!(response.queries[0].name().to_ascii(), "wEb.DeFault.svc.CLUSTER.local.");
        assert_eq!(response.answers[0].name.to_ascii(), "wEb.DeFault.svc.CLUSTER.local.");
        assert!(response.edns.is_none());
    }
    let nothing = over_udp(&server, &again);
    assert_eq!((nothing.metadata.response_code, nothing.answers.len()), (ResponseCode::NoError, 0));
    assert_eq!(nothing.authorities[0].record_type(), RecordType::SOA);
    let unknown = over_udp(&server, &request("nobody.default.svc.cluster.local.", RecordType::A));
    assert_eq!(unknown.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(unknown.authorities[0].record_type(), RecordType::SOA);
}

#[test]
fn an_answer_that_does_not_fit_is_cut_over_udp_and_whole_over_tcp() {
    let server = start("");
    let mut asked = request("many.default.svc.cluster.local.", RecordType::A);
    let cut = over_udp(&server, &asked);
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let whole = over_tcp(&server, &[asked.clone()]).remove(0);
    assert!(!whole.metadata.truncation);
    assert_eq!(addresses(&whole).len(), 100);
    let mut edns = Edns::new();
    edns.set_max_payload(65535);
    asked.set_edns(edns);
    let cut = over_udp(&server, &asked);
    assert!(cut.metadata.truncation && cut.edns.is_some());
}

/// Answers every question with 192.0.2.7 and counts them.
fn elsewhere() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (address, count) = (socket.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            counted.fetch_add(1, Ordering::Relaxed);
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let mut response = Message::response(asked.metadata.id, OpCode::Query);
            let name = asked.queries[0].name().clone();
            response.add_queries(asked.queries);
            response.add_answer(Record::from_rdata(name, 60, RData::A(A(Ipv4Addr::new(192, 0, 2, 7)))));
            let _ = socket.send_to(&response.to_vec().unwrap(), client);
        }
    });
    (address, count)
}

#[test]
fn other_names_are_asked_elsewhere_once_and_aliases_lead_there() {
    let (address, count) = elsewhere();
    let server = start(&format!("search example.test\nnameserver {address}\n"));
    for name in ["Elsewhere.test.", "elsewhere.TEST."] {
        let response = over_udp(&server, &request(name, RecordType::A));
        assert_eq!(addresses(&response), [Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!(response.answers[0].name.to_ascii(), name);
        assert!(!response.metadata.authoritative);
    }
    let aliased = over_tcp(&server, &[request("out.default.svc.cluster.local.", RecordType::A)]).remove(0);
    assert_eq!(aliased.answers[0].record_type(), RecordType::CNAME);
    assert_eq!(addresses(&aliased), [Ipv4Addr::new(192, 0, 2, 7)]);
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn without_a_server_elsewhere_the_answer_is_a_failure_at_once() {
    for text in ["", "nameserver 127.0.0.1:1\n"] {
        let server = start(text);
        let response = over_udp(&server, &request("elsewhere.test.", RecordType::A));
        assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
    }
}

#[test]
fn a_server_that_asks_itself_in_a_circle_fails_and_stays_alive() {
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    let server = start(&format!("nameserver {}\n", relay.local_addr().unwrap()));
    let (target, count) = (server.address, Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = relay.recv_from(&mut buffer) {
            if client != target {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = relay.send_to(&buffer[..length], target);
            }
        }
    });
    let response = over_udp(&server, &request("circle.test.", RecordType::A));
    assert_eq!(response.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(count.load(Ordering::Relaxed), 1);
    assert_eq!(addresses(&over_udp(&server, &request("web.default.svc.cluster.local.", RecordType::A))).len(), 1);
}

#[test]
fn what_is_no_question_is_refused_or_ignored() {
    let server = start("");
    let mut odd = request("web.default.svc.cluster.local.", RecordType::A);
    odd.metadata.op_code = OpCode::Update;
    assert_eq!(over_udp(&server, &odd).metadata.response_code, ResponseCode::NotImp);
    odd.metadata.op_code = OpCode::Query;
    odd.queries.clear();
    assert_eq!(over_udp(&server, &odd).metadata.response_code, ResponseCode::FormErr);
    let transfer = request("cluster.local.", RecordType::AXFR);
    assert_eq!(over_udp(&server, &transfer).metadata.response_code, ResponseCode::Refused);
    let mut response = request("web.default.svc.cluster.local.", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    assert_eq!(answer_offline(&zone(), &response.to_vec().unwrap()), None);
    server.runtime.block_on(async {});
}

proptest! {
    #[test]
    fn random_bytes_never_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = answer_offline(&zone(), &bytes);
    }

    #[test]
    fn a_damaged_question_never_breaks_it(at in 0..60usize, value: u8, cut in 0..60usize, kind: u16) {
        let mut asked = request("_http._tcp.many.default.svc.cluster.local.", RecordType::from(kind));
        asked.set_edns(Edns::new());
        let mut bytes = asked.to_vec().unwrap();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        for end in [bytes.len(), bytes.len().saturating_sub(cut)] {
            if let Some(answer) = answer_offline(&zone(), &bytes[..end]) {
                prop_assert!(answer.len() >= 12 && answer.len() <= 1232);
            }
        }
    }
}

//! The fixed part of the rule set: its sets, its chains at the kernel's hooks, and the chains that spread connections. Everything that
//! depends on a service is an element of a set, so that none of this changes while the cluster does.

use std::net::Ipv4Addr;

use decide::network_rules::{Masquerade, NodeFacts, Scope, Spread};
use ipnet::Ipv4Net;

use super::expression::{Expressions, Register, Verdict};
use crate::link::POD_LINK_PREFIX;
use crate::netlink::message::{APPEND, Attributes, Batch, CREATE};

const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;

/// Frontend → verdict, for anyone.
pub(super) const EVERYONE: &str = "everyone";
/// Frontend → verdict, for those who come from outside.
pub(super) const OUTSIDERS: &str = "outsiders";
/// Frontend and number → backend.
pub(super) const BACKENDS: &str = "backends";
/// Client and frontend → the backend that the client had before.
const AFFINITY: &str = "affinity";
/// Frontend and backend: it may keep its clients.
pub(super) const MEMBERS: &str = "members";
/// Pod and the same pod.
pub(super) const HAIRPIN: &str = "hairpin";
/// Frontends that are for some clients alone.
pub(super) const RESTRICTED: &str = "restricted";
/// Frontend and network of clients.
pub(super) const ALLOWED: &str = "allowed";
pub(super) const REFUSE: &str = "refuse";
/// Jumped to for every packet that is forwarded or delivered; network policies are to fill it.
const POLICY: &str = "policy";

/// Numbers of the backends on this node, in the map of all.
pub(super) const LOCAL_OFFSET: u32 = 0x1_0000;
/// "The source is to be replaced": the bit that Kubernetes' own proxy uses.
const MASQUERADE_MARK: u32 = 0x4000;

const TYPE_ADDRESS: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_MARK: u32 = 19;
const TYPE_VERDICT: u32 = 0xffff_ff00;
const FLAG_INTERVAL: u32 = 0x4;
const FLAG_CONCATENATION: u32 = 0x80;
const FLAG_MAP: u32 = 0x8;
const FLAG_TIMEOUT: u32 = 0x10;
const FLAG_DYNAMIC: u32 = 0x20;
/// Clients that are remembered at once; one more is simply not remembered.
const AFFINITY_ENTRIES_MAX: u32 = 1_000_000;

const STATE_INVALID: u32 = 1;
const STATE_ESTABLISHED: u32 = 2;
const STATE_RELATED: u32 = 4;
const STATUS_DESTINATION_TRANSLATED: u32 = 32;

struct Set {
    name: &'static str,
    key: &'static [u32],
    data: &'static [u32],
    flags: u32,
}

const SETS: [Set; 8] = [
    Set { name: EVERYONE, key: &[TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT], data: &[TYPE_VERDICT], flags: FLAG_MAP },
    Set { name: OUTSIDERS, key: &[TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT], data: &[TYPE_VERDICT], flags: FLAG_MAP },
    Set {
        name: BACKENDS,
        key: &[TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT, TYPE_MARK],
        data: &[TYPE_ADDRESS, TYPE_PORT],
        flags: FLAG_MAP,
    },
    Set {
        name: AFFINITY,
        key: &[TYPE_ADDRESS, TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT],
        data: &[TYPE_ADDRESS, TYPE_PORT],
        flags: FLAG_MAP | FLAG_TIMEOUT | FLAG_DYNAMIC,
    },
    Set { name: MEMBERS, key: &[TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT, TYPE_ADDRESS, TYPE_PORT], data: &[], flags: 0 },
    Set { name: HAIRPIN, key: &[TYPE_ADDRESS, TYPE_ADDRESS], data: &[], flags: 0 },
    Set { name: RESTRICTED, key: &[TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT], data: &[], flags: 0 },
    Set {
        name: ALLOWED,
        key: &[TYPE_ADDRESS, TYPE_PROTOCOL, TYPE_PORT, TYPE_ADDRESS],
        data: &[],
        flags: FLAG_INTERVAL | FLAG_CONCATENATION,
    },
];

/// Name, and for those at a hook: type, hook, priority.
type Chain = (&'static str, Option<(&'static str, u32, i32)>);
const CHAINS: [Chain; 8] = [
    (REFUSE, None),
    (POLICY, None),
    ("arriving", Some(("nat", 0, -100))),
    ("sent", Some(("nat", 3, -100))),
    ("leaving", Some(("nat", 4, 100))),
    ("forwarded", Some(("filter", 2, 0))),
    ("delivered", Some(("filter", 1, 0))),
    ("unserved", Some(("filter", 3, 0))),
];

/// The type of a concatenation, for those who list the table.
fn type_of(parts: &[u32]) -> u32 {
    parts.iter().fold(0, |whole, part| (whole << 6) | part)
}

/// How long a value is before it is filled up to whole words.
fn bytes_of(part: u32) -> u32 {
    match part {
        TYPE_PROTOCOL => 1,
        TYPE_PORT => 2,
        _ => 4,
    }
}

fn length_of(parts: &[u32]) -> u32 {
    4 * u32::try_from(parts.len()).unwrap_or(1)
}

/// Writes the whole of it into a batch that has made the table anew.
pub(super) fn write(batch: &mut Batch, table: &str, node: &NodeFacts) {
    for (number, set) in (1..).zip(&SETS) {
        batch.message("make a set", super::kind(NEW_SET), CREATE, &super::HEADER, |message| {
            message.put_text(1, table);
            message.put_text(2, set.name);
            message.put_be32(3, set.flags);
            message.put_be32(4, type_of(set.key));
            message.put_be32(5, length_of(set.key));
            if let [first, ..] = set.data {
                let verdict = *first == TYPE_VERDICT;
                message.put_be32(6, if verdict { TYPE_VERDICT } else { type_of(set.data) });
                message.put_be32(7, if verdict { 0 } else { length_of(set.data) });
            }
            // Within a batch, every set has to have a number.
            message.put_be32(10, number);
            if set.flags & FLAG_DYNAMIC != 0 {
                message.nest(9, |description| description.put_be32(1, AFFINITY_ENTRIES_MAX));
            }
            if set.flags & FLAG_CONCATENATION != 0 {
                // Ranges within a concatenation: the kernel has to know where its parts end.
                let fields = |list: &mut Attributes<'_>| {
                    set.key.iter().for_each(|part| list.nest(1, |field| field.put_be32(1, bytes_of(*part))));
                };
                message.nest(9, |description| description.nest(2, fields));
            }
        });
    }
    for (name, hook) in CHAINS {
        write_chain(batch, table, name, hook);
    }
    write_rules(&mut Rules { batch, table }, node);
}

fn write_chain(batch: &mut Batch, table: &str, name: &str, hook: Option<(&str, u32, i32)>) {
    batch.message("make a chain", super::kind(NEW_CHAIN), CREATE, &super::HEADER, |message| {
        message.put_text(1, table);
        message.put_text(3, name);
        if let Some((kind, number, priority)) = hook {
            message.nest(4, |hook| {
                hook.put_be32(1, number);
                hook.put(2, &priority.to_be_bytes());
            });
            message.put_text(7, kind);
        }
    });
}

struct Rules<'a> {
    batch: &'a mut Batch,
    table: &'a str,
}

impl Rules<'_> {
    fn add(&mut self, chain: &str, fill: impl FnOnce(&mut Expressions<'_, '_>)) {
        self.batch.message("add a rule", super::kind(NEW_RULE), CREATE | APPEND, &super::HEADER, |message| {
            message.put_text(1, self.table);
            message.put_text(2, chain);
            message.nest(4, |list| fill(&mut Expressions(list)));
        });
    }
}

const FIRST: Register = Register(0);
const SECOND: Register = Register(1);

/// Loads address, protocol and port of the frontend into three registers; no address means that the key has none.
fn load_frontend(rule: &mut Expressions<'_, '_>, from: Register, any_address: bool) {
    if any_address {
        rule.load(from, &Ipv4Addr::UNSPECIFIED.octets());
    } else {
        rule.load_destination(from);
    }
    rule.load_protocol(Register(from.0 + 1)).load_destination_port(Register(from.0 + 2));
}

fn write_rules(rules: &mut Rules<'_>, node: &NodeFacts) {
    rules.add(REFUSE, |rule| {
        rule.protocol_is(6).refuse_with_reset();
    });
    rules.add(REFUSE, |rule| {
        rule.refuse_with_port_unreachable();
    });
    for (chain, from_outside) in [("arriving", true), ("sent", false)] {
        rules.add(chain, |rule| {
            rule.destination_in(Ipv4Net::from(node.own_service)).verdict(Verdict::Accept);
        });
        if from_outside {
            rules.add(chain, |rule| {
                load_frontend(rule, FIRST, false);
                rule.is_in(RESTRICTED, FIRST).load_source(Register(3)).is_not_in(ALLOWED, FIRST).verdict(Verdict::Drop);
            });
        }
        for any_address in [false, true] {
            if from_outside {
                rules.add(chain, |rule| {
                    rule.source_not_in(node.cluster_cidr);
                    dispatch(rule, OUTSIDERS, any_address);
                });
            }
            rules.add(chain, |rule| dispatch(rule, EVERYONE, any_address));
        }
    }
    // Toward a pod the node's own address; no link of a pod has one to masquerade with.
    rules.add("leaving", |rule| {
        rule.has_mark(MASQUERADE_MARK)
            .leaves_by_prefix(POD_LINK_PREFIX)
            .clear_mark(MASQUERADE_MARK)
            .translate_source(node.address);
    });
    rules.add("leaving", |rule| {
        rule.has_mark(MASQUERADE_MARK).clear_mark(MASQUERADE_MARK).masquerade();
    });
    rules.add("leaving", |rule| {
        rule.load_source(FIRST).load_destination(SECOND).is_in(HAIRPIN, FIRST).translate_source(node.address);
    });
    rules.add("leaving", |rule| {
        rule.source_in(node.pod_cidr).destination_not_in(node.cluster_cidr).masquerade();
    });
    if let Some(network) = node.local_network {
        rules.add("leaving", |rule| {
            rule.source_in(network).destination_not_in(network).destination_not_in(node.cluster_cidr);
            rule.leaves_not_by_loopback().masquerade();
        });
    }
    rules.add("forwarded", |rule| {
        rule.verdict(Verdict::Jump(POLICY));
    });
    rules.add("forwarded", |rule| {
        rule.state_among(STATE_INVALID).verdict(Verdict::Drop);
    });
    rules.add("forwarded", |rule| {
        rule.destination_in(node.service_cidr).verdict(Verdict::Goto(REFUSE));
    });
    rules.add("unserved", |rule| {
        rule.destination_in(node.service_cidr).leaves_not_by_loopback().verdict(Verdict::Goto(REFUSE));
    });
    // Node ports on localhost need the kernel to route 127.0.0.0/8; strangers must not profit from that.
    rules.add("delivered", |rule| {
        rule.came_not_by_loopback().destination_in(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8));
        rule.state_not_among(STATE_ESTABLISHED | STATE_RELATED).status_not_among(STATUS_DESTINATION_TRANSLATED);
        rule.verdict(Verdict::Drop);
    });
    rules.add("delivered", |rule| {
        rule.verdict(Verdict::Jump(POLICY));
    });
}

fn dispatch(rule: &mut Expressions<'_, '_>, map: &str, any_address: bool) {
    if any_address {
        rule.destination_is_local();
    }
    load_frontend(rule, FIRST, any_address);
    rule.verdict_map(map, FIRST);
}

/// The name of the chain that spreads connections in one way; the chain is the same for every service that wants that way.
pub(super) fn spread_chain(spread: &Spread, any_address: bool) -> String {
    let scope = match spread.scope {
        Scope::Cluster => "",
        Scope::Local => "-local",
    };
    let masquerade = match spread.masquerade {
        Masquerade::Never => "",
        Masquerade::Always => "-masquerade",
        Masquerade::Outsiders => "-outsiders",
        Masquerade::Loopback => "-loopback",
    };
    let affinity = spread.affinity_seconds.map(|seconds| format!("-keep-{seconds}")).unwrap_or_default();
    let any = if any_address { "-port" } else { "" };
    format!("spread-{}{any}{scope}{masquerade}{affinity}", spread.count)
}

/// Writes that chain.
pub(super) fn write_spread_chain(batch: &mut Batch, table: &str, spread: &Spread, any_address: bool, cluster_cidr: Ipv4Net) {
    let name = spread_chain(spread, any_address);
    write_chain(batch, table, &name, None);
    let rules = &mut Rules { batch, table };
    match spread.masquerade {
        Masquerade::Never => {}
        Masquerade::Always => rules.add(&name, |rule| {
            rule.set_mark(MASQUERADE_MARK);
        }),
        Masquerade::Outsiders => rules.add(&name, |rule| {
            rule.source_not_in(cluster_cidr).set_mark(MASQUERADE_MARK);
        }),
        Masquerade::Loopback => rules.add(&name, |rule| {
            rule.source_in(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)).set_mark(MASQUERADE_MARK);
        }),
    }
    // Registers: client 0, frontend 1 to 3, then the number of the backend, or the backend itself.
    if let Some(seconds) = spread.affinity_seconds {
        rules.add(&name, |rule| {
            rule.load_source(FIRST);
            load_frontend(rule, SECOND, any_address);
            rule.map(AFFINITY, FIRST, Register(4)).is_in(MEMBERS, SECOND);
            rule.remember(AFFINITY, FIRST, Register(4), seconds).translate_destination(Register(4), Register(5));
        });
    }
    rules.add(&name, |rule| {
        rule.load_source(FIRST);
        load_frontend(rule, SECOND, any_address);
        let offset = if spread.scope == Scope::Local { LOCAL_OFFSET } else { 0 };
        rule.random_below(Register(4), u32::from(spread.count), offset).map(BACKENDS, SECOND, Register(5));
        if let Some(seconds) = spread.affinity_seconds {
            // The backend that it had is no member any more, and an update would not replace it.
            rule.forget(AFFINITY, FIRST, Register(5)).remember(AFFINITY, FIRST, Register(5), seconds);
        }
        rule.translate_destination(Register(5), Register(6));
    });
}

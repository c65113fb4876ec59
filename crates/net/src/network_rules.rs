//! The rule set in the kernel: one nftables table a network namespace, replaced as a whole or changed element by element, each time in one
//! transaction. Keeps what it told the kernel only as far as it must to take it back. Never decides what a service's traffic may do.

mod conntrack;
mod expression;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use decide::network_rules::{Backend, Changes, Frontend, Key, NodeFacts, Scope, Stale, Value, Verdict, Whom};

use crate::netlink::message::{ACK, Attributes, Batch, CREATE};
use crate::netlink::{Family, NetlinkError, Socket};

/// The name of the table.
pub const TABLE: &str = "coracle";

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;
/// `nfgenmsg` for IPv4.
const HEADER: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];
const BATCH_HEADER: [u8; 4] = [0, 0, 0, SUBSYSTEM as u8];
/// Elements that one message holds for certain: an attribute's length has 16 bits, and the longest element takes 112 bytes.
const ELEMENTS_A_MESSAGE: usize = 500;

const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_KEY_END: u16 = 10;
const DATA_VALUE: u16 = 1;

/// Why the rules could not be set.
#[derive(Debug, thiserror::Error)]
pub enum NetworkRulesError {
    /// No way to the kernel.
    #[error("cannot reach the kernel's packet filter")]
    Reach(#[source] NetlinkError),
    /// The table as a whole.
    #[error("cannot replace the rule set")]
    Replace(#[source] NetlinkError),
    /// Some elements of it. The table is as it was.
    #[error("cannot change the rule set")]
    Change(#[source] NetlinkError),
    /// The end of it.
    #[error("cannot remove the rule set")]
    Remove(#[source] NetlinkError),
    /// Translations of connections that no longer hold.
    #[error("cannot make the kernel forget old translations")]
    Forget(#[source] NetlinkError),
}

/// The table of the network namespace in which this was opened.
#[derive(Debug)]
pub struct RuleTable {
    name: String,
    node: NodeFacts,
    socket: Socket,
    /// The chains for spreading that the table has. They stay: a few dozen at most, each of use again.
    chains: BTreeSet<String>,
}

impl RuleTable {
    /// Readies a way to the kernel; touches nothing yet.
    ///
    /// # Errors
    /// When the kernel has no packet filter for us.
    pub fn open(node: NodeFacts) -> Result<Self, NetworkRulesError> {
        let socket = Socket::open(Family::Netfilter).map_err(NetworkRulesError::Reach)?;
        Ok(Self { name: TABLE.to_owned(), node, socket, chains: BTreeSet::new() })
    }

    /// Puts the whole rule set in force, in place of whatever the table held. No packet sees a state between.
    ///
    /// # Errors
    /// When the kernel refuses; then everything is as before.
    pub fn replace(&mut self, entries: impl IntoIterator<Item = (Key, Value)>) -> Result<(), NetworkRulesError> {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let mut batch = begin();
        // Deleting what may not be there fails, so it is made first.
        self.put_table(&mut batch, NEW_TABLE, CREATE | ACK);
        self.put_table(&mut batch, DELETE_TABLE, 0);
        self.put_table(&mut batch, NEW_TABLE, CREATE);
        table::write(&mut batch, &self.name, &self.node);
        let before = std::mem::take(&mut self.chains);
        self.put_chains(&mut batch, &entries);
        self.put_elements(&mut batch, NEW_ELEMENTS, &entries);
        self.commit(batch).map_err(NetworkRulesError::Replace).inspect_err(|_| self.chains = before)
    }

    /// Tells the kernel the differences, in one transaction. The table must have been put in force before.
    ///
    /// # Errors
    /// When the kernel refuses, as it does if someone else touched the table; then nothing changed, and `replace` is the way out.
    pub fn change(&mut self, changes: &Changes) -> Result<(), NetworkRulesError> {
        if changes.set.is_empty() && changes.unset.is_empty() {
            return Ok(());
        }
        let mut batch = begin();
        self.put_table(&mut batch, NEW_TABLE, ACK);
        let before = self.chains.clone();
        self.put_chains(&mut batch, &changes.set);
        self.put_elements(&mut batch, DELETE_ELEMENTS, &changes.unset);
        self.put_elements(&mut batch, NEW_ELEMENTS, &changes.set);
        self.commit(batch).map_err(NetworkRulesError::Change).inspect_err(|_| self.chains = before)
    }

    /// Makes the kernel forget translations of UDP that no longer hold, so that the next packet meets the new rules.
    ///
    /// # Errors
    /// When the kernel does not tell what it has.
    pub fn forget(&mut self, stale: &BTreeSet<Stale>) -> Result<usize, NetworkRulesError> {
        if stale.is_empty() {
            return Ok(0);
        }
        conntrack::forget(&mut self.socket, stale).map_err(NetworkRulesError::Forget)
    }

    /// Takes the table away, if it is there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self) -> Result<(), NetworkRulesError> {
        let mut batch = begin();
        self.put_table(&mut batch, NEW_TABLE, CREATE | ACK);
        self.put_table(&mut batch, DELETE_TABLE, 0);
        self.chains.clear();
        self.commit(batch).map_err(NetworkRulesError::Remove)
    }

    fn commit(&mut self, mut batch: Batch) -> Result<(), NetlinkError> {
        batch.message("end a transaction", BATCH_END, 0, &BATCH_HEADER, |_| ());
        self.socket.execute(batch, &[])
    }

    fn put_table(&self, batch: &mut Batch, message: u16, flags: u16) {
        batch.message("make the table", kind(message), flags, &HEADER, |table| table.put_text(1, &self.name));
    }

    /// The chains that these entries go to and that the table lacks.
    fn put_chains(&mut self, batch: &mut Batch, entries: &BTreeMap<Key, Value>) {
        for (key, value) in entries {
            if let (Key::Frontend(_, frontend), Value::Verdict(Verdict::Spread(spread))) = (key, value)
                && self.chains.insert(table::spread_chain(spread, frontend.address.is_none()))
            {
                table::write_spread_chain(batch, &self.name, spread, frontend.address.is_none(), self.node.cluster_cidr);
            }
        }
    }

    fn put_elements(&self, batch: &mut Batch, message: u16, entries: &BTreeMap<Key, Value>) {
        let mut sets: BTreeMap<&str, Vec<(&Key, &Value)>> = BTreeMap::new();
        for (key, value) in entries {
            sets.entry(set_of(key)).or_default().push((key, value));
        }
        let label = if message == NEW_ELEMENTS { "add elements" } else { "remove elements" };
        let flags = if message == NEW_ELEMENTS { CREATE } else { 0 };
        for (set, elements) in sets {
            for chunk in elements.chunks(ELEMENTS_A_MESSAGE) {
                batch.message(label, kind(message), flags, &HEADER, |list| {
                    list.put_text(1, &self.name);
                    list.put_text(2, set);
                    list.nest(3, |list| chunk.iter().for_each(|(key, value)| put_element(list, key, value)));
                });
            }
        }
    }
}

/// Takes the table of the calling thread's network namespace away, whoever made it; fine if there is none.
///
/// # Errors
/// When the kernel refuses.
pub fn remove_table() -> Result<(), NetworkRulesError> {
    let mut socket = Socket::open(Family::Netfilter).map_err(NetworkRulesError::Reach)?;
    let mut batch = begin();
    // Deleting what may not be there fails, so it is made first.
    for (message, flags) in [(NEW_TABLE, CREATE | ACK), (DELETE_TABLE, 0)] {
        batch.message("remove the table", kind(message), flags, &HEADER, |table| table.put_text(1, TABLE));
    }
    batch.message("end a transaction", BATCH_END, 0, &BATCH_HEADER, |_| ());
    socket.execute(batch, &[]).map_err(NetworkRulesError::Remove)
}

/// Whether the calling thread's network namespace has a table of ours.
///
/// # Errors
/// When the kernel does not tell.
pub fn is_present() -> Result<bool, NetworkRulesError> {
    const GET_TABLE: u16 = 1;
    let mut socket = Socket::open(Family::Netfilter).map_err(NetworkRulesError::Reach)?;
    let mut batch = Batch::new();
    batch.message("find the table", kind(GET_TABLE), ACK, &HEADER, |table| table.put_text(1, TABLE));
    match socket.execute(batch, &[]) {
        Ok(()) => Ok(true),
        Err(refusal) if refusal.errno() == Some(libc::ENOENT) => Ok(false),
        Err(failure) => Err(NetworkRulesError::Reach(failure)),
    }
}

fn kind(message: u16) -> u16 {
    SUBSYSTEM << 8 | message
}

fn begin() -> Batch {
    let mut batch = Batch::new();
    batch.message("begin a transaction", BATCH_BEGIN, 0, &BATCH_HEADER, |_| ());
    batch
}

fn set_of(key: &Key) -> &'static str {
    match key {
        Key::Frontend(Whom::Everyone, _) => table::EVERYONE,
        Key::Frontend(Whom::Outsiders, _) => table::OUTSIDERS,
        Key::Backend(..) => table::BACKENDS,
        Key::Member(..) => table::MEMBERS,
        Key::Hairpin(_) => table::HAIRPIN,
        Key::Restricted(_) => table::RESTRICTED,
        Key::Allowed(..) => table::ALLOWED,
    }
}

fn put_element(list: &mut Attributes<'_>, key: &Key, value: &Value) {
    let mut bytes = Vec::with_capacity(20);
    match key {
        Key::Frontend(_, frontend) | Key::Restricted(frontend) => push_frontend(&mut bytes, frontend),
        Key::Backend(frontend, scope, index) => {
            push_frontend(&mut bytes, frontend);
            let offset = if *scope == Scope::Local { table::LOCAL_OFFSET } else { 0 };
            bytes.extend((offset + u32::from(*index)).to_ne_bytes());
        }
        Key::Member(frontend, backend) => {
            push_frontend(&mut bytes, frontend);
            push_backend(&mut bytes, backend);
        }
        Key::Hairpin(pod) => bytes.extend([pod.octets(), pod.octets()].concat()),
        Key::Allowed(frontend, network) => {
            push_frontend(&mut bytes, frontend);
            bytes.extend(network.network().octets());
        }
    }
    list.nest(1, |element| {
        element.nest(ELEMENT_KEY, |nest| nest.put(DATA_VALUE, &bytes));
        if let Key::Allowed(_, network) = key {
            bytes.truncate(bytes.len() - 4);
            bytes.extend(network.broadcast().octets());
            element.nest(ELEMENT_KEY_END, |nest| nest.put(DATA_VALUE, &bytes));
        }
        match (key, value) {
            (Key::Frontend(_, frontend), Value::Verdict(verdict)) => element.nest(ELEMENT_DATA, |data| match verdict {
                Verdict::Spread(spread) => {
                    expression::Verdict::Goto(&table::spread_chain(spread, frontend.address.is_none())).write(data);
                }
                Verdict::Reject => expression::Verdict::Goto(table::REFUSE).write(data),
                Verdict::Drop => expression::Verdict::Drop.write(data),
            }),
            (_, Value::Backend(backend)) => {
                bytes.clear();
                push_backend(&mut bytes, backend);
                element.nest(ELEMENT_DATA, |nest| nest.put(DATA_VALUE, &bytes));
            }
            _ => {}
        }
    });
}

/// Every part of a key fills words, as the registers do.
fn push_frontend(bytes: &mut Vec<u8>, frontend: &Frontend) {
    bytes.extend(frontend.address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    bytes.extend([frontend.protocol as u8, 0, 0, 0]);
    bytes.extend(frontend.port.to_be_bytes());
    bytes.extend([0, 0]);
}

fn push_backend(bytes: &mut Vec<u8>, backend: &Backend) {
    bytes.extend(backend.address.octets());
    bytes.extend(backend.port.to_be_bytes());
    bytes.extend([0, 0]);
}

//! Questions and answers as data, apart from how they look on the wire.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is asked of a name, as far as any name of a cluster has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its IPv4 addresses.
    A,
    /// Its IPv6 addresses.
    Aaaa,
    /// What it is another name for.
    Cname,
    /// Whose address it is.
    Ptr,
    /// At which hosts and ports it is served.
    Srv,
    /// Its text.
    Txt,
    /// The start of authority.
    Soa,
    /// Its name servers.
    Ns,
    /// Anything else; nothing has it.
    Unknown,
}

/// What a record says. Names are in lower case, without a dot at their end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name for this one.
    Cname(String),
    /// The name of an address.
    Ptr(String),
    /// A host and port; the priority is 0.
    Srv {
        /// Its share among the others.
        weight: u16,
        /// The port.
        port: u16,
        /// The host.
        target: String,
    },
    /// A text.
    Text(String),
    /// A name server.
    Ns(String),
    /// The start of authority.
    Soa {
        /// The first name server.
        primary: String,
        /// Who is responsible, written as a name.
        mailbox: String,
        /// A number that nobody needs.
        serial: u32,
    },
}

impl Data {
    pub(super) fn address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

/// A record; how long it may be kept is the same for all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// The name.
    pub name: String,
    /// What it says.
    pub data: Data,
}

/// What is to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This.
    Found {
        /// What was asked for.
        answers: Vec<Record>,
        /// What will be asked next.
        additional: Vec<Record>,
    },
    /// It is another name for something that may lie anywhere.
    Alias {
        /// The record that says so.
        record: Record,
        /// For what.
        target: String,
    },
    /// The name is one, but has nothing of that kind.
    NoData,
    /// There is no such name.
    NoName,
    /// Someone else knows.
    NotOurs,
}

impl Answer {
    pub(super) fn found(answers: Vec<Record>, additional: Vec<Record>) -> Self {
        Self::Found { answers, additional }
    }
}

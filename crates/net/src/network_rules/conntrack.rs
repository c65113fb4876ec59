//! Connection tracking: finds translations that no longer hold and makes the kernel forget them. Knows nothing of rules.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use decide::network_rules::Stale;

use crate::netlink::message::{ACK, Batch, DUMP, attribute};
use crate::netlink::{NetlinkError, Socket};

const SUBSYSTEM: u16 = 1;
const GET: u16 = SUBSYSTEM << 8 | 1;
const DELETE: u16 = SUBSYSTEM << 8 | 2;
const HEADER: [u8; 4] = [libc::AF_INET as u8, 0, 0, 0];

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const ADDRESS_SOURCE: u16 = 1;
const ADDRESS_DESTINATION: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const PORT_SOURCE: u16 = 2;
const PORT_DESTINATION: u16 = 3;
const NESTED: u16 = 0x8000;

/// Deletes every tracked connection that went one of these ways; says how many.
pub(super) fn forget(socket: &mut Socket, stale: &BTreeSet<Stale>) -> Result<usize, NetlinkError> {
    let mut batch = Batch::new();
    batch.message("list the connections", GET, DUMP, &HEADER, |_| ());
    let mut found = Vec::new();
    socket.dump(batch, |_, payload| {
        let attributes = payload.get(HEADER.len()..).unwrap_or_default();
        let (Some(original), Some(reply)) = (attribute(attributes, TUPLE_ORIGINAL), attribute(attributes, TUPLE_REPLY)) else {
            return;
        };
        if let (Some(asked), Some(answered)) = (Tuple::read(original), Tuple::read(reply))
            && stale.iter().any(|stale| is_of(stale, &asked, &answered))
        {
            found.push(original.to_vec());
        }
    })?;
    let mut batch = Batch::new();
    for original in &found {
        // The kernel's own words name the connection best.
        batch.message("forget a connection", DELETE, ACK, &HEADER, |message| message.put(TUPLE_ORIGINAL | NESTED, original));
    }
    // It may have ended by itself.
    socket.execute(batch, &[libc::ENOENT])?;
    Ok(found.len())
}

struct Tuple {
    protocol: u8,
    source: (Ipv4Addr, u16),
    destination: (Ipv4Addr, u16),
}

impl Tuple {
    fn read(tuple: &[u8]) -> Option<Self> {
        let (addresses, protocol) = (attribute(tuple, TUPLE_ADDRESSES)?, attribute(tuple, TUPLE_PROTOCOL)?);
        let address = |kind| attribute(addresses, kind)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets));
        let port = |kind| attribute(protocol, kind)?.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes));
        Some(Self {
            protocol: *attribute(protocol, PROTOCOL_NUMBER)?.first()?,
            source: (address(ADDRESS_SOURCE)?, port(PORT_SOURCE)?),
            destination: (address(ADDRESS_DESTINATION)?, port(PORT_DESTINATION)?),
        })
    }
}

/// Whether the connection was asked of that frontend and answered by that backend; or by the frontend itself, if none was there.
fn is_of(stale: &Stale, asked: &Tuple, answered: &Tuple) -> bool {
    let frontend = stale.frontend;
    let asked_there = asked.protocol == frontend.protocol as u8
        && asked.destination.1 == frontend.port
        && frontend.address.is_none_or(|address| address == asked.destination.0);
    let answered_by = match stale.backend {
        Some(backend) => (backend.address, backend.port),
        None => asked.destination,
    };
    asked_there && answered.source == answered_by
}

//! Addresses, neighbours and routes as netlink messages. Every route that this program makes carries its own protocol number, so that it
//! finds and removes its own and no other.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::netlink::message::{ACK, Batch, CREATE, DUMP, REPLACE, attribute, number};
use crate::netlink::{NetlinkError, Socket};

const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NEIGHBOUR: u16 = 28;

const INET: u8 = libc::AF_INET as u8;
const ADDRESS_PEER: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const SCOPE_HOST: u8 = 254;
const SCOPE_NOWHERE: u8 = 255;

const ROUTE_DESTINATION: u16 = 1;
const ROUTE_OUT: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_SOURCE: u16 = 7;
const TABLE_MAIN: u8 = 254;
const TYPE_UNICAST: u8 = 1;
const FLAG_ONLINK: u32 = 4;
/// "Who made this route": a number that no known routing program uses.
const MADE_BY_US: u8 = 99;

const NEIGHBOUR_PERMANENT: u16 = 0x80;

/// An address on a link.
pub(crate) struct NewAddress {
    pub(crate) link: u32,
    pub(crate) address: Ipv4Net,
    pub(crate) host_scope: bool,
}

impl NewAddress {
    pub(crate) fn write(&self, batch: &mut Batch) {
        self.message(batch, "add an address", NEW_ADDRESS, ACK | CREATE | REPLACE);
    }

    pub(crate) fn write_removal(&self, batch: &mut Batch) {
        self.message(batch, "remove an address", DELETE_ADDRESS, ACK);
    }

    fn message(&self, batch: &mut Batch, label: &'static str, kind: u16, flags: u16) {
        let scope = if self.host_scope { SCOPE_HOST } else { SCOPE_UNIVERSE };
        let mut header = [INET, self.address.prefix_len(), 0, scope, 0, 0, 0, 0];
        header[4..].copy_from_slice(&self.link.to_ne_bytes());
        batch.message(label, kind, flags, &header, |message| {
            message.put(ADDRESS_LOCAL, &self.address.addr().octets());
            message.put(ADDRESS_PEER, &self.address.addr().octets());
        });
    }
}

/// A neighbour that never has to be asked for.
pub(crate) struct NewNeighbour {
    pub(crate) link: u32,
    pub(crate) address: Ipv4Addr,
    pub(crate) mac: [u8; 6],
}

impl NewNeighbour {
    pub(crate) fn write(&self, batch: &mut Batch) {
        let mut header = [0; 12];
        header[0] = INET;
        header[4..8].copy_from_slice(&self.link.to_ne_bytes());
        header[8..10].copy_from_slice(&NEIGHBOUR_PERMANENT.to_ne_bytes());
        batch.message("add a neighbour", NEW_NEIGHBOUR, ACK | CREATE | REPLACE, &header, |message| {
            message.put(1, &self.address.octets());
            message.put(2, &self.mac);
        });
    }
}

/// A route in the main table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewRoute {
    destination: Ipv4Net,
    link: Option<u32>,
    via: Option<Ipv4Addr>,
    source: Option<Ipv4Addr>,
}

impl NewRoute {
    /// A destination that is reached directly.
    pub(crate) fn on_link(destination: Ipv4Net, link: u32) -> Self {
        Self { destination, link: Some(link), via: None, source: None }
    }

    /// A destination behind a router.
    pub(crate) fn via(destination: Ipv4Net, via: Ipv4Addr) -> Self {
        Self { destination, link: None, via: Some(via), source: None }
    }

    /// A destination by itself, to name a route that is to go.
    pub(crate) fn unreached(destination: Ipv4Net) -> Self {
        Self { destination, link: None, via: None, source: None }
    }

    /// The source address of what is sent from here.
    pub(crate) fn from(self, source: Ipv4Addr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// The link behind which the router is, though no address there says so.
    pub(crate) fn through(self, link: u32) -> Self {
        Self { link: Some(link), ..self }
    }

    pub(crate) fn write(&self, batch: &mut Batch) {
        let scope = if self.via.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK };
        self.message(batch, "add a route", NEW_ROUTE, ACK | CREATE | REPLACE, scope);
    }

    pub(crate) fn write_removal(&self, batch: &mut Batch) {
        self.message(batch, "remove a route", DELETE_ROUTE, ACK, SCOPE_NOWHERE);
    }

    fn message(&self, batch: &mut Batch, label: &'static str, kind: u16, flags: u16, scope: u8) {
        let onlink = if self.link.is_some() && self.via.is_some() { FLAG_ONLINK } else { 0 };
        let mut header = [INET, self.destination.prefix_len(), 0, 0, TABLE_MAIN, MADE_BY_US, scope, TYPE_UNICAST, 0, 0, 0, 0];
        header[8..].copy_from_slice(&onlink.to_ne_bytes());
        batch.message(label, kind, flags, &header, |message| {
            message.put(ROUTE_DESTINATION, &self.destination.network().octets());
            if let Some(via) = self.via {
                message.put(ROUTE_GATEWAY, &via.octets());
            }
            if let Some(link) = self.link {
                message.put_u32(ROUTE_OUT, link);
            }
            if let Some(source) = self.source {
                message.put(ROUTE_SOURCE, &source.octets());
            }
        });
    }
}

/// The routes behind routers that this program made: destination and router.
pub(crate) fn peer_routes(socket: &mut Socket) -> Result<Vec<(Ipv4Net, Ipv4Addr)>, NetlinkError> {
    Ok(own_routes(socket)?.into_iter().filter_map(|(destination, via)| Some((destination, via?))).collect())
}

/// Every route that this program made: destination, and router if there is one between.
pub(crate) fn own_routes(socket: &mut Socket) -> Result<Vec<(Ipv4Net, Option<Ipv4Addr>)>, NetlinkError> {
    let mut batch = Batch::new();
    let header = [INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    batch.message("list the routes", GET_ROUTE, DUMP, &header, |_| ());
    let mut routes = Vec::new();
    socket.dump(batch, |_, payload| {
        let (Some(header), Some(attributes)) = (payload.get(..12), payload.get(12..)) else { return };
        let (length, table, maker) = (header[1], header[4], header[5]);
        if table != TABLE_MAIN || maker != MADE_BY_US {
            return;
        }
        let destination = octets(attribute(attributes, ROUTE_DESTINATION)).and_then(|address| Ipv4Net::new(address, length).ok());
        if let Some(destination) = destination {
            routes.push((destination, octets(attribute(attributes, ROUTE_GATEWAY))));
        }
    })?;
    Ok(routes)
}

/// The router to which the kernel sends what is for this address; none when it is on a link, or when there is no way there.
pub(crate) fn router_towards(socket: &mut Socket, address: Ipv4Addr) -> Result<Option<Ipv4Addr>, NetlinkError> {
    let mut batch = Batch::new();
    let header = [INET, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    batch.message("tell the way to an address", GET_ROUTE, ACK, &header, |message| {
        message.put(ROUTE_DESTINATION, &address.octets());
    });
    let mut router = None;
    let told = socket.dump(batch, |_, payload| {
        router = payload.get(12..).and_then(|attributes| octets(attribute(attributes, ROUTE_GATEWAY)));
    });
    match told {
        Err(error) if error.errno() == Some(libc::ENETUNREACH) => Ok(None),
        told => told.map(|()| router),
    }
}

/// Which link has this address.
pub(crate) fn link_with_address(socket: &mut Socket, address: Ipv4Addr) -> Result<Option<u32>, NetlinkError> {
    let mut batch = Batch::new();
    batch.message("list the addresses", GET_ADDRESS, DUMP, &[INET, 0, 0, 0, 0, 0, 0, 0], |_| ());
    let mut link = None;
    socket.dump(batch, |_, payload| {
        let attributes = payload.get(8..).unwrap_or_default();
        if octets(attribute(attributes, ADDRESS_LOCAL)) == Some(address) {
            link = link.or(number(payload.get(4..8)));
        }
    })?;
    Ok(link)
}

fn octets(value: Option<&[u8]>) -> Option<Ipv4Addr> {
    value?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

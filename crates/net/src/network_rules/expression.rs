//! The expressions of nftables rules, as far as this rule set needs them, and the numbers that the kernel knows them by. Each loads
//! registers, compares them, or does something with the packet; an expression that does not match ends its rule.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::netlink::message::Attributes;

/// A register of four bytes; values of several words lie in neighbouring ones.
#[derive(Debug, Clone, Copy)]
pub(super) struct Register(pub(super) u32);

impl Register {
    fn number(self) -> u32 {
        // NFT_REG32_00 is 8.
        8 + self.0
    }
}

const NAME: u16 = 1;
const DATA: u16 = 2;
const LIST_ELEMENT: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const VERDICT_REGISTER: u32 = 0;

const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;

const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;

const META_MARK: u32 = 3;
const META_IN_NAME: u32 = 6;
const META_OUT_NAME: u32 = 7;
const META_PROTOCOL: u32 = 16;
const CONNTRACK_STATE: u32 = 0;
const CONNTRACK_STATUS: u32 = 2;

const NAT_SOURCE: u32 = 0;
const NAT_DESTINATION: u32 = 1;
const NUMBER_RANDOM: u32 = 1;
/// Source ports that nobody can guess, as kube-proxy chooses them.
const RANDOM_PORT: u32 = 16;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_OF_DESTINATION: u32 = 2;
const ADDRESS_IS_LOCAL: u32 = 2;
const DYNAMIC_UPDATE: u32 = 1;
const DYNAMIC_DELETE: u32 = 2;

/// What a rule ends with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verdict<'a> {
    Accept,
    Drop,
    Goto(&'a str),
    Jump(&'a str),
}

impl Verdict<'_> {
    /// Writes it as the data of an element or of an immediate.
    pub(super) fn write(self, data: &mut Attributes<'_>) {
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
        };
        data.nest(DATA_VERDICT, |verdict| {
            verdict.put(VERDICT_CODE, &i32::to_be_bytes(code));
            if let Some(chain) = chain {
                verdict.put_text(VERDICT_CHAIN, chain);
            }
        });
    }
}

/// Writes the expressions of one rule, in order.
pub(super) struct Expressions<'a, 'b>(pub(super) &'a mut Attributes<'b>);

impl Expressions<'_, '_> {
    fn put(&mut self, name: &str, fill: impl FnOnce(&mut Attributes<'_>)) -> &mut Self {
        self.0.nest(LIST_ELEMENT, |element| {
            element.put_text(NAME, name);
            element.nest(DATA, fill);
        });
        self
    }

    fn payload(&mut self, to: Register, base: u32, offset: u32, length: u32) -> &mut Self {
        self.put("payload", |data| {
            data.put_be32(1, to.number());
            data.put_be32(2, base);
            data.put_be32(3, offset);
            data.put_be32(4, length);
        })
    }

    fn meta(&mut self, to: Register, key: u32) -> &mut Self {
        self.put("meta", |data| {
            data.put_be32(1, to.number());
            data.put_be32(2, key);
        })
    }

    fn compare(&mut self, register: Register, operation: u32, value: &[u8]) -> &mut Self {
        self.put("cmp", |data| {
            data.put_be32(1, register.number());
            data.put_be32(2, operation);
            data.nest(3, |nest| nest.put(DATA_VALUE, value));
        })
    }

    /// `register = register & mask ^ flip`.
    fn bits(&mut self, register: Register, mask: &[u8; 4], flip: &[u8; 4]) -> &mut Self {
        self.put("bitwise", |data| {
            data.put_be32(1, register.number());
            data.put_be32(2, register.number());
            data.put_be32(3, 4);
            data.nest(4, |nest| nest.put(DATA_VALUE, mask));
            data.nest(5, |nest| nest.put(DATA_VALUE, flip));
        })
    }

    pub(super) fn load(&mut self, to: Register, value: &[u8]) -> &mut Self {
        self.put("immediate", |data| {
            data.put_be32(1, to.number());
            data.nest(2, |nest| nest.put(DATA_VALUE, value));
        })
    }

    pub(super) fn load_source(&mut self, to: Register) -> &mut Self {
        self.payload(to, BASE_NETWORK, 12, 4)
    }

    pub(super) fn load_destination(&mut self, to: Register) -> &mut Self {
        self.payload(to, BASE_NETWORK, 16, 4)
    }

    pub(super) fn load_protocol(&mut self, to: Register) -> &mut Self {
        self.meta(to, META_PROTOCOL)
    }

    pub(super) fn load_destination_port(&mut self, to: Register) -> &mut Self {
        self.payload(to, BASE_TRANSPORT, 2, 2)
    }

    fn network(&mut self, network: Ipv4Net, operation: u32) -> &mut Self {
        self.bits(Register(0), &network.netmask().octets(), &[0; 4]);
        self.compare(Register(0), operation, &network.network().octets())
    }

    pub(super) fn source_in(&mut self, network: Ipv4Net) -> &mut Self {
        self.load_source(Register(0)).network(network, EQUAL)
    }

    pub(super) fn source_not_in(&mut self, network: Ipv4Net) -> &mut Self {
        self.load_source(Register(0)).network(network, NOT_EQUAL)
    }

    pub(super) fn destination_in(&mut self, network: Ipv4Net) -> &mut Self {
        self.load_destination(Register(0)).network(network, EQUAL)
    }

    pub(super) fn destination_not_in(&mut self, network: Ipv4Net) -> &mut Self {
        self.load_destination(Register(0)).network(network, NOT_EQUAL)
    }

    pub(super) fn destination_is_local(&mut self) -> &mut Self {
        self.put("fib", |data| {
            data.put_be32(1, Register(0).number());
            data.put_be32(2, FIB_ADDRESS_TYPE);
            data.put_be32(3, FIB_OF_DESTINATION);
        });
        self.compare(Register(0), EQUAL, &ADDRESS_IS_LOCAL.to_ne_bytes())
    }

    pub(super) fn protocol_is(&mut self, protocol: u8) -> &mut Self {
        self.load_protocol(Register(0)).compare(Register(0), EQUAL, &[protocol])
    }

    /// The packet leaves through a link whose name starts so.
    pub(super) fn leaves_by_prefix(&mut self, prefix: &str) -> &mut Self {
        self.meta(Register(0), META_OUT_NAME).compare(Register(0), EQUAL, prefix.as_bytes())
    }

    pub(super) fn leaves_not_by_loopback(&mut self) -> &mut Self {
        self.meta(Register(0), META_OUT_NAME).compare(Register(0), NOT_EQUAL, b"lo\0")
    }

    pub(super) fn came_not_by_loopback(&mut self) -> &mut Self {
        self.meta(Register(0), META_IN_NAME).compare(Register(0), NOT_EQUAL, b"lo\0")
    }

    fn conntrack_bits(&mut self, key: u32, bits: u32, operation: u32) -> &mut Self {
        self.put("ct", |data| {
            data.put_be32(1, Register(0).number());
            data.put_be32(2, key);
        });
        self.bits(Register(0), &bits.to_ne_bytes(), &[0; 4]).compare(Register(0), operation, &[0; 4])
    }

    pub(super) fn state_among(&mut self, bits: u32) -> &mut Self {
        self.conntrack_bits(CONNTRACK_STATE, bits, NOT_EQUAL)
    }

    pub(super) fn state_not_among(&mut self, bits: u32) -> &mut Self {
        self.conntrack_bits(CONNTRACK_STATE, bits, EQUAL)
    }

    pub(super) fn status_not_among(&mut self, bits: u32) -> &mut Self {
        self.conntrack_bits(CONNTRACK_STATUS, bits, EQUAL)
    }

    pub(super) fn has_mark(&mut self, bit: u32) -> &mut Self {
        self.meta(Register(0), META_MARK).bits(Register(0), &bit.to_ne_bytes(), &[0; 4]);
        self.compare(Register(0), NOT_EQUAL, &[0; 4])
    }

    /// Sets one bit of the mark and leaves the rest.
    pub(super) fn set_mark(&mut self, bit: u32) -> &mut Self {
        self.change_mark(!bit, bit)
    }

    pub(super) fn clear_mark(&mut self, bit: u32) -> &mut Self {
        self.change_mark(!bit, 0)
    }

    fn change_mark(&mut self, mask: u32, flip: u32) -> &mut Self {
        self.meta(Register(0), META_MARK).bits(Register(0), &mask.to_ne_bytes(), &flip.to_ne_bytes());
        self.put("meta", |data| {
            data.put_be32(2, META_MARK);
            data.put_be32(3, Register(0).number());
        })
    }

    /// A number below `count`, plus `offset`.
    pub(super) fn random_below(&mut self, to: Register, count: u32, offset: u32) -> &mut Self {
        self.put("numgen", |data| {
            data.put_be32(1, to.number());
            data.put_be32(2, count);
            data.put_be32(3, NUMBER_RANDOM);
            data.put_be32(4, offset);
        })
    }

    /// Goes on if the set has the registers from `key` on.
    pub(super) fn is_in(&mut self, set: &str, key: Register) -> &mut Self {
        self.put("lookup", |data| {
            data.put_text(1, set);
            data.put_be32(2, key.number());
        })
    }

    /// Goes on if the set lacks the registers from `key` on.
    pub(super) fn is_not_in(&mut self, set: &str, key: Register) -> &mut Self {
        self.put("lookup", |data| {
            data.put_text(1, set);
            data.put_be32(2, key.number());
            data.put_be32(5, 1);
        })
    }

    /// What the map has for the registers from `key` on.
    pub(super) fn map(&mut self, map: &str, key: Register, to: Register) -> &mut Self {
        self.put("lookup", |data| {
            data.put_text(1, map);
            data.put_be32(2, key.number());
            data.put_be32(3, to.number());
        })
    }

    /// The verdict that the map has for the registers from `key` on.
    pub(super) fn verdict_map(&mut self, map: &str, key: Register) -> &mut Self {
        self.put("lookup", |data| {
            data.put_text(1, map);
            data.put_be32(2, key.number());
            data.put_be32(3, VERDICT_REGISTER);
        })
    }

    /// Notes an element with a time to live, or renews it. One with other data stays as it is.
    pub(super) fn remember(&mut self, map: &str, key: Register, value: Register, seconds: u32) -> &mut Self {
        self.put("dynset", |data| {
            data.put_text(1, map);
            data.put_be32(3, DYNAMIC_UPDATE);
            data.put_be32(4, key.number());
            data.put_be32(5, value.number());
            data.put_be64(6, u64::from(seconds) * 1000);
        })
    }

    /// Drops an element, whatever its data; the kernel wants some to be named nevertheless.
    pub(super) fn forget(&mut self, map: &str, key: Register, value: Register) -> &mut Self {
        self.put("dynset", |data| {
            data.put_text(1, map);
            data.put_be32(3, DYNAMIC_DELETE);
            data.put_be32(4, key.number());
            data.put_be32(5, value.number());
        })
    }

    /// Sends the packet, and all that belong to it, to the address and port in two registers.
    pub(super) fn translate_destination(&mut self, address: Register, port: Register) -> &mut Self {
        self.put("nat", |data| {
            data.put_be32(1, NAT_DESTINATION);
            data.put_be32(2, libc::AF_INET as u32);
            data.put_be32(3, address.number());
            data.put_be32(5, port.number());
        })
    }

    pub(super) fn translate_source(&mut self, source: Ipv4Addr) -> &mut Self {
        self.load(Register(0), &source.octets());
        self.put("nat", |data| {
            data.put_be32(1, NAT_SOURCE);
            data.put_be32(2, libc::AF_INET as u32);
            data.put_be32(3, Register(0).number());
            data.put_be32(7, RANDOM_PORT);
        })
    }

    /// The source becomes the address of the link that the packet leaves by.
    pub(super) fn masquerade(&mut self) -> &mut Self {
        self.put("masq", |data| data.put_be32(1, RANDOM_PORT))
    }

    pub(super) fn refuse_with_reset(&mut self) -> &mut Self {
        self.put("reject", |data| data.put_be32(1, 1))
    }

    pub(super) fn refuse_with_port_unreachable(&mut self) -> &mut Self {
        self.put("reject", |data| {
            data.put_be32(1, 0);
            data.put(2, &[3]);
        })
    }

    pub(super) fn verdict(&mut self, verdict: Verdict<'_>) -> &mut Self {
        self.put("immediate", |data| {
            data.put_be32(1, VERDICT_REGISTER);
            data.nest(2, |nest| verdict.write(nest));
        })
    }
}

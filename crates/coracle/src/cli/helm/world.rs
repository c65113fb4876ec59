//! What templates may ask of this machine: the time, chance, and names where that is allowed.

use std::net::ToSocketAddrs as _;

use chart::functions::Facts;
use chart::value::Value;

/// This machine, without a cluster.
pub(super) struct Machine {
    /// Whether names are looked up.
    pub(super) dns: bool,
}

impl Facts for Machine {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::system()
    }

    fn random(&self, bytes: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }

    fn lookup(&self, _: &str, _: &str, _: &str, _: &str) -> Result<Value, String> {
        Ok(Value::Map(chart::value::Map::any()))
    }

    fn resolve_host(&self, name: &str) -> String {
        if !self.dns {
            return String::new();
        }
        let found = (name, 0).to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
        found.map_or_else(String::new, |address| address.ip().to_string())
    }
}

//! Addresses and ports of Services: handed out by the server so that no two Services have the same one.
//!
//! What is taken lies in the store as keys of its own, written in the transaction of the Service itself: the transaction of a second taker
//! fails. No index can be out of step with the Services.

use std::{net::Ipv4Addr, sync::Arc};

use api::{
    document::{Value, meta},
    status::{FieldError, Status},
};
use store::{Change, Expect, Op, Snapshot};

use crate::{
    request::Call,
    state::{Fields, Settings},
};

/// The place of the `kubernetes` Service in the range.
const KUBERNETES: u32 = 1;
/// The place of the cluster's DNS.
const DNS: u32 = 10;

/// Completes a Service before it is validated: address and node ports, as its type asks.
pub fn service(call: &Call, old: Option<&Value>, new: &mut Value) -> Result<(), Status> {
    if !call.kind.group.is_empty() || call.kind.plural != "services" || call.subresource().is_some() {
        return Ok(());
    }
    let snapshot = call.state.snapshot();
    let settings = &call.state.settings;
    if new.str_at(&["spec", "type"]) == Some("ExternalName") {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"] {
            new.remove_at(&["spec", field]);
        }
        // Ports of nodes that it had before its type changed go too.
        return ports(call, &snapshot, settings, old, new);
    }
    address(call, &snapshot, settings, old, new)?;
    ports(call, &snapshot, settings, old, new)
}

fn address(
    call: &Call,
    snapshot: &Snapshot<Fields>,
    settings: &Settings,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<(), Status> {
    let given = new.str_at(&["spec", "clusterIP"]).unwrap_or_default().to_owned();
    let before = old.and_then(|old| old.str_at(&["spec", "clusterIP"])).unwrap_or_default();
    let chosen = match given.as_str() {
        "None" => given,
        "" if !before.is_empty() => before.to_owned(),
        "" => free_address(snapshot, settings, meta::uid(new))
            .ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?,
        _ if given == before => given,
        _ => {
            let parsed: Option<Ipv4Addr> = given.parse().ok();
            if parsed.is_none_or(|address| !in_range(settings, address)) {
                return Err(refused(
                    call,
                    new,
                    "failed to allocate IP: the provided IP is not in the valid range",
                    "spec.clusterIPs",
                    &given,
                ));
            }
            if snapshot.get(&address_key(&given)).is_some() {
                return Err(refused(
                    call,
                    new,
                    "failed to allocate IP: provided IP is already allocated",
                    "spec.clusterIPs",
                    &given,
                ));
            }
            given
        }
    };
    new.set_at(&["spec", "clusterIP"], chosen.as_str());
    new.set_at(&["spec", "clusterIPs"], Value::Array(vec![chosen.as_str().into()]));
    new.default_at(&["spec", "ipFamilies"], Value::Array(vec!["IPv4".into()]));
    new.default_at(&["spec", "ipFamilyPolicy"], "SingleStack");
    Ok(())
}

fn refused(call: &Call, new: &Value, why: &str, field: &str, value: &str) -> Status {
    let error = FieldError::invalid(field, Value::Array(vec![value.into()]), why);
    Status::invalid(&call.kind.group, &call.kind.kind, meta::name(new), &[error])
}

fn in_range(settings: &Settings, address: Ipv4Addr) -> bool {
    let (first, length) = settings.service_cidr;
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    u32::from(address) & mask == u32::from(first) & mask
}

/// A free address; the search begins at a place that the uid chooses, so that an address is not reused at once.
fn free_address(snapshot: &Snapshot<Fields>, settings: &Settings, uid: &str) -> Option<String> {
    let (first, length) = settings.service_cidr;
    let size = 1_u32.checked_shl(32 - u32::from(length))?;
    // The lower part is kept for addresses that people choose (KEP-3070).
    let reserved = (size / 16).clamp(16, 256);
    let span = size.checked_sub(reserved + 1)?;
    let begin = seed(uid) % span.max(1);
    (0..span)
        .map(|step| reserved + (begin + step) % span)
        .filter(|place| *place != KUBERNETES && *place != DNS)
        .map(|place| Ipv4Addr::from(u32::from(first) + place).to_string())
        .find(|address| snapshot.get(&address_key(address)).is_none())
}

fn seed(uid: &str) -> u32 {
    uid.bytes().fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619))
}

fn ports(
    call: &Call,
    snapshot: &Snapshot<Fields>,
    settings: &Settings,
    old: Option<&Value>,
    new: &mut Value,
) -> Result<(), Status> {
    let published = match new.str_at(&["spec", "type"]) {
        Some("NodePort") => true,
        Some("LoadBalancer") => new.bool_at(&["spec", "allocateLoadBalancerNodePorts"]).unwrap_or(true),
        _ => false,
    };
    let (first, last) = settings.node_ports;
    let uid = seed(meta::uid(new));
    let before: Vec<Value> = old.map(|old| old.array_at(&["spec", "ports"]).to_vec()).unwrap_or_default();
    let mut list = new.array_at(&["spec", "ports"]).to_vec();
    let mut taken: Vec<(String, i64)> = Vec::new();
    for (at, port) in list.iter_mut().enumerate() {
        let protocol = port.str_at(&["protocol"]).unwrap_or("TCP").to_owned();
        let same = before.iter().find(|old| {
            old.str_at(&["name"]) == port.str_at(&["name"]) && old.str_at(&["protocol"]).unwrap_or("TCP") == protocol
        });
        let kept = same.and_then(|old| old.i64_at(&["nodePort"])).filter(|number| *number > 0);
        let given = port.i64_at(&["nodePort"]).filter(|number| *number > 0);
        if !published {
            if given.is_some() && given == kept {
                port.remove_at(&["nodePort"]);
            }
            continue;
        }
        let free = |number: &i64| {
            (Some(*number) == kept || snapshot.get(&port_key(&protocol, *number)).is_none())
                && !taken.contains(&(protocol.clone(), *number))
        };
        let span = i64::from(last - first) + 1;
        let number = match given {
            Some(number) if !(i64::from(first)..=i64::from(last)).contains(&number) => {
                let error = FieldError::invalid(
                    format!("spec.ports[{at}].nodePort"),
                    number,
                    format!("provided port is not in the valid range. The range of valid ports is {first}-{last}"),
                );
                return Err(Status::invalid(&call.kind.group, &call.kind.kind, meta::name(new), &[error]));
            }
            Some(number) if !free(&number) => {
                let error =
                    FieldError::invalid(format!("spec.ports[{at}].nodePort"), number, "provided port is already allocated");
                return Err(Status::invalid(&call.kind.group, &call.kind.kind, meta::name(new), &[error]));
            }
            Some(number) => Some(number),
            None => kept.or_else(|| (0..span).map(|step| i64::from(first) + (i64::from(uid) + step) % span).find(free)),
        };
        let number = number.ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?;
        port.set_at(&["nodePort"], number);
        taken.push((protocol, number));
    }
    if !list.is_empty() {
        new.set_at(&["spec", "ports"], Value::Array(list));
    }
    Ok(())
}

fn address_key(address: &str) -> String {
    format!("/allocated/addresses/{address}")
}

fn port_key(protocol: &str, number: i64) -> String {
    format!("/allocated/node-ports/{protocol}/{number}")
}

/// What a Service holds, as keys.
fn held(service: Option<&Value>) -> Vec<String> {
    let Some(service) = service else { return Vec::new() };
    let address = service.str_at(&["spec", "clusterIP"]).filter(|address| !matches!(*address, "" | "None")).map(address_key);
    let ports = service.array_at(&["spec", "ports"]).iter().filter_map(|port| {
        let number = port.i64_at(&["nodePort"]).filter(|number| *number > 0)?;
        Some(port_key(port.str_at(&["protocol"]).unwrap_or("TCP"), number))
    });
    address.into_iter().chain(ports).collect()
}

/// The changes that go with a Service's own: what it takes must be free, what it no longer has becomes free.
pub fn changes(owner: &Arc<str>, old: Option<&Value>, new: Option<&Value>) -> Vec<Change> {
    let (before, after) = (held(old), held(new));
    let take = after.iter().filter(|key| !before.contains(key)).map(|key| Change {
        key: key.as_str().into(),
        expect: Expect::Absent,
        op: Op::Put(owner.as_bytes().to_vec().into()),
        durable: true,
    });
    let free = before.iter().filter(|key| !after.contains(key)).map(|key| Change {
        key: key.as_str().into(),
        expect: Expect::Any,
        op: Op::Delete,
        durable: true,
    });
    take.chain(free).collect()
}

//! Ingresses, network policies, and the endpoints of services.

use super::{FieldError, FieldPath, RuleContext, Rules, change, names, pod};
use crate::document::{Map, Value};
use std::net::IpAddr;

/// The rules of Ingresses.
pub struct IngressRules;
/// The rules of NetworkPolicies.
pub struct PolicyRules;
/// The rules of EndpointSlices.
pub struct SliceRules;
/// The rules of Endpoints.
pub struct EndpointsRules;

fn items<'v>(object: &'v mut Value, path: &[&str]) -> impl Iterator<Item = &'v mut Value> {
    object.get_mut(path).and_then(Value::as_array_mut).into_iter().flatten()
}

fn given(object: &Value, path: &[&str]) -> bool {
    object.get(path).is_some_and(|value| !value.is_null())
}

impl Rules for IngressRules {
    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => new.set_at(&["status"], crate::value!({"loadBalancer": {}})),
            Some(old) if context.subresource.is_some() => pod::keep(new, old, &["spec"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if subresource.is_some() {
            return errors;
        }
        let rules = new.array_at(&["spec", "rules"]);
        let spec = FieldPath::new("spec");
        if rules.is_empty() && !given(new, &["spec", "defaultBackend"]) {
            let shown = new.get(&["spec", "rules"]).cloned().unwrap_or(Value::Array(Vec::new()));
            errors.push(FieldError::invalid(&spec, shown, "either `defaultBackend` or `rules` must be specified"));
        }
        if let Some(backend) = new.get(&["spec", "defaultBackend"]) {
            check_backend(backend, &spec.child("defaultBackend"), &mut errors);
        }
        for (index, rule) in rules.iter().enumerate() {
            let path = spec.child("rules").index(index);
            if let Some(host) = rule.str_at(&["host"]).filter(|host| !host.is_empty()) {
                let plain = host.strip_prefix("*.").unwrap_or(host);
                if host.parse::<IpAddr>().is_ok() {
                    errors.push(FieldError::invalid(path.child("host"), host, "must be a DNS name, not an IP address"));
                }
                errors.extend(
                    names::dns_subdomain(plain).into_iter().map(|problem| FieldError::invalid(path.child("host"), host, problem)),
                );
            }
            let http = path.child("http").child("paths");
            for (index, each) in rule.array_at(&["http", "paths"]).iter().enumerate() {
                check_path(each, &http.index(index), &mut errors);
            }
            if given(rule, &["http"]) && rule.array_at(&["http", "paths"]).is_empty() {
                errors.push(FieldError::required(http, ""));
            }
        }
        errors
    }
}

fn check_path(written: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let text = written.str_at(&["path"]).unwrap_or_default();
    match written.str_at(&["pathType"]) {
        None | Some("") => errors.push(FieldError::required(path.child("pathType"), "pathType must be specified")),
        Some("Exact" | "Prefix") => {
            if !text.starts_with('/') {
                errors.push(FieldError::invalid(path.child("path"), text, "must be an absolute path"));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].iter().filter(|part| text.contains(**part)) {
                errors.push(FieldError::invalid(path.child("path"), text, format!("must not contain '{part}'")));
            }
        }
        Some("ImplementationSpecific") => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.push(FieldError::invalid(path.child("path"), text, "must be an absolute path"));
            }
        }
        Some(other) => {
            let supported = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(FieldError::not_supported(path.child("pathType"), other, &supported));
        }
    }
    check_backend(written.get(&["backend"]).unwrap_or(&Value::Null), &path.child("backend"), errors);
}

fn check_backend(backend: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    match (given(backend, &["resource"]), given(backend, &["service"])) {
        (true, true) => {
            let text = "cannot set both resource and service backends";
            errors.push(FieldError::invalid(path, "", text));
        }
        (false, false) => errors.push(FieldError::required(path, "backend service name or resource is required")),
        (true, false) => {}
        (false, true) => {
            let service = path.child("service");
            if backend.str_at(&["service", "name"]).unwrap_or_default().is_empty() {
                errors.push(FieldError::required(service.child("name"), ""));
            }
            let named = !backend.str_at(&["service", "port", "name"]).unwrap_or_default().is_empty();
            let number = backend.i64_at(&["service", "port", "number"]).unwrap_or(0);
            if named && number != 0 {
                errors.push(FieldError::invalid(&service, "", "cannot set both port name & port number"));
            } else if !named && number == 0 {
                errors.push(FieldError::required(&service, "port name or number is required"));
            } else if !named && let Some(problem) = names::port_number(number) {
                errors.push(FieldError::invalid(service.child("port").child("number"), number, problem));
            }
        }
    }
}

impl Rules for PolicyRules {
    fn default(&self, policy: &mut Value) {
        if policy.array_at(&["spec", "policyTypes"]).is_empty() {
            let mut types = vec!["Ingress"];
            if !policy.array_at(&["spec", "egress"]).is_empty() {
                types.push("Egress");
            }
            policy.set_at(&["spec", "policyTypes"], types);
        }
        policy.default_at(&["spec", "podSelector"], Value::object());
        for direction in ["ingress", "egress"] {
            for rule in items(policy, &["spec", direction]) {
                items(rule, &["ports"]).for_each(|port| port.default_at(&["protocol"], "TCP"));
            }
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            for (index, rule) in new.array_at(&["spec", direction]).iter().enumerate() {
                let path = FieldPath::new("spec").child(direction).index(index);
                for (index, port) in rule.array_at(&["ports"]).iter().enumerate() {
                    let path = path.child("ports").index(index);
                    if let Some(protocol) =
                        port.str_at(&["protocol"]).filter(|protocol| !matches!(*protocol, "TCP" | "UDP" | "SCTP"))
                    {
                        errors.push(FieldError::not_supported(path.child("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
                    }
                    if let Some(number) = port.i64_at(&["port"]).filter(|number| names::port_number(*number).is_some()) {
                        errors.push(FieldError::invalid(path.child("port"), number, "must be between 1 and 65535, inclusive"));
                    }
                }
                for (index, peer) in rule.array_at(&[peers]).iter().enumerate() {
                    check_peer(peer, &path.child(peers).index(index), &mut errors);
                }
            }
        }
        errors
    }
}

fn check_peer(peer: &Value, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let selects = given(peer, &["podSelector"]) || given(peer, &["namespaceSelector"]);
    match peer.str_at(&["ipBlock", "cidr"]) {
        Some(_) if selects => errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer")),
        Some(block) if block.parse::<ipnet::IpNet>().is_err() => {
            let text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.push(FieldError::invalid(path.child("ipBlock").child("cidr"), block, text));
        }
        Some(_) => {}
        None if !selects => errors.push(FieldError::required(path, "must specify a peer")),
        None => {}
    }
}

impl Rules for SliceRules {
    fn default(&self, slice: &mut Value) {
        for port in items(slice, &["ports"]) {
            port.default_at(&["name"], "");
            port.default_at(&["protocol"], "TCP");
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let kind = new.str_at(&["addressType"]).unwrap_or_default();
        if kind.is_empty() {
            errors.push(FieldError::required("addressType", ""));
        } else {
            change::one_of(new, &["addressType"], &["FQDN", "IPv4", "IPv6"], &mut errors);
        }
        let endpoints = new.array_at(&["endpoints"]);
        if endpoints.len() > 1000 {
            errors.push(FieldError::too_many("endpoints", endpoints.len(), 1000));
        }
        for (index, endpoint) in endpoints.iter().enumerate() {
            let path = FieldPath::new("endpoints").index(index).child("addresses");
            let addresses = endpoint.array_at(&["addresses"]);
            if addresses.is_empty() {
                errors.push(FieldError::required(&path, "must contain at least 1 address"));
            }
            for (index, address) in addresses.iter().enumerate() {
                check_address(address.as_str().unwrap_or_default(), kind, &path.index(index), &mut errors);
            }
        }
        check_ports(new.array_at(&["ports"]), &FieldPath::new("ports"), &mut errors);
        if let Some(old) = old {
            change::fixed(new, old, &["addressType"], &mut errors);
        }
        errors
    }
}

fn check_address(text: &str, kind: &str, path: &FieldPath, errors: &mut Vec<FieldError>) {
    let parsed = text.parse::<IpAddr>().ok();
    match (kind, parsed) {
        ("IPv4", Some(IpAddr::V4(_))) | ("IPv6", Some(IpAddr::V6(_))) => {}
        ("IPv4" | "IPv6", _) => {
            let text_of = if kind == "IPv4" { "must be an IPv4 address" } else { "must be an IPv6 address" };
            errors.push(FieldError::invalid(path, text, text_of));
        }
        _ => {}
    }
    if parsed.is_some_and(|address| address.is_loopback()) {
        errors.push(FieldError::invalid(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
}

fn check_ports(ports: &[Value], path: &FieldPath, errors: &mut Vec<FieldError>) {
    for (index, port) in ports.iter().enumerate() {
        let name = port.str_at(&["name"]).unwrap_or_default();
        if ports[..index].iter().any(|other| other.str_at(&["name"]).unwrap_or_default() == name) {
            errors.push(FieldError::duplicate(path.index(index).child("name"), name));
        }
        if let Some(protocol) = port.str_at(&["protocol"]).filter(|protocol| !matches!(*protocol, "TCP" | "UDP" | "SCTP")) {
            errors.push(FieldError::not_supported(path.index(index).child("protocol"), protocol, &["SCTP", "TCP", "UDP"]));
        }
    }
}

impl Rules for EndpointsRules {
    fn default(&self, endpoints: &mut Value) {
        for subset in items(endpoints, &["subsets"]) {
            items(subset, &["ports"]).for_each(|port| port.default_at(&["protocol"], "TCP"));
        }
    }

    fn validate(&self, new: &Value, _old: Option<&Value>, _subresource: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (index, subset) in new.array_at(&["subsets"]).iter().enumerate() {
            let path = FieldPath::new("subsets").index(index);
            for list in ["addresses", "notReadyAddresses"] {
                for (index, address) in subset.array_at(&[list]).iter().enumerate() {
                    let text = address.str_at(&["ip"]).unwrap_or_default();
                    if text.parse::<IpAddr>().is_err() {
                        let path = path.child(list).index(index).child("ip");
                        errors.push(FieldError::invalid(
                            path,
                            text,
                            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                        ));
                    }
                }
            }
            let empty = subset.object_at(&[]).is_none_or(Map::is_empty);
            if empty {
                errors.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
            }
        }
        errors
    }
}

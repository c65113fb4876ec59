//! Where a connect request goes: pure, from the stored objects.

use crate::security::Objects;
use api::document::{Value, meta};
use api::status::{Reason, Status};
use std::net::IpAddr;

/// The port of a node's endpoint when its Node does not say.
const NODE_PORT: i64 = 10_250;

/// What a connect request is about.
#[derive(Clone, Debug, Default)]
pub struct ConnectTarget<'a> {
    /// `pods`, `services` or `nodes`.
    pub resource: &'a str,
    /// `log`, `exec`, `attach`, `portforward` or `proxy`.
    pub subresource: &'a str,
    /// Namespace; empty for nodes.
    pub namespace: &'a str,
    /// Name; for proxies `[scheme:]name[:port]`.
    pub name: &'a str,
    /// What stands behind `proxy` in the path, with its slash.
    pub path: &'a str,
    /// The query, still encoded.
    pub query: &'a str,
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A node's endpoint.
    Node {
        /// The node: its certificate must bear this name, whatever its address.
        name: String,
        /// Its address.
        host: String,
        /// Its port.
        port: u16,
    },
    /// A pod or an endpoint of a service.
    Address {
        /// Its address.
        host: String,
        /// Its port.
        port: u16,
        /// Whether it was asked for over `https:`.
        tls: bool,
    },
}

impl Backend {
    /// `host:port`, brackets around IPv6.
    pub fn address(&self) -> String {
        let (Backend::Node { host, port, .. } | Backend::Address { host, port, .. }) = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

/// Who answers, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Who answers.
    pub backend: Backend,
    /// The path and query that it gets.
    pub path_and_query: String,
}

/// Finds it. None: the pod has no node yet, and its log is empty.
pub fn locate(target: &ConnectTarget<'_>, objects: &dyn Objects) -> Result<Option<Location>, Status> {
    match (target.resource, target.subresource) {
        ("pods", "log") => log(target, objects),
        ("pods", "exec") => stream(target, objects, "exec").map(Some),
        ("pods", "attach") => stream(target, objects, "attach").map(Some),
        ("pods", "portforward") => stream(target, objects, "portForward").map(Some),
        ("pods", "proxy") => pod_proxy(target, objects).map(Some),
        ("services", "proxy") => service_proxy(target, objects).map(Some),
        ("nodes", "proxy") => node_proxy(target, objects).map(Some),
        _ => Err(Status::method_not_allowed("", target.resource, "connect")),
    }
}

fn pod(target: &ConnectTarget<'_>, objects: &dyn Objects, name: &str) -> Result<Value, Status> {
    objects.object("", "pods", target.namespace, name).ok_or_else(|| Status::not_found("", "pods", name))
}

/// The container that is meant, in upstream's words when it is unclear.
fn container(pod: &Value, asked: &str) -> Result<String, Status> {
    let own = meta::name(pod);
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let names: Vec<&str> = lists.iter().flat_map(|l| pod.array_at(&["spec", l])).filter_map(|c| c.str_at(&["name"])).collect();
    if !asked.is_empty() {
        return match names.contains(&asked) {
            true => Ok(asked.to_owned()),
            false => Err(Status::bad_request(format!("container {asked} is not valid for pod {own}"))),
        };
    }
    match pod.array_at(&["spec", "containers"]) {
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {own}"))),
        [one] => Ok(one.str_at(&["name"]).unwrap_or_default().to_owned()),
        _ => Err(Status::bad_request(format!(
            "a container name must be specified for pod {own}, choose one of: [{}]",
            names.join(" ")
        ))),
    }
}

fn node_backend(objects: &dyn Objects, node: &str) -> Result<Backend, Status> {
    let found = objects.object("", "nodes", "", node).ok_or_else(|| Status::not_found("", "nodes", node))?;
    let addresses = found.array_at(&["status", "addresses"]);
    let of_type = |kind: &str| {
        let mut of_type = addresses.iter().filter(|a| a.str_at(&["type"]) == Some(kind));
        of_type.find_map(|a| a.str_at(&["address"])).map(str::to_owned)
    };
    let host = ["InternalIP", "ExternalIP", "Hostname", "InternalDNS"].iter().find_map(|kind| of_type(kind));
    let host =
        host.ok_or_else(|| Status::internal(format!("no preferred addresses found; known addresses: {}", addresses.len())))?;
    let port = found.i64_at(&["status", "daemonEndpoints", "kubeletEndpoint", "Port"]).unwrap_or(NODE_PORT);
    Ok(Backend::Node { name: node.to_owned(), host, port: u16::try_from(port).unwrap_or(10_250) })
}

/// Query parameters, decoded, in order.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let plus = text.replace('+', " ");
        percent_decoded(&plus)
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = (byte == b'%').then(|| after.get(..2)).flatten().and_then(|h| std::str::from_utf8(h).ok());
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn truthy(value: &str) -> bool {
    matches!(value, "1" | "true" | "True" | "TRUE" | "t" | "T")
}

fn first<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
}

fn with_query(path: String, pairs: &[(&str, String)]) -> String {
    let query: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={}", encoded(v))).collect();
    if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
}

fn log(target: &ConnectTarget<'_>, objects: &dyn Objects) -> Result<Option<Location>, Status> {
    let pod = pod(target, objects, target.name)?;
    let asked = parameters(target.query);
    let container = container(&pod, first(&asked, "container").unwrap_or_default())?;
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    if node.is_empty() {
        return Ok(None);
    }
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for flag in ["follow", "previous", "timestamps"] {
        if first(&asked, flag).is_some_and(truthy) {
            pairs.push((flag, "true".into()));
        }
    }
    for number in ["sinceSeconds", "tailLines", "limitBytes"] {
        let Some(value) = first(&asked, number) else { continue };
        let least = if number == "tailLines" { 0 } else { 1 };
        match value.parse::<i64>() {
            Ok(amount) if amount >= least => pairs.push((number, amount.to_string())),
            _ => return Err(invalid_number(target.name, number, value, least)),
        }
    }
    for text in ["sinceTime", "stream"] {
        pairs.extend(first(&asked, text).map(|value| (text, value.to_owned())));
    }
    let path = format!("/containerLogs/{}/{}/{container}", target.namespace, target.name);
    Ok(Some(Location { backend: node_backend(objects, node)?, path_and_query: with_query(path, &pairs) }))
}

fn invalid_number(pod: &str, field: &str, value: &str, least: i64) -> Status {
    let detail = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
    let error = match value.parse::<i64>() {
        Ok(number) => api::status::FieldError::invalid(field, number, detail),
        Err(_) => api::status::FieldError::invalid(field, value, "must be a number"),
    };
    Status::invalid("", "PodLogOptions", pod, &[error])
}

fn stream(target: &ConnectTarget<'_>, objects: &dyn Objects, what: &str) -> Result<Location, Status> {
    let pod = pod(target, objects, target.name)?;
    let asked = parameters(target.query);
    let node = pod.str_at(&["spec", "nodeName"]).unwrap_or_default();
    let (namespace, name) = (target.namespace, target.name);
    let mut pairs: Vec<(&str, String)> = Vec::new();
    let path = if what == "portForward" {
        let ports: Vec<&str> = asked.iter().filter(|(k, _)| k == "ports" || k == "port").map(|(_, v)| v.as_str()).collect();
        if !ports.is_empty() {
            pairs.push(("port", ports.join(",")));
        }
        format!("/portForward/{namespace}/{name}")
    } else {
        let container = container(&pod, first(&asked, "container").unwrap_or_default())?;
        for (from, to) in [("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty")] {
            if first(&asked, from).is_some_and(truthy) {
                pairs.push((to, "1".into()));
            }
        }
        pairs.extend(asked.iter().filter(|(k, _)| k == "command").map(|(_, v)| ("command", v.clone())));
        format!("/{what}/{namespace}/{name}/{container}")
    };
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    Ok(Location { backend: node_backend(objects, node)?, path_and_query: with_query(path, &pairs) })
}

/// `[scheme:]name[:port]`.
fn split_name(text: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [name] if !name.is_empty() => Some(("", name, "")),
        [name, port] if !name.is_empty() && name != "http" && name != "https" => Some(("", name, port)),
        [scheme @ ("http" | "https"), name] if !name.is_empty() => Some((scheme, name, "")),
        [scheme @ ("http" | "https"), name, port] if !name.is_empty() => Some((scheme, name, port)),
        _ => None,
    }
}

fn passed_path(target: &ConnectTarget<'_>) -> String {
    let path = if target.path.is_empty() { "/" } else { target.path };
    if target.query.is_empty() { path.to_owned() } else { format!("{path}?{}", target.query) }
}

fn reachable(address: &str) -> Result<IpAddr, Status> {
    let address: Option<IpAddr> = address.parse().ok();
    // A pod's status is written by its node: it must not lead the server to itself or to a metadata service.
    let fits = |a: &IpAddr| match a {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified()),
        IpAddr::V6(v6) => !(v6.is_loopback() || v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified()),
    };
    address.filter(fits).ok_or_else(|| Status::bad_request("address not allowed"))
}

fn pod_proxy(target: &ConnectTarget<'_>, objects: &dyn Objects) -> Result<Location, Status> {
    let split = split_name(target.name);
    let (scheme, name, port) = split.ok_or_else(|| Status::bad_request(format!("invalid pod request {:?}", target.name)))?;
    let pod = pod(target, objects, name)?;
    let tls = scheme == "https";
    let port = match port {
        "" => {
            let mut containers = pod.array_at(&["spec", "containers"]).iter();
            let declared = containers.find_map(|c| c.array_at(&["ports"]).first()?.i64_at(&["containerPort"]));
            declared.unwrap_or(if tls { 443 } else { 80 })
        }
        text => text.parse().map_err(|_| Status::bad_request(format!("invalid pod request {:?}", target.name)))?,
    };
    let address = pod.str_at(&["status", "podIP"]).unwrap_or_default();
    let host = reachable(address)?.to_string();
    let backend = Backend::Address { host, port: u16::try_from(port).unwrap_or(80), tls };
    Ok(Location { backend, path_and_query: passed_path(target) })
}

fn service_proxy(target: &ConnectTarget<'_>, objects: &dyn Objects) -> Result<Location, Status> {
    let split = split_name(target.name);
    let (scheme, name, port) = split.ok_or_else(|| Status::bad_request(format!("invalid service request {:?}", target.name)))?;
    let service = objects.object("", "services", target.namespace, name);
    let service = service.ok_or_else(|| Status::not_found("", "services", name))?;
    let unavailable = |text: String| Status::new(Reason::ServiceUnavailable, text);
    let ports = service.array_at(&["spec", "ports"]);
    let chosen = ports.iter().find(|p| match port {
        "" => ports.len() == 1 || p.str_at(&["name"]).unwrap_or_default().is_empty(),
        text => p.str_at(&["name"]) == Some(text) || p.i64_at(&["port"]).is_some_and(|n| n.to_string() == text),
    });
    let chosen = chosen.ok_or_else(|| unavailable(format!("no service port {port:?} found for service {name:?}")))?;
    let port_name = chosen.str_at(&["name"]).unwrap_or_default();
    let slices = objects.objects("discovery.k8s.io", "endpointslices", target.namespace);
    let own = slices.iter().filter(|s| meta::label(s, "kubernetes.io/service-name") == Some(name));
    for slice in own {
        let mut slice_ports = slice.array_at(&["ports"]).iter();
        let port = slice_ports.find(|p| p.str_at(&["name"]).unwrap_or_default() == port_name);
        let Some(port) = port.and_then(|p| p.i64_at(&["port"])).and_then(|p| u16::try_from(p).ok()) else { continue };
        let mut endpoints = slice.array_at(&["endpoints"]).iter();
        let ready = endpoints.find(|e| e.bool_at(&["conditions", "ready"]) != Some(false));
        let address = ready.and_then(|e| e.array_at(&["addresses"]).first()).and_then(Value::as_str);
        if let Some(address) = address {
            let backend = Backend::Address { host: reachable(address)?.to_string(), port, tls: scheme == "https" };
            return Ok(Location { backend, path_and_query: passed_path(target) });
        }
    }
    Err(unavailable(format!("no endpoints available for service {name:?}")))
}

fn node_proxy(target: &ConnectTarget<'_>, objects: &dyn Objects) -> Result<Location, Status> {
    let split = split_name(target.name);
    let (scheme, name, port) = split.ok_or_else(|| Status::bad_request(format!("invalid node request {:?}", target.name)))?;
    let node = node_backend(objects, name)?;
    let Backend::Node { host, port: own, .. } = &node else { return Err(Status::bad_request("invalid node request")) };
    let backend = match port.parse::<u16>() {
        Err(_) if port.is_empty() => node,
        Ok(port) if port == *own => node,
        Ok(port) => Backend::Address { host: reachable(host)?.to_string(), port, tls: scheme == "https" },
        Err(_) => return Err(Status::bad_request(format!("invalid node request {:?}", target.name))),
    };
    Ok(Location { backend, path_and_query: passed_path(target) })
}

//! What the columns of `kubectl get` show (upstream's `pkg/printers/internalversion`).

mod pod;

pub(super) use pod::{pod_ready, pod_restarts, pod_status, readiness_gates};

use crate::{
    document::{Map, Value, meta},
    selector::LabelSelector,
};
use jiff::Timestamp;

/// A duration as `duration.HumanDuration` prints it.
pub(crate) fn human(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let with = |big: i64, unit: &str, small: i64, lesser: &str| {
        if small == 0 { format!("{big}{unit}") } else { format!("{big}{unit}{small}{lesser}") }
    };
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => with(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => with(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => with(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The time since a field, or `<unknown>`.
pub(super) fn since(object: &Value, path: &[&str], now: Timestamp) -> Value {
    let at = object.str_at(path).and_then(meta::parse_time);
    at.map_or("<unknown>".into(), |at| human(now.as_second() - at.as_second()).into())
}

pub(super) fn name(object: &Value, _: Timestamp) -> Value {
    meta::name(object).into()
}

pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(object, &["metadata", "creationTimestamp"], now)
}

pub(super) fn created(object: &Value, _: Timestamp) -> Value {
    text(object, &["metadata", "creationTimestamp"])
}

pub(super) fn kind_of(object: &Value, _: Timestamp) -> Value {
    text(object, &["type"])
}

/// A scalar as text; empty when it is missing.
pub(super) fn text(object: &Value, path: &[&str]) -> Value {
    or(object, path, "")
}

/// A scalar as text, or this.
pub(super) fn or(object: &Value, path: &[&str], missing: &str) -> Value {
    match object.get(path) {
        Some(Value::String(text)) if !text.is_empty() => text.as_str().into(),
        Some(Value::Int(number)) => number.to_string().into(),
        Some(Value::Bool(flag)) => flag.to_string().into(),
        _ => missing.into(),
    }
}

pub(super) fn title(value: &Value) -> Value {
    if value.as_str() == Some("true") { "True".into() } else { "False".into() }
}

pub(super) fn number(object: &Value, path: &[&str]) -> Value {
    object.i64_at(path).unwrap_or(0).into()
}

pub(super) fn count(object: &Value, path: &[&str]) -> Value {
    i64::try_from(object.array_at(path).len()).unwrap_or(i64::MAX).into()
}

pub(super) fn data_count(object: &Value, _: Timestamp) -> Value {
    let length = |field: &str| object.object_at(&[field]).map_or(0, Map::len);
    i64::try_from(length("data") + length("binaryData")).unwrap_or(i64::MAX).into()
}

fn joined(texts: impl IntoIterator<Item = String>) -> String {
    texts.into_iter().collect::<Vec<_>>().join(",")
}

/// At most three of a list, and how many more there are.
fn first_three(texts: &[String], missing: &str) -> Value {
    match texts.len() {
        0 => missing.into(),
        1..=3 => texts.join(",").into(),
        more => format!("{} + {} more...", texts[..3].join(","), more - 3).into(),
    }
}

pub(super) fn selector(object: &Value, path: &[&str]) -> Value {
    let pairs = object
        .object_at(path)
        .map(|map| joined(map.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))));
    pairs.filter(|text| !text.is_empty()).map_or("<none>".into(), Value::from)
}

pub(super) fn selector_object(object: &Value, path: &[&str]) -> Value {
    let selector = object.get(path).and_then(|selector| LabelSelector::from_object(selector).ok());
    selector.map(|selector| selector.to_string()).filter(|text| !text.is_empty()).map_or("<none>".into(), Value::from)
}

pub(super) fn label_selector(object: &Value, _: Timestamp) -> Value {
    if object.get(&["spec", "selector", "matchLabels"]).is_none()
        && object.get(&["spec", "selector", "matchExpressions"]).is_none()
    {
        return selector(object, &["spec", "selector"]);
    }
    selector_object(object, &["spec", "selector"])
}

pub(super) fn container_list(object: &Value, spec: &[&str], field: &str) -> Value {
    let containers = object.get(spec).map(|spec| spec.array_at(&["containers"])).unwrap_or_default();
    joined(containers.iter().filter_map(|container| container.str_at(&[field]).map(str::to_owned))).into()
}

pub(super) fn containers(object: &Value, _: Timestamp) -> Value {
    container_list(object, &["spec", "template", "spec"], "name")
}

pub(super) fn images(object: &Value, _: Timestamp) -> Value {
    container_list(object, &["spec", "template", "spec"], "image")
}

pub(super) fn ready_of_replicas(object: &Value, _: Timestamp) -> Value {
    let ready = object.i64_at(&["status", "readyReplicas"]).unwrap_or(0);
    format!("{ready}/{}", object.i64_at(&["spec", "replicas"]).unwrap_or(0)).into()
}

pub(super) fn controller(object: &Value, _: Timestamp) -> Value {
    let Some(owner) = meta::controller(object) else { return "<none>".into() };
    let (group, _) = meta::split_api_version(&owner.api_version);
    format!("{}/{}", crate::status::qualified(group, &owner.kind.to_lowercase()), owner.name).into()
}

pub(super) fn access_modes(object: &Value, path: &[&str]) -> Value {
    const SHORT: &[(&str, &str)] =
        &[("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let modes = object.array_at(path);
    joined(
        SHORT
            .iter()
            .filter(|(long, _)| modes.iter().any(|mode| mode.as_str() == Some(long)))
            .map(|(_, short)| (*short).to_owned()),
    )
    .into()
}

pub(super) fn claim_phase(object: &Value, _: Timestamp) -> Value {
    if meta::is_deleted(object) { "Terminating".into() } else { text(object, &["status", "phase"]) }
}

pub(super) fn claim_of_volume(object: &Value, _: Timestamp) -> Value {
    match object.get(&["spec", "claimRef"]) {
        Some(claim) => {
            format!("{}/{}", claim.str_at(&["namespace"]).unwrap_or_default(), claim.str_at(&["name"]).unwrap_or_default()).into()
        }
        None => "".into(),
    }
}

pub(super) fn endpoints(object: &Value, _: Timestamp) -> Value {
    let mut found = Vec::new();
    for subset in object.array_at(&["subsets"]) {
        for address in subset.array_at(&["addresses"]) {
            let ip = address.str_at(&["ip"]).unwrap_or_default();
            let ports = subset.array_at(&["ports"]);
            if ports.is_empty() {
                found.push(ip.to_owned());
            }
            found.extend(ports.iter().filter_map(|port| Some(format!("{ip}:{}", port.i64_at(&["port"])?))));
        }
    }
    first_three(&found, "<none>")
}

pub(super) fn last_seen(object: &Value, now: Timestamp) -> Value {
    let at = ["series", "lastTimestamp", "eventTime", "firstTimestamp"].into_iter().find_map(|field| match field {
        "series" => object.str_at(&["series", "lastObservedTime"]),
        field => object.str_at(&[field]),
    });
    at.and_then(meta::parse_time).map_or("<unknown>".into(), |at| human(now.as_second() - at.as_second()).into())
}

pub(super) fn involved(object: &Value, _: Timestamp) -> Value {
    let field = |name: &str| object.str_at(&["involvedObject", name]).unwrap_or_default();
    format!("{}/{}", field("kind").to_lowercase(), field("name")).into()
}

pub(super) fn node_status(object: &Value, _: Timestamp) -> Value {
    let conditions = object.array_at(&["status", "conditions"]);
    let ready = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Ready"));
    let mut status = match ready.and_then(|condition| condition.str_at(&["status"])) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if object.bool_at(&["spec", "unschedulable"]) == Some(true) {
        status.push_str(",SchedulingDisabled");
    }
    status.into()
}

pub(super) fn node_roles(object: &Value, _: Timestamp) -> Value {
    let labels = meta::labels(object);
    let role = |name: &str, value: &Value| match name.strip_prefix("node-role.kubernetes.io/") {
        Some(role) if !role.is_empty() => Some(role.to_owned()),
        _ if name == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        _ => None,
    };
    let mut roles: Vec<String> = labels.into_iter().flat_map(Map::iter).filter_map(|(name, value)| role(name, value)).collect();
    roles.sort();
    if roles.is_empty() { "<none>".into() } else { roles.join(",").into() }
}

pub(super) fn node_address(object: &Value, kind: &str) -> Value {
    let found = object.array_at(&["status", "addresses"]).iter().find(|address| address.str_at(&["type"]) == Some(kind));
    found.and_then(|address| address.str_at(&["address"])).unwrap_or("<none>").into()
}

pub(super) fn service_external(object: &Value, _: Timestamp) -> Value {
    let ips =
        object.array_at(&["spec", "externalIPs"]).iter().filter_map(|ip| ip.as_str().map(str::to_owned)).collect::<Vec<_>>();
    match object.str_at(&["spec", "type"]) {
        Some("ExternalName") => text(object, &["spec", "externalName"]),
        Some("LoadBalancer") => {
            let ingress = object.array_at(&["status", "loadBalancer", "ingress"]);
            let ingress =
                ingress.iter().filter_map(|item| item.str_at(&["ip"]).or_else(|| item.str_at(&["hostname"])).map(str::to_owned));
            let all = joined(ingress.chain(ips));
            if all.is_empty() { "<pending>".into() } else { all.into() }
        }
        _ if ips.is_empty() => "<none>".into(),
        _ => joined(ips).into(),
    }
}

pub(super) fn service_ports(object: &Value, _: Timestamp) -> Value {
    let ports = object.array_at(&["spec", "ports"]).iter().map(|port| {
        let (number, protocol) = (port.i64_at(&["port"]).unwrap_or(0), port.str_at(&["protocol"]).unwrap_or("TCP"));
        match port.i64_at(&["nodePort"]).filter(|number| *number > 0) {
            Some(node_port) => format!("{number}:{node_port}/{protocol}"),
            None => format!("{number}/{protocol}"),
        }
    });
    let ports = joined(ports);
    if ports.is_empty() { "<none>".into() } else { ports.into() }
}

pub(super) fn role_of_binding(object: &Value, _: Timestamp) -> Value {
    let field = |name: &str| object.str_at(&["roleRef", name]).unwrap_or_default();
    format!("{}/{}", field("kind"), field("name")).into()
}

pub(super) fn subjects(object: &Value, kind: &str) -> Value {
    let subjects = object.array_at(&["subjects"]).iter().filter(|subject| subject.str_at(&["kind"]) == Some(kind));
    let name = |subject: &Value| {
        let name = subject.str_at(&["name"]).unwrap_or_default();
        subject.str_at(&["namespace"]).map_or(name.to_owned(), |namespace| format!("{namespace}/{name}"))
    };
    subjects.map(name).collect::<Vec<_>>().join(", ").into()
}

pub(super) fn requested_duration(object: &Value, _: Timestamp) -> Value {
    object.i64_at(&["spec", "expirationSeconds"]).map_or("<none>".into(), |seconds| human(seconds).into())
}

pub(super) fn request_condition(object: &Value, _: Timestamp) -> Value {
    let has =
        |kind: &str| object.array_at(&["status", "conditions"]).iter().any(|condition| condition.str_at(&["type"]) == Some(kind));
    let mut words = Vec::new();
    for (kind, word) in [("Approved", "Approved"), ("Denied", "Denied"), ("Failed", "Failed")] {
        if has(kind) {
            words.push(word);
        }
    }
    if words.is_empty() {
        words.push("Pending");
    }
    if object.str_at(&["status", "certificate"]).is_some_and(|text| !text.is_empty()) {
        words.push("Issued");
    }
    words.join(",").into()
}

pub(super) fn scale_target(object: &Value, _: Timestamp) -> Value {
    let field = |name: &str| object.str_at(&["spec", "scaleTargetRef", name]).unwrap_or_default();
    format!("{}/{}", field("kind"), field("name")).into()
}

pub(super) fn job_status(object: &Value, _: Timestamp) -> Value {
    let holds = |kind: &str| {
        let conditions = object.array_at(&["status", "conditions"]);
        conditions.iter().any(|c| c.str_at(&["type"]) == Some(kind) && c.str_at(&["status"]) == Some("True"))
    };
    let deleted = meta::is_deleted(object);
    let words = [("Complete", "Complete"), ("Failed", "Failed")].into_iter().find(|(kind, _)| holds(kind)).map(|(_, word)| word);
    let later = [("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet")];
    match words {
        Some(word) => word.into(),
        None if deleted => "Terminating".into(),
        None => later.into_iter().find(|(kind, _)| holds(kind)).map_or("Running", |(_, word)| word).into(),
    }
}

pub(super) fn job_completions(object: &Value, _: Timestamp) -> Value {
    let done = object.i64_at(&["status", "succeeded"]).unwrap_or(0);
    let parallel = object.i64_at(&["spec", "parallelism"]).unwrap_or(0);
    match object.i64_at(&["spec", "completions"]) {
        Some(wanted) => format!("{done}/{wanted}").into(),
        None if parallel > 1 => format!("{done}/1 of {parallel}").into(),
        None => format!("{done}/1").into(),
    }
}

pub(super) fn job_duration(object: &Value, now: Timestamp) -> Value {
    let at = |field: &str| object.str_at(&["status", field]).and_then(meta::parse_time);
    match (at("startTime"), at("completionTime")) {
        (Some(start), end) => human(end.unwrap_or(now).as_second() - start.as_second()).into(),
        (None, _) => "".into(),
    }
}

pub(super) fn slice_ports(object: &Value, _: Timestamp) -> Value {
    let ports: Vec<String> = object
        .array_at(&["ports"])
        .iter()
        .map(|port| port.i64_at(&["port"]).map_or("*".to_owned(), |port| port.to_string()))
        .collect();
    first_three(&ports, "<unset>")
}

pub(super) fn slice_endpoints(object: &Value, _: Timestamp) -> Value {
    let addresses = object.array_at(&["endpoints"]).iter().flat_map(|endpoint| endpoint.array_at(&["addresses"]));
    first_three(&addresses.filter_map(|address| address.as_str().map(str::to_owned)).collect::<Vec<_>>(), "<unset>")
}

pub(super) fn ingress_hosts(object: &Value, _: Timestamp) -> Value {
    let hosts: Vec<String> =
        object.array_at(&["spec", "rules"]).iter().filter_map(|rule| rule.str_at(&["host"]).map(str::to_owned)).collect();
    first_three(&hosts, "*")
}

pub(super) fn ingress_address(object: &Value, _: Timestamp) -> Value {
    let ingress = object.array_at(&["status", "loadBalancer", "ingress"]);
    joined(ingress.iter().filter_map(|item| item.str_at(&["ip"]).or_else(|| item.str_at(&["hostname"])).map(str::to_owned)))
        .into()
}

pub(super) fn ingress_ports(object: &Value, _: Timestamp) -> Value {
    if object.array_at(&["spec", "tls"]).is_empty() { "80".into() } else { "80, 443".into() }
}

/// What parameters a policy takes.
pub(super) fn param_kind(object: &Value, _: Timestamp) -> Value {
    let text = |field: &str| object.str_at(&["spec", "paramKind", field]).unwrap_or_default();
    if text("kind").is_empty() { "<unset>".into() } else { format!("{}/{}", text("apiVersion"), text("kind")).into() }
}

/// Which parameters a binding gives.
pub(super) fn param_ref(object: &Value, _: Timestamp) -> Value {
    let text = |field: &str| object.str_at(&["spec", "paramRef", field]).unwrap_or_default();
    match (text("namespace"), text("name")) {
        (_, "") if object.get(&["spec", "paramRef", "selector"]).is_some() => "*".into(),
        (_, "") => "<unset>".into(),
        ("", name) => name.into(),
        (namespace, name) => format!("{namespace}/{name}").into(),
    }
}

/// Who serves a group and version.
pub(super) fn api_service(object: &Value, _: Timestamp) -> Value {
    let text = |field: &str| object.str_at(&["spec", "service", field]).unwrap_or_default();
    if text("name").is_empty() { "Local".into() } else { format!("{}/{}", text("namespace"), text("name")).into() }
}

/// Whether a group and version is served.
pub(super) fn api_available(object: &Value, _: Timestamp) -> Value {
    let conditions = object.array_at(&["status", "conditions"]);
    let available = conditions.iter().find(|condition| condition.str_at(&["type"]) == Some("Available"));
    let text = |field: &str| available.and_then(|condition| condition.str_at(&[field])).unwrap_or_default();
    match text("status") {
        "" => "Unknown".into(),
        "True" => "True".into(),
        status => format!("{status} ({})", text("reason")).into(),
    }
}

/// What has an address.
pub(super) fn parent(object: &Value, _: Timestamp) -> Value {
    let text = |field: &str| object.str_at(&["spec", "parentRef", field]).unwrap_or_default();
    let parts = [text("group"), text("resource"), text("namespace"), text("name")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/").into()
}

/// A list of texts.
pub(super) fn texts(object: &Value, path: &[&str]) -> Value {
    joined(object.array_at(path).iter().filter_map(|text| text.as_str().map(str::to_owned))).into()
}

/// How far a claim of devices is.
pub(super) fn claim_state(object: &Value, _: Timestamp) -> Value {
    let mut states = Vec::new();
    if crate::document::meta::is_deleted(object) {
        states.push("deleted");
    }
    if object.get(&["status", "allocation"]).is_some_and(|allocation| !allocation.is_null()) {
        states.push("allocated");
    } else if states.is_empty() {
        states.push("pending");
    }
    if !object.array_at(&["status", "reservedFor"]).is_empty() {
        states.push("reserved");
    }
    states.join(",").into()
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn a_duration_is_as_long_as_upstream_prints_it() {
        let table = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (86_400 * 800, "2y70d"),
            (-5, "<invalid>"),
        ];
        for (seconds, expected) in table {
            assert_eq!(human(seconds), expected);
        }
    }
}

//! What a container may know of its own pod: fields and resources, as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use crate::site::Site;

/// A field of the pod.
pub(crate) fn of_pod(site: &Site, pod: &Pod, path: &str) -> Result<String, String> {
    let meta = &pod.metadata;
    if let Some((map, key)) = path.split_once("['").and_then(|(map, rest)| Some((map, rest.strip_suffix("']")?))) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return Err(format!("fieldPath \"{path}\" does not support subscript")),
        };
        return Ok(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let spec = pod.spec.as_ref();
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let status = pod.status.as_ref();
    Ok(match path {
        "metadata.name" => text(&meta.name),
        "metadata.namespace" => text(&meta.namespace),
        "metadata.uid" => text(&meta.uid),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" => site.address.to_string(),
        "status.podIP" => status.and_then(|status| status.pod_ip.clone()).unwrap_or_default(),
        "status.podIPs" => {
            let all = status.and_then(|status| status.pod_ips.as_ref()).into_iter().flatten();
            all.map(|ip| ip.ip.clone()).collect::<Vec<_>>().join(",")
        }
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// `key="value"` lines in order, quoted as Go quotes.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={}", quoted(value));
    map.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other if other.is_control() => drop(write!(quoted, "\\x{:02x}", u32::from(other))),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// An amount of a container's resources in units of the divisor; without a limit, what the node has.
pub(crate) fn of_resources(
    site: &Site,
    pod: &Pod,
    selector: &ResourceFieldSelector,
    own: Option<&Container>,
) -> Result<String, String> {
    let named = selector.container_name.as_deref().filter(|name| !name.is_empty());
    let spec = pod.spec.as_ref();
    let mut all = spec.into_iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let container = match named {
        Some(name) => all.find(|c| c.name == name).ok_or_else(|| format!("container {name} not found"))?,
        None => own.ok_or("no container is named")?,
    };
    let (kind, resource) = selector.resource.split_once('.').ok_or("unsupported container resource")?;
    let resources = container.resources.as_ref();
    let amount = |map: Option<&BTreeMap<_, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>| {
        map.and_then(|map| map.get(resource)).and_then(|text| text.0.parse::<Quantity>().ok())
    };
    let found = match kind {
        "limits" => amount(resources.and_then(|r| r.limits.as_ref())).or_else(|| allocatable(site, resource)),
        "requests" => amount(resources.and_then(|r| r.requests.as_ref())),
        _ => return Err(format!("unsupported container resource : {}", selector.resource)),
    };
    let found = found.unwrap_or(Quantity::ZERO);
    let divisor = selector.divisor.as_ref().and_then(|text| text.0.parse::<Quantity>().ok());
    let divisor = divisor.filter(|divisor| !divisor.is_zero()).unwrap_or(Quantity::whole(1)).nanos();
    let (nanos, rest) = (found.nanos() / divisor, found.nanos() % divisor);
    Ok((nanos + i128::from(rest > 0)).to_string())
}

fn allocatable(site: &Site, resource: &str) -> Option<Quantity> {
    let node = site.node.borrow();
    let map = node.status.as_ref()?.allocatable.as_ref()?;
    map.get(resource)?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_lines_in_order_and_quoted() {
        let map = BTreeMap::from([("b".to_owned(), "x\"y\n".to_owned()), ("a".to_owned(), "1".to_owned())]);
        assert_eq!(lines(Some(&map)), "a=\"1\"\nb=\"x\\\"y\\n\"");
    }
}

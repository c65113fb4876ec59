//! Resources → bounds of cgroups, and how readily the kernel kills a container, as upstream computes them.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use runtime::container::Limits;

use crate::site::Site;

const PERIOD_US: u64 = 100_000;
const SHARES_MIN: i64 = 2;
const SHARES_MAX: i64 = 262_144;
const QUOTA_MIN_US: i64 = 1000;

/// The quality of service of a pod.
pub(crate) fn quality(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.qos_class.as_deref()).unwrap_or("BestEffort")
}

/// The cgroup of a pod.
pub(crate) fn pod_cgroup(site: &Site, uid: &str) -> String {
    format!("{}/pod{uid}", site.cgroup.trim_matches('/'))
}

fn amount(map: Option<&BTreeMap<String, Text>>, name: &str) -> Option<Quantity> {
    map.and_then(|map| map.get(name)).and_then(|text| text.0.parse().ok())
}

fn bounds(resources: &ResourceRequirements) -> Limits {
    let limit = |name: &str| amount(resources.limits.as_ref(), name);
    let request = |name: &str| amount(resources.requests.as_ref(), name);
    let cpu = request("cpu").or_else(|| limit("cpu")).map_or(0, Quantity::milli_value);
    let quota = limit("cpu").map(Quantity::milli_value).filter(|milli| *milli > 0);
    let memory = limit("memory").map(Quantity::value).and_then(|bytes| u64::try_from(bytes).ok());
    let shares = (cpu * 1024 / 1000).clamp(SHARES_MIN, SHARES_MAX);
    let huge = resources.limits.iter().flatten().filter_map(|(name, text)| {
        let size = name.strip_prefix("hugepages-")?.parse::<Quantity>().ok()?.value();
        let bytes = u64::try_from(text.0.parse::<Quantity>().ok()?.value()).ok()?;
        Some((page_size(size), bytes))
    });
    Limits {
        cpu_shares: u64::try_from(shares).ok(),
        cpu_quota_us: quota.map(|milli| (milli * 100).max(QUOTA_MIN_US)),
        cpu_period_us: quota.map(|_| PERIOD_US),
        memory_bytes: memory.filter(|bytes| *bytes > 0),
        hugepages: huge.collect(),
        ..Limits::default()
    }
}

fn page_size(bytes: i64) -> String {
    if bytes >= 1 << 30 { format!("{}GB", bytes >> 30) } else { format!("{}MB", bytes >> 20) }
}

/// The bounds of a container.
pub(crate) fn of_container(container: &Container) -> Limits {
    bounds(&container.resources.clone().unwrap_or_default())
}

/// The bounds of a whole pod: sums of its containers, where each has one; init containers need only fit beside sidecars.
pub(crate) fn pod_limits(pod: &Pod) -> Limits {
    let Some(spec) = &pod.spec else { return Limits::default() };
    if let Some(resources) = &spec.resources {
        return bounds(resources);
    }
    let mut requests = BTreeMap::new();
    let mut limits = BTreeMap::new();
    for name in ["cpu", "memory"] {
        let of = |c: &Container, limits: bool| {
            let resources = c.resources.as_ref();
            amount(resources.and_then(|r| if limits { r.limits.as_ref() } else { r.requests.as_ref() }), name)
        };
        let init = spec.init_containers.as_deref().unwrap_or_default();
        let sidecars = init.iter().filter(|c| c.restart_policy.as_deref() == Some("Always"));
        let lasting: Vec<&Container> = spec.containers.iter().chain(sidecars).collect();
        let sum = lasting.iter().filter_map(|c| of(c, false)).fold(Quantity::ZERO, |sum, one| sum + one);
        let request = init.iter().filter_map(|c| of(c, false)).fold(sum, |most, one| if one > most { one } else { most });
        if !request.is_zero() {
            requests.insert(name.to_owned(), Text(request.to_string()));
        }
        let all = lasting.iter().copied().chain(init).all(|c| of(c, true).is_some());
        if all {
            let sum = lasting.iter().filter_map(|c| of(c, true)).fold(Quantity::ZERO, |sum, one| sum + one);
            let limit = init.iter().filter_map(|c| of(c, true)).fold(sum, |most, one| if one > most { one } else { most });
            limits.insert(name.to_owned(), Text(limit.to_string()));
        }
    }
    bounds(&ResourceRequirements { requests: Some(requests), limits: Some(limits), claims: None })
}

/// How readily the kernel kills a container when memory is short.
pub(super) fn oom_score_adj(pod: &Pod, container: &Container, memory: i64) -> i32 {
    let critical = pod.spec.as_ref().and_then(|spec| spec.priority).is_some_and(|priority| priority >= 2_000_000_000);
    match quality(pod) {
        _ if critical => -997,
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let request = amount(container.resources.as_ref().and_then(|r| r.requests.as_ref()), "memory");
            let request = request.map_or(0, Quantity::value);
            let score = 1000 - i64::try_from(i128::from(request) * 1000 / i128::from(memory.max(1))).unwrap_or(1000);
            i32::try_from(score.clamp(3, 999)).unwrap_or(999)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(resources: serde_json::Value) -> Container {
        serde_json::from_value(json!({ "name": "a", "resources": resources })).unwrap()
    }

    #[test]
    fn bounds_are_as_upstream_computes_them() {
        let own =
            of_container(&container(json!({ "requests": { "cpu": "250m" }, "limits": { "cpu": "500m", "memory": "64Mi" } })));
        assert_eq!(own.cpu_shares, Some(256));
        assert_eq!(own.cpu_quota_us, Some(50_000));
        assert_eq!(own.memory_bytes, Some(64 << 20));
        let none = of_container(&container(json!({})));
        assert_eq!((none.cpu_shares, none.cpu_quota_us, none.memory_bytes), (Some(2), None, None));
    }

    #[test]
    fn the_kernel_kills_in_the_order_of_quality() {
        let pod = |quality: &str| -> Pod {
            serde_json::from_value(json!({ "spec": { "containers": [] }, "status": { "qosClass": quality } })).unwrap()
        };
        let some = container(json!({ "requests": { "memory": "1Gi" } }));
        assert_eq!(oom_score_adj(&pod("Guaranteed"), &some, 4 << 30), -997);
        assert_eq!(oom_score_adj(&pod("Burstable"), &some, 4 << 30), 750);
        assert_eq!(oom_score_adj(&pod("BestEffort"), &some, 4 << 30), 1000);
    }
}

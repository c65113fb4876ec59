//! What one object uses up of a quota.

use super::{Amounts, quantity};
use api::document::Value;
use api::quantity::Quantity;

/// `pods`, `deployments.apps`.
pub(super) fn qualified(group: &str, resource: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") }
}

/// Resources whose count has a short name of its own.
const SHORT_COUNTS: [&str; 8] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "limitranges",
];

/// Everything that an object uses up.
pub fn usage_of(group: &str, resource: &str, object: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    amounts.insert(format!("count/{}", qualified(group, resource)), Quantity::whole(1));
    if !group.is_empty() {
        return amounts;
    }
    match resource {
        "pods" => pod(object, &mut amounts),
        "services" => service(object, &mut amounts),
        "persistentvolumeclaims" => claim(object, &mut amounts),
        short if SHORT_COUNTS.contains(&short) => {
            amounts.insert(short.to_owned(), Quantity::whole(1));
        }
        _ => {}
    }
    amounts
}

fn pod(pod: &Value, amounts: &mut Amounts) {
    // Ended pods keep their object count and nothing else; a deleted one beyond its grace is as good as gone.
    if matches!(pod.str_at(&["status", "phase"]), Some("Succeeded" | "Failed")) {
        return;
    }
    amounts.insert("pods".into(), Quantity::whole(1));
    for (name, amount) in pod_total(pod, "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            amounts.insert(name.clone(), amount);
        }
        amounts.insert(format!("requests.{name}"), amount);
    }
    for (name, amount) in pod_total(pod, "limits") {
        amounts.insert(format!("limits.{name}"), amount);
    }
}

/// Requests or limits of a whole pod: its containers together, or its hungriest init container if that is more, and the overhead.
pub fn pod_total(pod: &Value, field: &str) -> Amounts {
    let of = |container: &Value| -> Amounts {
        let map = container.object_at(&["resources", field]).into_iter().flat_map(|m| m.iter());
        map.filter_map(|(k, v)| Some((k.to_string(), quantity(v)?))).collect()
    };
    let mut total = Amounts::new();
    for container in pod.array_at(&["spec", "containers"]) {
        super::add(&mut total, of(container));
    }
    let mut sidecars = Amounts::new();
    let mut peak = Amounts::new();
    for container in pod.array_at(&["spec", "initContainers"]) {
        let mut need = of(container);
        if container.str_at(&["restartPolicy"]) == Some("Always") {
            super::add(&mut sidecars, need);
            need = sidecars.clone();
        } else {
            super::add(&mut need, sidecars.clone());
        }
        for (name, amount) in need {
            let most = peak.entry(name).or_default();
            *most = amount.max(*most);
        }
    }
    super::add(&mut total, sidecars);
    for (name, amount) in peak {
        let most = total.entry(name).or_default();
        *most = amount.max(*most);
    }
    for (name, value) in pod.object_at(&["spec", "overhead"]).into_iter().flat_map(|m| m.iter()) {
        if let Some(amount) = quantity(value)
            && (field == "requests" || total.contains_key::<str>(name.as_ref()))
        {
            *total.entry(name.to_string()).or_default() += amount;
        }
    }
    total
}

fn service(service: &Value, amounts: &mut Amounts) {
    amounts.insert("services".into(), Quantity::whole(1));
    let ports = i64::try_from(service.array_at(&["spec", "ports"]).len()).unwrap_or(0);
    match service.str_at(&["spec", "type"]) {
        Some("NodePort") => {
            amounts.insert("services.nodeports".into(), Quantity::whole(ports));
        }
        Some("LoadBalancer") => {
            let without = service.bool_at(&["spec", "allocateLoadBalancerNodePorts"]) == Some(false);
            amounts.insert("services.loadbalancers".into(), Quantity::whole(1));
            amounts.insert("services.nodeports".into(), Quantity::whole(if without { 0 } else { ports }));
        }
        _ => {}
    }
}

fn claim(claim: &Value, amounts: &mut Amounts) {
    amounts.insert("persistentvolumeclaims".into(), Quantity::whole(1));
    let size = claim.get(&["spec", "resources", "requests", "storage"]).and_then(quantity);
    if let Some(size) = size {
        amounts.insert("requests.storage".into(), size);
    }
    if let Some(class) = claim.str_at(&["spec", "storageClassName"]).filter(|c| !c.is_empty()) {
        let prefix = format!("{class}.storageclass.storage.k8s.io");
        amounts.insert(format!("{prefix}/persistentvolumeclaims"), Quantity::whole(1));
        if let Some(size) = size {
            amounts.insert(format!("{prefix}/requests.storage"), size);
        }
    }
}

/// The resources that must be listed to know what a quota's namespace uses.
pub(super) fn sources(hard: &Amounts) -> Vec<(String, String)> {
    let mut sources: Vec<(String, String)> = Vec::new();
    for name in hard.keys() {
        let source = match name.strip_prefix("count/") {
            Some(counted) => {
                let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
                (group.to_owned(), resource.to_owned())
            }
            None if name.starts_with("services") => (String::new(), "services".into()),
            None if name == "requests.storage" || name.ends_with("persistentvolumeclaims") || name.contains(".storageclass.") => {
                (String::new(), "persistentvolumeclaims".into())
            }
            None if name != "pods" && SHORT_COUNTS.contains(&name.as_str()) => (String::new(), name.clone()),
            None => (String::new(), "pods".into()),
        };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

/// Whether a quota counts an object; `pod` is none for everything that is no pod.
pub(super) fn in_scope(quota: &Value, pod: Option<&Value>) -> bool {
    let plain = quota.array_at(&["spec", "scopes"]).iter().filter_map(Value::as_str);
    let plain = plain.map(|scope| (scope, "Exists", Vec::new()));
    let selectors = quota.array_at(&["spec", "scopeSelector", "matchExpressions"]).iter().map(|e| {
        let values = e.array_at(&["values"]).iter().filter_map(Value::as_str).collect();
        (e.str_at(&["scopeName"]).unwrap_or_default(), e.str_at(&["operator"]).unwrap_or("Exists"), values)
    });
    plain.chain(selectors).all(|(scope, operator, values)| {
        pod.is_some_and(|pod| match scope {
            "Terminating" => pod.get(&["spec", "activeDeadlineSeconds"]).is_some_and(|d| !d.is_null()),
            "NotTerminating" => pod.get(&["spec", "activeDeadlineSeconds"]).is_none_or(Value::is_null),
            "BestEffort" => best_effort(pod),
            "NotBestEffort" => !best_effort(pod),
            "PriorityClass" => {
                let class = pod.str_at(&["spec", "priorityClassName"]).filter(|c| !c.is_empty());
                match operator {
                    "In" => class.is_some_and(|c| values.contains(&c)),
                    "NotIn" => class.is_none_or(|c| !values.contains(&c)),
                    "DoesNotExist" => class.is_none(),
                    _ => class.is_some(),
                }
            }
            _ => false,
        })
    })
}

fn best_effort(pod: &Value) -> bool {
    pod_total(pod, "requests").values().all(|q| q.is_zero()) && pod_total(pod, "limits").values().all(|q| q.is_zero())
}

/// Resources that a quota limits and of which some container says nothing: `limits.cpu for: a,b`.
pub(super) fn unspecified(pod: &Value, hard: &Amounts) -> Vec<String> {
    let mut missing = Vec::new();
    for name in hard.keys() {
        let (field, resource) = match name.split_once('.') {
            Some((field @ ("requests" | "limits"), resource)) if matches!(resource, "cpu" | "memory") => (field, resource),
            None if matches!(name.as_str(), "cpu" | "memory") => ("requests", name.as_str()),
            _ => continue,
        };
        let silent: Vec<&str> = ["containers", "initContainers"]
            .iter()
            .flat_map(|list| pod.array_at(&["spec", list]))
            .filter(|c| c.get(&["resources", field, resource]).is_none())
            .filter_map(|c| c.str_at(&["name"]))
            .collect();
        if !silent.is_empty() {
            missing.push(format!("{name} for: {}", silent.join(",")));
        }
    }
    missing
}

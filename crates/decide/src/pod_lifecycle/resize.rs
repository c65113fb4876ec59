//! Whether a running container is bounded as its pod asks now, and how it gets there.

use k8s_openapi::api::core::v1::{Container, Node, Pod, ResourceRequirements};

use super::{ContainerFacts, Facts, containers, init_containers, is_sidecar};
use crate::scheduling::resources::{Resources, requests};

/// How a container gets the resources that it is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// It has them.
    No,
    /// Its bounds are changed while it runs.
    InPlace,
    /// It is run anew, as its policy says.
    Restart,
}

/// How a container gets the resources that its pod asks for now.
pub fn resize(container: &Container, own: &ContainerFacts) -> Resize {
    let (Some(has), true) = (&own.resources, own.runs()) else { return Resize::No };
    let none = ResourceRequirements::default();
    let wanted = container.resources.as_ref().unwrap_or(&none);
    let differs = |name: &str| {
        let of = |all: &ResourceRequirements| {
            let one = |map: &Option<std::collections::BTreeMap<String, _>>| map.as_ref().and_then(|map| map.get(name)).cloned();
            (one(&all.requests), one(&all.limits))
        };
        of(has) != of(wanted)
    };
    let restarts = |name: &str| {
        let policies = container.resize_policy.iter().flatten();
        policies.into_iter().any(|policy| policy.resource_name == name && policy.restart_policy == "RestartContainer")
    };
    let changed: Vec<&str> = ["cpu", "memory"].into_iter().filter(|name| differs(name)).collect();
    match changed.as_slice() {
        [] => Resize::No,
        changed if changed.iter().any(|name| restarts(name)) => Resize::Restart,
        _ => Resize::InPlace,
    }
}

/// Why the node could not give a pod what it asks for even if it were alone there.
pub fn infeasible(pod: &Pod, facts: &Facts, node: &Node) -> Option<String> {
    let lasting = containers(pod).iter().chain(init_containers(pod).iter().filter(|c| is_sidecar(c)));
    if !lasting.into_iter().any(|c| resize(c, &facts.container(&c.name)) != Resize::No) {
        return None;
    }
    let all = Resources::from_quantities(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
    let asked = requests(pod);
    let lacking = all.lacking(&Resources::default(), &asked).into_iter().map(|(resource, _)| resource);
    let of = |name: &str| match name {
        "cpu" => Some((asked.milli_cpu, all.milli_cpu)),
        "memory" => Some((asked.memory, all.memory)),
        _ => None,
    };
    let told = |name: String| of(&name).map(|(asked, all)| format!("{name}, requested: {asked}, capacity: {all}"));
    lacking.filter_map(told).next().map(|text| format!("Node didn't have enough capacity: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_lifecycle::Run;
    use serde_json::json;

    fn container(cpu: &str, memory: &str) -> Container {
        serde_json::from_value(json!({
            "name": "a", "resources": {"requests": {"cpu": cpu, "memory": memory}},
            "resizePolicy": [{"resourceName": "memory", "restartPolicy": "RestartContainer"}],
        }))
        .unwrap()
    }

    #[test]
    fn what_changed_says_whether_a_container_goes_on() {
        let run = Run::Running { id: "a-0".into(), since: jiff::Timestamp::UNIX_EPOCH };
        let own = ContainerFacts { run, resources: container("1", "1Gi").resources, ..ContainerFacts::default() };
        assert_eq!(resize(&container("1", "1Gi"), &own), Resize::No);
        assert_eq!(resize(&container("2", "1Gi"), &own), Resize::InPlace);
        assert_eq!(resize(&container("2", "2Gi"), &own), Resize::Restart);
        assert_eq!(resize(&container("2", "2Gi"), &ContainerFacts { run: Run::Never, ..own.clone() }), Resize::No);
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [container("9", "1Gi")]}})).unwrap();
        let node: Node = serde_json::from_value(json!({"status": {"allocatable": {"cpu": "2", "memory": "4Gi"}}})).unwrap();
        let facts = Facts { containers: [("a".to_owned(), own)].into(), ..Facts::default() };
        let why = "Node didn't have enough capacity: cpu, requested: 9000, capacity: 2000";
        assert_eq!(infeasible(&pod, &facts, &node).as_deref(), Some(why));
    }
}

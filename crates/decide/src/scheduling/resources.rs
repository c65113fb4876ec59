//! What a pod asks for and what a node has, as whole numbers: thousandths of a core, bytes, counts. Owns the sum over init containers, sidecars,
//! pod-level resources and overhead. Never looks at what a pod really uses.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// What a container without a CPU request counts as when nodes are compared, in thousandths of a core.
const ASSUMED_MILLI_CPU: i64 = 100;
/// What a container without a memory request counts as when nodes are compared, in bytes.
const ASSUMED_MEMORY: i64 = 200 * 1024 * 1024;

type Quantities = BTreeMap<String, Quantity>;

/// Amounts by resource; what a pod requests, what a node has, or what is in use of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of local disk.
    pub ephemeral_storage: i64,
    /// Everything else: huge pages, devices.
    pub extended: BTreeMap<String, i64>,
}

impl Resources {
    /// Amounts out of a resource list; `pods` is none of them.
    #[must_use]
    pub fn from_quantities(quantities: Option<&Quantities>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in quantities.into_iter().flatten() {
            let amount = parse(quantity);
            match name.as_str() {
                "cpu" => resources.milli_cpu = amount.milli_value(),
                "memory" => resources.memory = amount.value(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value(),
                "pods" => {}
                _ => {
                    resources.extended.insert(name.clone(), amount.value());
                }
            }
        }
        resources
    }

    /// Adds the amounts of another.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine.saturating_add(theirs));
    }

    /// Takes the amounts of another away.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine.saturating_sub(theirs));
        self.extended.retain(|_, amount| *amount != 0);
    }

    /// Keeps the larger of both for each resource.
    pub fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.extended {
            let mine = self.extended.entry(name.clone()).or_default();
            *mine = with(*mine, *amount);
        }
    }

    /// Which resources of `asked` are not to be had beside what is in use: by name, and whether an empty node would have them.
    #[must_use]
    pub fn lacking(&self, used: &Self, asked: &Self) -> Vec<(String, bool)> {
        let mut lacking = Vec::new();
        let mut check = |name: &str, asked: i64, all: i64, used: i64| {
            if asked > 0 && asked > all.saturating_sub(used) {
                lacking.push((name.to_owned(), asked <= all));
            }
        };
        check("cpu", asked.milli_cpu, self.milli_cpu, used.milli_cpu);
        check("memory", asked.memory, self.memory, used.memory);
        check("ephemeral-storage", asked.ephemeral_storage, self.ephemeral_storage, used.ephemeral_storage);
        for (name, amount) in &asked.extended {
            let of = |resources: &Self| resources.extended.get(name).copied().unwrap_or_default();
            check(name, *amount, of(self), of(used));
        }
        lacking
    }
}

/// The amount that a quantity stands for; one that cannot be read is none.
fn parse(quantity: &Quantity) -> api::quantity::Quantity {
    quantity.0.parse().unwrap_or_default()
}

/// The value of a quantity in whole units, rounded up.
#[must_use]
pub fn whole(quantity: &Quantity) -> i64 {
    parse(quantity).value()
}

/// What a pod takes of its node while it runs: the most that it needs at any time, from its first init container on.
#[must_use]
pub fn requests(pod: &Pod) -> Resources {
    sum(pod, |_| Resources::default())
}

/// The same with a small amount for each container that names no request, so that nodes with many such pods look full.
#[must_use]
pub fn assumed_requests(pod: &Pod) -> Resources {
    sum(pod, |container| {
        let named = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let has = |name: &str| named.is_some_and(|requests| requests.contains_key(name));
        Resources {
            milli_cpu: if has("cpu") { 0 } else { ASSUMED_MILLI_CPU },
            memory: if has("memory") { 0 } else { ASSUMED_MEMORY },
            ..Resources::default()
        }
    })
}

fn sum(pod: &Pod, missing: impl Fn(&Container) -> Resources) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    let mut total = Resources::default();
    for container in &spec.containers {
        total.add(&container_requests(pod, container, &missing));
    }
    let mut peak = Resources::default();
    let mut sidecars = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let own = container_requests(pod, container, &missing);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&own);
            peak.raise_to(&sidecars);
        } else {
            let mut during = sidecars.clone();
            during.add(&own);
            peak.raise_to(&during);
        }
    }
    total.add(&sidecars);
    total.raise_to(&peak);
    if let Some(requests) = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()) {
        apply_pod_level(&mut total, requests);
    }
    total.add(&Resources::from_quantities(spec.overhead.as_ref()));
    total
}

/// What the pod asks for as a whole stands in for the sum over its containers.
fn apply_pod_level(total: &mut Resources, requests: &Quantities) {
    let level = Resources::from_quantities(Some(requests));
    if requests.contains_key("cpu") {
        total.milli_cpu = level.milli_cpu;
    }
    if requests.contains_key("memory") {
        total.memory = level.memory;
    }
    for (name, amount) in level.extended.into_iter().filter(|(name, _)| name.starts_with("hugepages-")) {
        total.extended.insert(name, amount);
    }
}

/// A container's requests; while it is resized, the larger of what is asked for and what it still has.
fn container_requests(pod: &Pod, container: &Container, missing: &impl Fn(&Container) -> Resources) -> Resources {
    let asked = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let mut requests = Resources::from_quantities(asked);
    let statuses = pod.status.iter().flat_map(|status| {
        let ordinary = status.container_statuses.iter().flatten();
        ordinary.chain(status.init_container_statuses.iter().flatten())
    });
    if let Some(status) = statuses.into_iter().find(|status| status.name == container.name) {
        requests.raise_to(&Resources::from_quantities(status.allocated_resources.as_ref()));
        let actual = status.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        requests.raise_to(&Resources::from_quantities(actual));
    }
    requests.add(&missing(container));
    requests
}

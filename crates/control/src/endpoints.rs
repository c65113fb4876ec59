//! EndpointSlices and Endpoints of Services, and slices that mirror Endpoints written by hand. What is wanted is said by `decide::endpoints`.

mod legacy;
mod mirror;

use std::sync::Arc;

use client::{Cache, Index, Key, Queue, reconcile::Next};
use decide::{
    endpoints::{self, MANAGED_BY, SERVICE_NAME, Step},
    pod_facts::{is_ending, is_finished, is_ready},
    selection,
};
use k8s_openapi::api::{
    core::v1::{Node, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams},
};

use crate::{
    apply::{self, ApplyError},
    wiring::{Wiring, Work},
};
pub use legacy::run as legacy;
pub use mirror::run as mirror;

const MANAGER: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

/// The slices of one manager, found by their Service.
#[derive(Clone)]
struct Slices {
    client: kube::Client,
    cache: Arc<Cache<EndpointSlice>>,
    by_service: Index<EndpointSlice>,
    manager: &'static str,
}

impl Slices {
    fn new(wiring: &Wiring, manager: &'static str) -> Self {
        let cache = wiring.cache::<EndpointSlice>();
        let by_service = cache.index("service", |slice| {
            let name = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
            name.map(|name| format!("{}/{name}", slice.metadata.namespace.as_deref().unwrap_or_default())).into_iter().collect()
        });
        Self { client: wiring.client.clone(), cache, by_service, manager }
    }

    /// Tells a queue of the Services whose slices somebody changed.
    fn enqueue_services(&self, queue: &Queue<Key>) {
        let (queue, manager) = (queue.clone(), self.manager);
        self.cache.on_change(move |change| {
            for slice in change.both().filter(|slice| manager_of(slice) == Some(manager)) {
                if let Some(name) = slice.labels().get(SERVICE_NAME) {
                    queue.add(Key::new(change.key.namespace(), name));
                }
            }
        });
    }

    fn of(&self, service: &Key) -> Vec<Arc<EndpointSlice>> {
        let mut slices = self.by_service.get(&format!("{}/{}", service.namespace(), service.name()));
        slices.retain(|slice| manager_of(slice) == Some(self.manager));
        slices
    }

    async fn carry_out(&self, namespace: &str, steps: Vec<Step>) -> Result<(), ApplyError> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        for step in steps {
            let written = match step {
                Step::Create(slice) => api.create(&PostParams::default(), &slice).await,
                Step::Replace(slice) => api.replace(&slice.name_any(), &PostParams::default(), &slice).await,
                Step::Delete(name) => {
                    self.delete(&api, namespace, &name).await?;
                    continue;
                }
            };
            match written {
                Ok(written) => self.cache.caught_up(&written).await?,
                Err(error) if apply::namespace_is_ending(&error) => return Ok(()),
                Err(error) => return Err(ApplyError::write("an endpoint slice")(error)),
            }
        }
        Ok(())
    }

    async fn delete(&self, api: &Api<EndpointSlice>, namespace: &str, name: &str) -> Result<(), ApplyError> {
        let key = Key::new(namespace, name);
        let uid = self.cache.get(&key).and_then(|slice| slice.uid()).unwrap_or_default();
        match api.delete(name, &DeleteParams::default()).await {
            Err(error) if !apply::is_not_found(&error) => Err(ApplyError::write("an endpoint slice")(error)),
            _ => Ok(self.cache.forgotten(&key, &uid).await?),
        }
    }
}

fn manager_of(slice: &EndpointSlice) -> Option<&str> {
    slice.metadata.labels.as_ref()?.get(MANAGED_BY).map(String::as_str)
}

/// The controller of the slices of Services with a selector.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let (services, pods, nodes) = (wiring.cache::<Service>(), wiring.pods(), wiring.cache::<Node>());
        let slices = Slices::new(&wiring, MANAGER);
        let queue = Queue::new();
        wiring.enqueue_changes(&services, &queue);
        slices.enqueue_services(&queue);
        enqueue_services_of_pods(&pods, &services, &queue);
        let reconcile = move |key: Key| {
            let (services, pods, nodes, slices) = (Arc::clone(&services), Arc::clone(&pods), Arc::clone(&nodes), slices.clone());
            async move {
                let Some(service) = services.get(&key) else { return Ok(Next::OnChange) };
                let Some(selector) = selector(&service) else { return Ok(Next::OnChange) };
                if service.metadata.deletion_timestamp.is_some() {
                    return Ok(Next::OnChange);
                }
                let chosen = chosen(&pods, key.namespace(), selector);
                let zone = |node: &str| nodes.find("", node)?.metadata.labels.as_ref()?.get(ZONE).cloned();
                let wanted = endpoints::slices_of(&service, &chosen, zone);
                let steps = endpoints::reconcile(&endpoints::frame_of(&service, MANAGER), wanted, &slices.of(&key));
                slices.carry_out(key.namespace(), steps).await?;
                Ok::<_, ApplyError>(Next::OnChange)
            }
        };
        wiring.work(queue, 8, reconcile).await;
    })
}

type Selector = std::collections::BTreeMap<String, String>;

/// The selector of a Service that has pods behind it.
fn selector(service: &Service) -> Option<&Selector> {
    let spec = service.spec.as_ref()?;
    let named = spec.type_.as_deref() == Some("ExternalName");
    spec.selector.as_ref().filter(|selector| !selector.is_empty() && !named)
}

fn chosen(pods: &Cache<Pod>, namespace: &str, selector: &Selector) -> Vec<Arc<Pod>> {
    let mut all = pods.in_namespace(namespace);
    all.retain(|pod| selection::contains(pod.metadata.labels.as_ref(), selector));
    all
}

/// Tells a queue of the Services behind which a pod comes, changes or goes.
fn enqueue_services_of_pods(pods: &Cache<Pod>, services: &Arc<Cache<Service>>, queue: &Queue<Key>) {
    let (services, queue) = (Arc::clone(services), queue.clone());
    pods.on_change(move |change| {
        if let (Some(old), Some(new)) = (&change.old, &change.new)
            && facets(old) == facets(new)
        {
            return;
        }
        for service in services.in_namespace(change.key.namespace()) {
            let Some(selector) = selector(&service) else { continue };
            if change.both().any(|pod| selection::contains(pod.metadata.labels.as_ref(), selector)) {
                queue.add(Key::of(&*service));
            }
        }
    });
}

/// What of a pod matters here.
fn facets(pod: &Pod) -> impl PartialEq + '_ {
    let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
    let names = spec.map(|spec| (&spec.node_name, &spec.hostname, &spec.subdomain));
    let addresses = status.map(|status| (&status.pod_ip, &status.pod_ips));
    (&pod.metadata.labels, is_ending(pod), is_finished(pod), is_ready(pod), names, addresses)
}

//! What controllers and the scheduler read of pods. The rest of a pod is most of it, and is dropped before it is cached.

use k8s_openapi::api::core::v1::{Container, Pod};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops what nobody reads: how containers start and what they see. Ports, images, resources and the names of volumes stay.
pub fn pod(pod: &mut Pod) {
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    let Some(spec) = &mut pod.spec else { return };
    spec.ephemeral_containers = None;
    spec.host_aliases = None;
    spec.dns_config = None;
    spec.image_pull_secrets = None;
    spec.security_context = None;
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        shrink(container);
    }
    spec.containers.shrink_to_fit();
    for volume in spec.volumes.iter_mut().flatten() {
        volume.projected = None;
        volume.downward_api = None;
    }
}

fn shrink(container: &mut Container) {
    let kept = Container {
        name: std::mem::take(&mut container.name),
        image: container.image.take(),
        ports: container.ports.take(),
        resources: container.resources.take(),
        restart_policy: container.restart_policy.take(),
        ..Container::default()
    };
    *container = kept;
}

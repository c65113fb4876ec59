//! The supervising process of the pod and the cgroup of its containers.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Container;

use runtime::pod::{Begun, Network, Pod, PodError, PodSpec};
use tokio_util::task::AbortOnDropHandle;

use super::address::is_of_host;
use super::{Done, Ground, Step, StepError};
use crate::pod::container::{hostname, id, pod_cgroup, pod_limits};
use crate::site::MEMORY;

pub(super) struct Sandbox;

/// A sandbox that starts.
pub(crate) type Beginning = AbortOnDropHandle<Result<Begun, StepError>>;

fn failed(error: &PodError) -> StepError {
    StepError::caused("FailedCreatePodSandBox", "Failed to create pod sandbox", error)
}

/// Begins the sandbox beside the steps before it, unless it is there or has begun.
pub(crate) fn begin(ground: &mut Ground) {
    if ground.sandbox.is_some() || ground.begun.is_some() {
        return;
    }
    let spec = spec(ground);
    let ahead = on_disk(ground, &spec.layers);
    let begun = async move {
        clear(&spec.dir).await?;
        let begun = Pod::begin(spec).map_err(|error| failed(&error))?;
        // What fails here is told by the container.
        ahead.iter().for_each(|folder| drop(std::fs::create_dir_all(folder)));
        Ok(begun)
    };
    ground.begun = Some(AbortOnDropHandle::new(tokio::spawn(begun)));
}

impl Step for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            begin(ground);
            let Some(beginning) = ground.begun.take() else { return Ok(()) };
            let begun = beginning.await.unwrap_or_else(|_| Err(StepError::new("Cancelled", "the agent stops")))?;
            ground.sandbox = Some(Pod::finish(begun).await.map_err(|error| failed(&error))?);
            Ok(())
        })
    }

    fn stop<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            if let Some(beginning) = ground.begun.take() {
                // What came of it ends with it; the rest is cleared away as after a crash.
                let _ = beginning.await;
            }
            match ground.sandbox.take() {
                Some(pod) => end(pod).await,
                None => clear(&ground.folder.join("sandbox")).await,
            }
        })
    }

    fn adopt<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let found = Pod::adopt(&ground.folder.join("sandbox")).await;
            let found =
                found.map_err(|error| StepError::caused("FailedCreatePodSandBox", "Failed to find pod sandbox", &error))?;
            ground.sandbox = found;
            match ground.sandbox {
                Some(_) => Ok(()),
                None => Err(StepError::new("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")),
            }
        })
    }
}

/// The folders on disk that the first containers need: each takes its time, which is better spent beside the network than by the container.
fn on_disk(ground: &Ground, layers: &Path) -> Vec<PathBuf> {
    let all = ground.pod.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    let of = |container: &Container| {
        let layer = layers.join(id(&container.name, 0));
        [layer.join("upper"), layer.join("work"), ground.site.log_folder(&ground.pod, &container.name)]
    };
    all.flat_map(of).collect()
}

async fn end(pod: Pod) -> Result<(), StepError> {
    pod.stop().await.map_err(|error| StepError::caused("FailedKillPod", "error killing pod", &error))
}

/// Ends what an earlier attempt, or an agent before this one, left of a sandbox.
async fn clear(folder: &Path) -> Result<(), StepError> {
    if !folder.exists() {
        return Ok(());
    }
    if let Some(left) = Pod::adopt(folder).await.ok().flatten() {
        end(left).await?;
    }
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StepError::caused("FailedKillPod", &format!("cannot remove {}", folder.display()), &error))
        }
        _ => Ok(()),
    }
}

fn spec(ground: &Ground) -> PodSpec {
    let pod = &ground.pod;
    let own = pod.spec.as_ref();
    let network = if is_of_host(pod) { Network::Host } else { Network::Namespace(ground.site.network.namespace(&ground.uid)) };
    let context = own.and_then(|spec| spec.security_context.as_ref());
    let sysctls = context.and_then(|context| context.sysctls.as_ref()).into_iter().flatten();
    let on = |flag: Option<bool>| flag == Some(true);
    PodSpec {
        id: ground.uid.clone(),
        dir: ground.folder.join("sandbox"),
        layers: ground.site.layers(&ground.uid),
        fills: Some(ground.site.folder.join(MEMORY).join("fills")),
        hostname: hostname(&ground.site, pod),
        network,
        host_pid: on(own.and_then(|spec| spec.host_pid)),
        host_ipc: on(own.and_then(|spec| spec.host_ipc)),
        share_processes: on(own.and_then(|spec| spec.share_process_namespace)),
        sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
        cgroup: pod_cgroup(&ground.site, &ground.uid),
        limits: pod_limits(pod),
        shm_bytes: Some(64 << 20),
    }
}

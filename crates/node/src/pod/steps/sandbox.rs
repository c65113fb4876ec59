//! The supervising process of the pod and the cgroup of its containers.

use k8s_openapi::api::core::v1::Pod;
use runtime::pod::{Network, PodSpec};

use super::address::is_of_host;
use super::{Done, Ground, Step, StepError};
use crate::pod::container::{hostname, pod_cgroup, pod_limits};

pub(super) struct Sandbox;

impl Step for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn start<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            if ground.sandbox.is_some() {
                return Ok(());
            }
            clear(ground).await?;
            let spec = spec(ground);
            let started = runtime::pod::Pod::start(spec).await;
            let pod =
                started.map_err(|error| StepError::caused("FailedCreatePodSandBox", "Failed to create pod sandbox", &error))?;
            ground.sandbox = Some(pod);
            Ok(())
        })
    }

    fn stop<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            match ground.sandbox.take() {
                Some(pod) => end(pod).await,
                None => clear(ground).await,
            }
        })
    }

    fn adopt<'a>(&'a self, ground: &'a mut Ground) -> Done<'a> {
        Box::pin(async {
            let found = runtime::pod::Pod::adopt(&ground.folder.join("sandbox")).await;
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

async fn end(pod: runtime::pod::Pod) -> Result<(), StepError> {
    pod.stop().await.map_err(|error| StepError::caused("FailedKillPod", "error killing pod", &error))
}

/// Ends what an earlier attempt, or an agent before this one, left of a sandbox.
async fn clear(ground: &Ground) -> Result<(), StepError> {
    let folder = ground.folder.join("sandbox");
    if !folder.exists() {
        return Ok(());
    }
    if let Some(left) = runtime::pod::Pod::adopt(&folder).await.ok().flatten() {
        end(left).await?;
    }
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StepError::caused("FailedKillPod", &format!("cannot remove {}", folder.display()), &error))
        }
        _ => Ok(()),
    }
}

fn spec(ground: &Ground) -> PodSpec {
    let pod: &Pod = &ground.pod;
    let own = pod.spec.as_ref();
    let network = match &ground.record.attached {
        Some(attached) if !is_of_host(pod) => Network::Namespace(attached.namespace.clone()),
        _ => Network::Host,
    };
    let context = own.and_then(|spec| spec.security_context.as_ref());
    let sysctls = context.and_then(|context| context.sysctls.as_ref()).into_iter().flatten();
    let on = |flag: Option<bool>| flag == Some(true);
    PodSpec {
        id: ground.uid.clone(),
        dir: ground.folder.join("sandbox"),
        layers: ground.site.layers(&ground.uid),
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

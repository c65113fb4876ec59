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
            let folder = ground.folder.join("sandbox");
            let pod = match ground.sandbox.take() {
                Some(pod) => Some(pod),
                None if folder.exists() => runtime::pod::Pod::adopt(&folder).await.ok().flatten(),
                None => None,
            };
            if let Some(pod) = pod {
                let stopped = pod.stop().await;
                stopped.map_err(|error| StepError::caused("FailedKillPod", "error killing pod", &error))?;
            }
            Ok(())
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

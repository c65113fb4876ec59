//! The pod of a Job: its template with an owner, the finalizer that keeps it until it is counted, and what tells it its index.

use decide::job::NewPod;
use decide::job::attempt::{FAILURES, FINALIZER, IGNORED_FAILURES, INDEX};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};
use kube::{Resource as _, ResourceExt as _};

/// The pod that is to be made.
pub(super) fn pod(job: &Job, new: NewPod) -> Pod {
    let template = job.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = Pod { metadata: template.metadata.unwrap_or_default(), spec: template.spec, status: None };
    pod.metadata.namespace = job.metadata.namespace.clone();
    pod.metadata.owner_references = job.controller_owner_ref(&()).map(|owner| vec![owner]);
    let name = job.name_any();
    pod.metadata.generate_name = Some(format!("{name}-"));
    if !pod.finalizers().iter().any(|one| one == FINALIZER) {
        pod.finalizers_mut().push(FINALIZER.to_owned());
    }
    if let Some(index) = new.index {
        pod.metadata.generate_name = Some(format!("{}-{index}-", &name[..name.len().min(40)]));
        pod.annotations_mut().insert(INDEX.to_owned(), index.to_string());
        pod.labels_mut().insert(INDEX.to_owned(), index.to_string());
        if let Some(spec) = &mut pod.spec {
            spec.hostname = Some(format!("{name}-{index}"));
            for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
                tell_index(container);
            }
        }
    }
    if let Some((counted, ignored)) = new.failures {
        pod.annotations_mut().insert(FAILURES.to_owned(), counted.to_string());
        if ignored > 0 {
            pod.annotations_mut().insert(IGNORED_FAILURES.to_owned(), ignored.to_string());
        }
    }
    pod
}

fn tell_index(container: &mut Container) {
    const NAME: &str = "JOB_COMPLETION_INDEX";
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == NAME) {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    let source =
        EnvVarSource { field_ref: Some(ObjectFieldSelector { api_version: None, field_path: path }), ..EnvVarSource::default() };
    variables.push(EnvVar { name: NAME.to_owned(), value: None, value_from: Some(source) });
}

//! From a container's spec to what the runtime starts. Reads objects and facts; starts nothing.

pub(crate) mod env;
pub(crate) mod fields;
pub(crate) mod files;
mod limits;
mod mounts;
mod security;

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod};
use runtime::container::{ContainerSpec, Device};
use runtime::image::Image;

pub(crate) use files::hostname;
pub(crate) use limits::{of_container as limits_of, pod_cgroup, pod_limits};

use super::steps::volumes::Volumes;
use crate::site::Site;

/// A container cannot be made as it is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Unfit {
    /// The reason of the container's state.
    pub(crate) reason: &'static str,
    /// Its message, in upstream's words.
    pub(crate) message: String,
}

impl Unfit {
    fn config(message: impl Into<String>) -> Self {
        Self { reason: "CreateContainerConfigError", message: message.into() }
    }

    fn create(message: impl Into<String>) -> Self {
        Self { reason: "CreateContainerError", message: message.into() }
    }
}

/// What a container is made of.
pub(crate) struct Parts<'a> {
    pub(crate) site: &'a Site,
    pub(crate) pod: &'a Pod,
    pub(crate) container: &'a Container,
    /// The pod's folder.
    pub(crate) folder: &'a Path,
    pub(crate) volumes: &'a Volumes,
    pub(crate) addresses: &'a [std::net::IpAddr],
    pub(crate) image: &'a Image,
    pub(crate) restart: u32,
}

impl Parts<'_> {
    /// `name_namespace(uid)`, as messages name a pod.
    fn pod_text(&self) -> String {
        let meta = &self.pod.metadata;
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
    }

    /// The folder of the container's own files.
    fn own_folder(&self) -> std::path::PathBuf {
        self.folder.join("containers").join(&self.container.name)
    }
}

/// The id of a container's run.
pub(crate) fn id(container: &str, restart: i32) -> String {
    format!("{container}-{restart}")
}

/// Where the termination message of a run is written.
pub(crate) fn message_file(folder: &Path, container: &str, restart: i32) -> std::path::PathBuf {
    folder.join("containers").join(container).join(format!("message-{restart}"))
}

/// What the runtime is to start.
pub(crate) async fn build(parts: &Parts<'_>) -> Result<ContainerSpec, Unfit> {
    let container = parts.container;
    let env = env::of_container(parts).await?;
    let argv = arguments(parts.image, container, &env);
    if argv.is_empty() {
        return Err(Unfit::create("failed to generate container spec: no command specified"));
    }
    let id = id(&container.name, i32::try_from(parts.restart).unwrap_or(i32::MAX));
    let mut spec = ContainerSpec::new(id, parts.image.clone(), argv);
    security::apply(parts, &mut spec)?;
    spec.mounts = mounts::of_container(parts, &env)?;
    spec.devices = devices(parts)?;
    spec.env = merged(parts.image, env);
    spec.working_dir = container.working_dir.clone().filter(|dir| !dir.is_empty());
    spec.tty = container.tty == Some(true);
    spec.stdin = container.stdin == Some(true);
    spec.stdin_once = container.stdin_once == Some(true);
    spec.limits = limits::of_container(container);
    spec.oom_score_adj = limits::oom_score_adj(parts.pod, container, parts.site.memory);
    spec.restart = parts.restart;
    Ok(spec)
}

/// The image's environment, then the container's over it.
fn merged(image: &Image, env: Vec<(String, String)>) -> Vec<(String, String)> {
    let of_image = image.config.env.iter().filter_map(|line| line.split_once('='));
    let mut all: Vec<(String, String)> = of_image
        .filter(|(name, _)| !env.iter().any(|(own, _)| own == name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    all.extend(env);
    all
}

/// Program and arguments: `command` replaces the entrypoint and drops the image's arguments, `args` replaces the arguments.
fn arguments(image: &Image, container: &Container, env: &[(String, String)]) -> Vec<String> {
    let expanded = |list: &Vec<String>| list.iter().map(|text| env::expand(text, env)).collect::<Vec<_>>();
    let command = container.command.as_ref().filter(|list| !list.is_empty()).map(expanded);
    let args = container.args.as_ref().filter(|list| !list.is_empty()).map(expanded);
    match (command, args) {
        (Some(command), args) => command.into_iter().chain(args.unwrap_or_default()).collect(),
        (None, Some(args)) => image.config.entrypoint.iter().cloned().chain(args).collect(),
        (None, None) => image.config.entrypoint.iter().chain(&image.config.command).cloned().collect(),
    }
}

fn devices(parts: &Parts<'_>) -> Result<Vec<Device>, Unfit> {
    let mut all = Vec::new();
    for device in parts.container.volume_devices.iter().flatten() {
        let source = parts.volumes.path(&device.name);
        let source = source.ok_or_else(|| Unfit::config(format!("volume \"{}\" is not there", device.name)))?;
        all.push(Device { source, target: device.device_path.clone(), access: "rwm".into() });
    }
    Ok(all)
}

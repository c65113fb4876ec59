//! Starts a pod, and a container in it.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::Path,
    sync::{Arc, Mutex},
};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use tokio::sync::watch;

use super::{
    Begun, Pod, PodError, PodSpec, door,
    running::{self, Container},
};
use crate::{
    cgroup::{self, Doors},
    container::{ContainerSpec, Limits},
    logs::{LogFiles, pump::Pump},
    plan::Plan,
    process::filter,
    rootfs::fill,
    supervise::record::{self, Alive},
};

fn prepare(path: &Path) -> impl Fn(io::Error) -> PodError {
    move |source| PodError::Prepare { path: path.to_owned(), source }
}

/// See [`Pod::begin`].
pub(super) fn begin_pod(spec: PodSpec) -> Result<Begun, PodError> {
    let dir = spec.dir.clone();
    cgroup::prefer_fast_moves();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join("c")).map_err(prepare(&dir))?;
    // What an earlier pod of this name wrote is nothing to this one.
    super::stop::remove_folder(&spec.layers)?;
    let text = serde_json::to_vec(&spec).map_err(|error| prepare(&dir)(error.into()))?;
    fs::write(dir.join("pod.json"), text).map_err(prepare(&dir))?;
    let failed = |source| PodError::StartSupervisor { id: spec.id.clone(), source };
    let (pid, starting) = door::spawn(&dir, None).map_err(failed)?;
    let made = mount_shm(&spec).and_then(|()| {
        cgroup::create(&spec.cgroup, &spec.limits).map_err(|source| PodError::Limit { path: spec.cgroup.clone(), source })
    });
    Ok(Begun { spec, pid, starting, made })
}

/// See [`Pod::finish`].
pub(super) async fn finish_pod(begun: Begun) -> Result<Pod, PodError> {
    let Begun { spec, pid, starting, made } = begun;
    let failed = |source| PodError::StartSupervisor { id: spec.id.clone(), source };
    let pod = Pod::of(spec.clone(), pid);
    let ready = async {
        let pause = starting.ready().await.map_err(failed)?;
        made?;
        keep_pause(&spec, pause)
    };
    match ready.await {
        Ok(()) => Ok(pod),
        Err(error) => {
            let _ = super::stop::pod(&pod).await;
            Err(error)
        }
    }
}

/// The first process of a shared process namespace stands in the pod's cgroup, so that it ends with it.
pub(super) fn keep_pause(spec: &PodSpec, pause: i32) -> Result<(), PodError> {
    if pause == 0 {
        return Ok(());
    }
    let path = format!("{}/pause", spec.cgroup);
    let entered = cgroup::create(&path, &Limits::default()).and_then(|()| cgroup::enter(&path, pause));
    entered.map_err(|source| PodError::Limit { path, source })
}

fn mount_shm(spec: &PodSpec) -> Result<(), PodError> {
    use rustix::mount::{MountFlags, mount};
    if spec.host_ipc {
        return Ok(());
    }
    let path = door::shm(&spec.dir);
    fs::create_dir_all(&path).map_err(prepare(&path))?;
    let options = match spec.shm_bytes {
        Some(bytes) => format!("mode=1777,size={bytes}"),
        None => "mode=1777".to_owned(),
    };
    let options = std::ffi::CString::new(options).unwrap_or_default();
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    mount("shm", &path, "tmpfs", flags, options.as_c_str()).map_err(|error| prepare(&path)(error.into()))
}

/// Starts a container; what was made for it goes if that fails.
pub(super) async fn container(pod: &Pod, spec: ContainerSpec, logs: LogFiles) -> Result<Container, PodError> {
    let folder = record::container_dir(&pod.spec().dir, &spec.id);
    let is_name = !spec.id.is_empty() && !spec.id.contains(['/', ' ']) && spec.id != "." && spec.id != "..";
    if !is_name || folder.exists() {
        let kind = if is_name { io::ErrorKind::AlreadyExists } else { io::ErrorKind::InvalidInput };
        return Err(prepare(&folder)(kind.into()));
    }
    let cgroup = format!("{}/{}", pod.spec().cgroup, spec.id);
    let id = spec.id.clone();
    let started = begin(pod, spec, logs, &folder, &cgroup).await;
    if started.is_err() {
        let (cgroup, folder, layer) = (cgroup.clone(), folder.clone(), pod.spec().layers.join(id));
        let _ = tokio::task::spawn_blocking(move || {
            let _ = cgroup::kill(&cgroup).and_then(|()| cgroup::remove(&cgroup));
            let _ = super::stop::remove_folder(&layer);
            super::stop::remove_folder(&folder)
        })
        .await;
    }
    started
}

async fn begin(pod: &Pod, spec: ContainerSpec, logs: LogFiles, folder: &Path, cgroup: &str) -> Result<Container, PodError> {
    let plan = lay_out(pod, spec, logs, folder, cgroup)?;
    let ends = if plan.container.tty { None } else { Some(Pump::open(folder).map_err(prepare(folder))?) };
    let doors =
        doors(pod, &plan.container, cgroup, true).map_err(|source| PodError::Limit { path: cgroup.to_owned(), source })?;
    let request = format!("start {} {}", plan.container.id, doors.late.len());
    let files: Vec<OwnedFd> = doors.early.into_iter().chain(doors.late).collect();
    let (message, _) = super::exec::ask(pod, &request, &files).await?;
    let mut words = message.words();
    let alive = match words.next() {
        Some("started") => Alive::from_words(words),
        _ => return Err(refusal(&message.text)),
    };
    let mut files = message.files.into_iter();
    let (Some(alive), Some(handle)) = (alive, files.next()) else { return Err(refusal(&message.text)) };
    let container = adopt_parts(pod, plan, alive, Some(handle), files.next());
    let flowing = match (ends, &container.0.terminal) {
        (Some(ends), _) => container.0.pump.flow(ends),
        (None, Some(terminal)) => terminal.try_clone().and_then(|terminal| container.0.pump.flow_terminal(terminal)),
        (None, None) => Ok(()),
    };
    flowing.map_err(prepare(folder))?;
    container.follow();
    pod.lock().insert(container.spec().id.clone(), container.clone());
    Ok(container)
}

/// The handle on a container, from what is known of it.
pub(super) fn adopt_parts(pod: &Pod, plan: Plan, alive: Alive, handle: Option<OwnedFd>, terminal: Option<OwnedFd>) -> Container {
    let spec = plan.container;
    let folder = record::container_dir(&pod.spec().dir, &spec.id);
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let stdin = if spec.stdin && !spec.tty { rustix::fs::open(folder.join("stdin"), flags, Mode::empty()).ok() } else { None };
    let (exit, _) = watch::channel(None);
    Container(Arc::new(running::Inner {
        cgroup: format!("{}/{}", pod.spec().cgroup, spec.id),
        pod_dir: pod.spec().dir.clone(),
        layer: plan.layer,
        own_processes: !pod.spec().host_pid && !pod.spec().share_processes,
        folder,
        alive,
        handle,
        pump: Pump::new(plan.logs),
        stdin: Mutex::new(stdin),
        terminal,
        exit,
        spec,
    }))
}

/// What a supervisor that says no means.
pub(super) fn refusal(text: &str) -> PodError {
    let rest = text.strip_prefix("failed ").unwrap_or(text);
    let (code, message) = rest.split_once(' ').unwrap_or(("0", rest));
    match code.parse() {
        Ok(0) | Err(_) => PodError::StartContainer { message: message.to_owned() },
        Ok(code) => PodError::ExecuteProgram { message: message.to_owned(), code },
    }
}

/// Makes folders, pipes, cgroup and plan of a container.
fn lay_out(pod: &Pod, spec: ContainerSpec, logs: LogFiles, folder: &Path, cgroup: &str) -> Result<Plan, PodError> {
    let layer = pod.spec().layers.join(&spec.id);
    for path in [folder.join("root"), folder.join("empty"), layer.join("upper"), layer.join("work")] {
        fs::create_dir_all(&path).map_err(prepare(&path))?;
    }
    if !spec.tty {
        for name in ["stdin", "stdout", "stderr"] {
            if name == "stdin" && !spec.stdin {
                continue;
            }
            let path = folder.join(name);
            let made = rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0);
            made.map_err(|error| prepare(&path)(error.into()))?;
            rustix::fs::chown(&path, Some(Uid::from_raw(spec.user.uid)), None::<Gid>)
                .map_err(|error| prepare(&path)(error.into()))?;
        }
    }
    let limit = |source| PodError::Limit { path: cgroup.to_owned(), source };
    cgroup::create(cgroup, &spec.limits).map_err(limit)?;
    let filters = filter::for_container(&spec).map_err(|source| PodError::Filter { id: spec.id.clone(), source })?;
    let fill = pod.spec().fills.as_deref().map(|fills| fill::of_container(&spec, fills));
    let fill = fill.transpose().unwrap_or_else(|error| {
        tracing::debug!(%error, "a container makes the places for its mounts itself");
        None
    });
    let host_ipc = pod.spec().host_ipc;
    let plan = Plan {
        filters,
        hostname: pod.spec().hostname.clone(),
        layer,
        fill: fill.flatten(),
        cgroups: cgroup::view(cgroup).map_err(limit)?,
        shm: if host_ipc { "/dev/shm".into() } else { door::shm(&pod.spec().dir) },
        host_ipc,
        container: spec,
        logs,
    };
    plan.write(folder).map_err(prepare(folder))?;
    Ok(plan)
}

/// The cgroups that a process of this container is to enter; its first one also finds the devices restricted.
pub(super) fn doors(pod: &Pod, spec: &ContainerSpec, cgroup: &str, first: bool) -> io::Result<Doors> {
    let mut doors = cgroup::doors(cgroup)?;
    if !spec.privileged && (first || !cgroup::is_unified()) {
        let parent = pod.spec().cgroup.rsplit_once('/').map_or("", |(parent, _)| parent);
        doors.early.extend(cgroup::restrict_devices(parent, cgroup, &spec.devices)?);
    }
    Ok(doors)
}

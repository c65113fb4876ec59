//! Takes over a pod from an agent that is gone, and replaces a supervisor that is gone. Starts nothing and ends nothing that lives.

use std::{fs, io, path::Path, sync::atomic::Ordering};

use super::{
    Pod, PodError, PodSpec, door,
    running::{Container, handle_of},
    start,
};
use crate::{
    cgroup,
    logs::pump::Pump,
    plan::Plan,
    supervise::record::{self, Alive},
};

/// See [`Pod::adopt`].
pub(super) async fn pod(dir: &Path) -> Result<Option<Pod>, PodError> {
    let failed = |source| PodError::Prepare { path: dir.to_owned(), source };
    let text = match fs::read(dir.join("pod.json")) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let Ok(spec) = serde_json::from_slice::<PodSpec>(&text) else {
        // Its writer died at it, so nothing was started.
        fs::remove_dir_all(dir).map_err(failed)?;
        return Ok(None);
    };
    cgroup::prefer_fast_moves();
    let peer = door::Connection::open(dir).and_then(|connection| connection.peer()).ok();
    if peer.is_some() {
        let _ = door::ask(dir, "reap", &[]).await;
    }
    let pod = Pod::of(spec, peer.unwrap_or_default());
    for entry in fs::read_dir(dir.join("c")).into_iter().flatten().flatten() {
        match container(&pod, &entry.path()).await {
            Some(container) => {
                container.follow();
                pod.lock().insert(container.spec().id.clone(), container);
            }
            None => discard(&pod, &entry.path()),
        }
    }
    if peer.is_none() {
        if pod.containers().is_empty() {
            super::stop::pod(&pod).await?;
            return Ok(None);
        }
        if pod.containers().iter().any(is_live) {
            revive(&pod).await?;
        }
    }
    Ok(Some(pod))
}

fn is_live(container: &Container) -> bool {
    container.0.alive.is_there() && record::read_exit(&container.0.folder).is_none()
}

/// The container of a folder, living or ended; nothing if its start was never finished.
async fn container(pod: &Pod, folder: &Path) -> Option<Container> {
    let plan = Plan::read(folder).ok()?;
    let ended = record::read_exit(folder);
    let alive = record::read_alive(folder).or_else(|| ended.map(|(_, started, _)| Alive { pid: 0, ticks: 0, started }))?;
    let handle = if ended.is_none() { handle_of(&alive) } else { None };
    let terminal = if plan.container.tty {
        let answer = door::ask(&pod.spec().dir, &format!("terminal {}", plan.container.id), &[]).await;
        answer.ok().and_then(|(mut message, _)| message.files.pop())
    } else {
        None
    };
    let container = start::adopt_parts(pod, plan, alive, handle, terminal);
    let flowing = match &container.0.terminal {
        Some(terminal) => terminal.try_clone().and_then(|terminal| container.0.pump.flow_terminal(terminal)),
        None if container.spec().tty => Ok(()),
        None => Pump::open(folder).and_then(|ends| container.0.pump.flow(ends)),
    };
    if let Err(error) = flowing {
        tracing::warn!(container = container.spec().id, %error, "log lines may be missing");
    }
    Some(container)
}

/// Ends what an agent was about to start when it died; its owner knows of no such container.
fn discard(pod: &Pod, folder: &Path) {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let cgroup = format!("{}/{name}", pod.spec().cgroup);
    let _ = cgroup::kill(&cgroup).and_then(|()| cgroup::remove(&cgroup));
    let _ = fs::remove_dir_all(pod.spec().layers.join(&name));
    let _ = fs::remove_dir_all(folder);
}

/// Starts a new supervisor in the namespaces that a container still holds; in new ones if none does.
pub(super) async fn revive(pod: &Pod) -> Result<(), PodError> {
    let _held = pod.0.reviving.lock().await;
    let dir = &pod.spec().dir;
    if door::Connection::open(dir).is_ok() {
        return Ok(());
    }
    let failed = |source| PodError::StartSupervisor { id: pod.spec().id.clone(), source };
    let join = pod.containers().iter().find(|container| is_live(container)).map(Container::pid);
    let (pid, starting) = door::spawn(dir, join).map_err(failed)?;
    let pause = starting.ready().await.map_err(failed)?;
    pod.0.pid.store(pid, Ordering::Release);
    start::keep_pause(pod.spec(), pause)
}

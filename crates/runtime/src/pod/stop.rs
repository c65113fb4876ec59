//! Ends a pod or takes a container away; every step is fine with what is gone already, and all of them are tried.

use std::{fs, io, path::Path};

use super::{Pod, PodError, PodSpec, door};
use crate::cgroup;

/// Takes away an ended container.
pub(super) async fn container(pod: &Pod, id: &str) -> Result<(), PodError> {
    let Some(container) = pod.container(id) else { return Ok(()) };
    if container.exit().is_none() {
        return Err(PodError::RemoveRunning(id.to_owned()));
    }
    let _ = door::ask(&pod.spec().dir, &format!("forget {id}"), &[]).await;
    let (path, folder, layer) = (container.cgroup().to_owned(), container.0.folder.clone(), container.0.layer.clone());
    blocking(move || {
        let killed = cgroup::kill(&path).and_then(|()| remove_cgroup(&path));
        killed.map_err(|source| PodError::Limit { path, source })?;
        // The folder last: as long as it is there, an agent that starts again knows that there is something to remove.
        remove_folder(&layer)?;
        remove_folder(&folder)
    })
    .await?;
    pod.lock().remove(id);
    Ok(())
}

/// See [`Pod::stop`].
pub(super) async fn pod(pod: &Pod) -> Result<(), PodError> {
    let spec = pod.spec().clone();
    let path = spec.cgroup.clone();
    let killed = blocking(move || cgroup::kill(&path).map_err(|source| PodError::Limit { path, source })).await;
    for container in pod.containers() {
        // Known before the supervisor goes, who may be the only one to know.
        let _ = container.signal(libc::SIGKILL).await;
        container.wait().await;
    }
    let pid = end_supervisor(pod).await;
    let removed = blocking(move || take_away(&spec, pid)).await;
    pod.lock().clear();
    killed.and(removed)
}

/// Asks it to end; its number, in case it does not.
async fn end_supervisor(pod: &Pod) -> i32 {
    match door::Connection::open(&pod.spec().dir) {
        Ok(connection) => {
            let pid = connection.peer().unwrap_or_default();
            if connection.send("end", &[]).await.is_ok() {
                let _ = connection.receive().await;
            }
            pid
        }
        Err(_) => pod.pid(),
    }
}

async fn blocking(work: impl FnOnce() -> Result<(), PodError> + Send + 'static) -> Result<(), PodError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err(PodError::Prepare { path: "/".into(), source: io::ErrorKind::Interrupted.into() }),
    }
}

fn take_away(spec: &PodSpec, pid: i32) -> Result<(), PodError> {
    wait_for_end(spec, pid);
    let shm = door::shm(&spec.dir);
    while rustix::mount::unmount(&shm, rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::NOFOLLOW).is_ok() {}
    let limited = remove_cgroup(&spec.cgroup).map_err(|source| PodError::Limit { path: spec.cgroup.clone(), source });
    limited.and(remove_folder(&spec.layers)).and(remove_folder(&spec.dir))
}

/// A supervisor that does not go within a second is killed; one of this number that is something else is left alone.
fn wait_for_end(spec: &PodSpec, pid: i32) {
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
    };
    let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else { return };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let is_ours = command.split(|byte| *byte == 0).any(|word| word == spec.dir.as_os_str().as_encoded_bytes());
    if !is_ours {
        return;
    }
    let wait = |seconds| poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&Timespec { tv_sec: seconds, tv_nsec: 0 }));
    if wait(1) == Ok(0) {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
        let _ = wait(10);
    }
}

/// A cgroup is busy for a moment after its last process has ended.
fn remove_cgroup(path: &str) -> io::Result<()> {
    for _ in 0..200 {
        match cgroup::remove(path) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            done => return done,
        }
        #[expect(clippy::disallowed_methods, reason = "the kernel has no event for this moment")]
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    cgroup::remove(path)
}

pub(super) fn remove_folder(folder: &Path) -> Result<(), PodError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(PodError::Prepare { path: folder.to_owned(), source }),
        _ => Ok(()),
    }
}

//! What is bound into a container: its volumes, the pod's files of `/etc`, the file for its last words.

use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::VolumeMount;
use runtime::container::{Mount, Propagation};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};

use super::{Parts, Unfit, env, message_file};

/// All mounts, outer ones first.
pub(super) fn of_container(parts: &Parts<'_>, known: &[(String, String)]) -> Result<Vec<Mount>, Unfit> {
    let mut all = of_pod(parts)?;
    for (at, mount) in parts.container.volume_mounts.iter().flatten().enumerate() {
        all.push(of_volume(parts, mount, at, known)?);
    }
    // A volume of one's own at these places hides the pod's file.
    let own: Vec<&str> = parts.container.volume_mounts.iter().flatten().map(|mount| mount.mount_path.as_str()).collect();
    let etc = parts.folder.join("etc");
    all.retain(|mount| !(mount.source.starts_with(&etc) && own.contains(&mount.target.as_str())));
    all.sort_by_key(|mount| Path::new(&mount.target).components().count());
    Ok(all)
}

fn plain(source: PathBuf, target: impl Into<String>) -> Mount {
    Mount { source, target: target.into(), read_only: false, recursive_read_only: false, propagation: Propagation::Private }
}

fn of_pod(parts: &Parts<'_>) -> Result<Vec<Mount>, Unfit> {
    let etc = parts.folder.join("etc");
    let mut all: Vec<Mount> =
        ["hosts", "resolv.conf", "hostname"].iter().map(|name| plain(etc.join(name), format!("/etc/{name}"))).collect();
    let path = parts.container.termination_message_path.as_deref().unwrap_or("/dev/termination-log");
    if !path.is_empty() {
        let restart = i32::try_from(parts.restart).unwrap_or(i32::MAX);
        let file = message_file(parts.folder, &parts.container.name, restart);
        let made = std::fs::create_dir_all(parts.own_folder()).and_then(|()| open_to_all(&file));
        made.map_err(|error| Unfit::create(format!("cannot make {}: {error}", file.display())))?;
        all.push(plain(file, path));
    }
    Ok(all)
}

/// The user of a container may be anyone.
fn open_to_all(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, "")?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666))
}

fn of_volume(parts: &Parts<'_>, mount: &VolumeMount, at: usize, known: &[(String, String)]) -> Result<Mount, Unfit> {
    let root = parts.volumes.path(&mount.name);
    let root = root.ok_or_else(|| Unfit::config(format!("cannot find volume \"{}\" to mount into container", mount.name)))?;
    let sub = match (&mount.sub_path, &mount.sub_path_expr) {
        (_, Some(text)) if !text.is_empty() => Some(env::expand(text, known)),
        (Some(path), _) if !path.is_empty() => Some(path.clone()),
        _ => None,
    };
    let source = match sub {
        Some(sub) => below(parts, &root, &sub, &format!("{}-{at}", mount.name))?,
        None => root,
    };
    let read_only = mount.read_only == Some(true) || is_read_only(parts, &mount.name);
    let recursive = read_only && matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible"));
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => Propagation::Bidirectional,
        _ => Propagation::Private,
    };
    let target = match mount.mount_path.starts_with('/') {
        true => mount.mount_path.clone(),
        false => format!("/{}", mount.mount_path),
    };
    Ok(Mount { source, target, read_only, recursive_read_only: recursive, propagation })
}

/// Whether the volume itself allows no writing: those made of objects never do.
fn is_read_only(parts: &Parts<'_>, name: &str) -> bool {
    let volumes = parts.pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    volumes.iter().find(|volume| volume.name == name).is_some_and(|volume| {
        let claim = volume.persistent_volume_claim.as_ref().and_then(|claim| claim.read_only) == Some(true);
        claim || volume.image.is_some() || crate::pod::steps::volumes::is_written(volume)
    })
}

/// A path below a volume that cannot lead out of it: opened without leaving, then bound to a place of ours, so that a link
/// that is put there later changes nothing. Made if it is missing.
fn below(parts: &Parts<'_>, root: &Path, sub: &str, name: &str) -> Result<PathBuf, Unfit> {
    if sub.starts_with('/') || Path::new(sub).components().any(|part| part.as_os_str() == "..") {
        return Err(Unfit::config(format!("subPath \"{sub}\" must be a relative path without '..'")));
    }
    let failed = |error: std::io::Error| {
        Unfit::config(format!(
            "failed to prepare subPath for volumeMount \"{name}\" of container \"{}\": {error}",
            parts.container.name
        ))
    };
    let opened = open_below(root, sub).map_err(failed)?;
    let folder = parts.folder.join("subpaths").join(&parts.container.name);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let target = folder.join(name);
    let source = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let is_folder = std::fs::metadata(&source).map_err(failed)?.is_dir();
    // One of an earlier run of the container makes way.
    let _ = rustix::mount::unmount(&target, rustix::mount::UnmountFlags::DETACH);
    let made = if is_folder { std::fs::create_dir_all(&target) } else { std::fs::write(&target, "") };
    made.map_err(failed)?;
    mount_bind(&source, &target).map_err(|error| failed(error.into()))?;
    let _ = mount_change(&target, MountPropagationFlags::PRIVATE);
    Ok(target)
}

/// Opens a path below a folder without following a link out of it; folders that are missing are made.
fn open_below(root: &Path, sub: &str) -> std::io::Result<OwnedFd> {
    let stay = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut folder = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let whole = rustix::fs::openat2(&folder, sub, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), stay);
    match whole {
        Ok(found) => return Ok(found),
        Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    for part in Path::new(sub).components() {
        let part = part.as_os_str();
        let next = rustix::fs::openat2(&folder, part, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), stay);
        folder = match next {
            Ok(found) => found,
            Err(rustix::io::Errno::NOENT) => {
                rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(0o750))?;
                let made = rustix::fs::openat2(&folder, part, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), stay)?;
                // As the volume's own folder is, so that whoever may write there may write here.
                let of_root = rustix::fs::stat(root)?;
                let path = format!("/proc/self/fd/{}", made.as_raw_fd());
                use std::os::unix::fs::PermissionsExt as _;
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(of_root.st_mode & 0o7777))?;
                std::os::unix::fs::chown(&path, Some(of_root.st_uid), Some(of_root.st_gid))?;
                made
            }
            Err(error) => return Err(error.into()),
        };
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_a_volume_stays_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("volume");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.join("in")).unwrap();
        for (sub, fine) in
            [("real", true), ("in", true), ("new/deep", true), ("out", false), ("out/passwd", false), ("up", false)]
        {
            assert_eq!(open_below(&root, sub).is_ok(), fine, "{sub}");
        }
        assert!(root.join("new/deep").is_dir());
        assert!(!dir.path().join("passwd").exists());
    }
}

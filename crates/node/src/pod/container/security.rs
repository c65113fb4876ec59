//! Whom a container runs as and what it may do: the security contexts of pod and container, the container's first.

use k8s_openapi::api::core::v1::{Capabilities as Asked, SeccompProfile, SecurityContext};
use runtime::container::{Capabilities, ContainerSpec, Seccomp, User};

use super::{Parts, Unfit};
use crate::pod::steps::chain;

/// Where profiles of the machine stand, below the node's folder.
const PROFILES: &str = "seccomp";

/// Puts it into the spec.
pub(super) fn apply(parts: &Parts<'_>, spec: &mut ContainerSpec) -> Result<(), Unfit> {
    let own = parts.container.security_context.clone().unwrap_or_default();
    spec.privileged = own.privileged == Some(true);
    spec.user = user(parts, &own)?;
    spec.capabilities = match spec.privileged {
        true => Capabilities::all(),
        false => capabilities(own.capabilities.as_ref()),
    };
    spec.no_new_privileges = own.allow_privilege_escalation == Some(false);
    spec.read_only_root = own.read_only_root_filesystem == Some(true);
    spec.masked_paths = own.proc_mount.as_deref() != Some("Unmasked") && !spec.privileged;
    spec.seccomp = seccomp(parts, &own, spec.privileged)?;
    Ok(())
}

fn capabilities(asked: Option<&Asked>) -> Capabilities {
    let list = |list: Option<&Vec<String>>| list.cloned().unwrap_or_default();
    Capabilities::adjusted(&list(asked.and_then(|asked| asked.add.as_ref())), &list(asked.and_then(|asked| asked.drop.as_ref())))
}

fn number(id: i64) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}

fn user(parts: &Parts<'_>, own: &SecurityContext) -> Result<User, Unfit> {
    let of_pod = parts.pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let asked = own.run_as_user.or(of_pod.run_as_user);
    let group = own.run_as_group.or(of_pod.run_as_group);
    let named = &parts.image.config.user;
    check_root(parts, own.run_as_non_root.or(of_pod.run_as_non_root), asked, named)?;
    let wanted = match asked {
        Some(id) => id.to_string(),
        None => named.clone(),
    };
    let resolved = runtime::rootfs::resolve_user(parts.image, &wanted);
    let mut user = resolved.map_err(|error| Unfit::create(chain(&error)))?;
    // Strict takes only the groups that the pod names, none of the image's.
    if of_pod.supplemental_groups_policy.as_deref() == Some("Strict") {
        user.groups.clear();
    }
    if let Some(group) = group {
        user.gid = number(group);
    }
    let further = of_pod.supplemental_groups.into_iter().flatten().chain(of_pod.fs_group).map(number);
    for group in further {
        if !user.groups.contains(&group) {
            user.groups.push(group);
        }
    }
    Ok(user)
}

/// Refuses root where it is not wanted, in upstream's words.
fn check_root(parts: &Parts<'_>, wanted: Option<bool>, asked: Option<i64>, named: &str) -> Result<(), Unfit> {
    if wanted != Some(true) {
        return Ok(());
    }
    let whose = format!("(pod: \"{}\", container: {})", parts.pod_text(), parts.container.name);
    if let Some(id) = asked {
        return match id {
            0 => Err(Unfit::config(format!("container's runAsUser breaks non-root policy {whose}"))),
            _ => Ok(()),
        };
    }
    let name = named.split(':').next().unwrap_or_default();
    match name.parse::<u32>() {
        Ok(0) => Err(Unfit::config(format!("container has runAsNonRoot and image will run as root {whose}"))),
        Ok(_) => Ok(()),
        Err(_) if name.is_empty() => Err(Unfit::config(format!("container has runAsNonRoot and image will run as root {whose}"))),
        Err(_) => Err(Unfit::config(format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {whose}"
        ))),
    }
}

fn seccomp(parts: &Parts<'_>, own: &SecurityContext, privileged: bool) -> Result<Seccomp, Unfit> {
    let of_pod = parts.pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let profile: Option<&SeccompProfile> =
        own.seccomp_profile.as_ref().or_else(|| of_pod.and_then(|context| context.seccomp_profile.as_ref()));
    if privileged {
        return Ok(Seccomp::Unconfined);
    }
    match profile.map(|profile| (profile.type_.as_str(), profile.localhost_profile.as_deref())) {
        // Without a word upstream applies none.
        None | Some(("Unconfined", _)) => Ok(Seccomp::Unconfined),
        Some(("Localhost", Some(name))) => {
            let path = parts.site.folder.join(PROFILES).join(name);
            let read = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let missing = || Unfit::create(format!("cannot load seccomp profile \"{}\"", path.display()));
            read.map(Seccomp::Profile).ok_or_else(missing)
        }
        Some(_) => Ok(Seccomp::RuntimeDefault),
    }
}

//! What the baseline forbids: known ways to the host.

use super::{Check, Pod, Violation, containers, distinct, name, plural, quoted};
use api::document::Value;

/// Every check of the baseline, in upstream's order.
pub(super) const CHECKS: &[Check] = &[
    capabilities,
    host_namespaces,
    host_paths,
    host_ports,
    host_probes,
    privileged,
    proc_mount,
    selinux,
    seccomp,
    sysctls,
    windows_host_process,
    app_armor,
];
/// The same without those that the restricted level replaces by stricter ones.
pub(super) const CHECKS_UNDER_RESTRICTED: &[Check] =
    &[host_namespaces, host_ports, host_probes, privileged, proc_mount, selinux, sysctls, windows_host_process, app_armor];

const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];

fn violation(reason: &'static str, detail: String) -> Option<Violation> {
    Some(Violation { reason, detail })
}

fn texts(values: &[Value]) -> impl Iterator<Item = &str> {
    values.iter().filter_map(Value::as_str)
}

fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let added = |c: &Value| -> Vec<String> {
        let list = texts(c.array_at(&["securityContext", "capabilities", "add"]));
        list.filter(|x| !CAPABILITIES.contains(x)).map(str::to_owned).collect()
    };
    let bad = pod.where_container(|c| !added(c).is_empty());
    if bad.is_empty() {
        return None;
    }
    let which = distinct(pod.containers().flat_map(added).collect());
    let detail = format!("{} must not include {} in securityContext.capabilities.add", containers(&bad), quoted(&which));
    violation("non-default capabilities", detail)
}

fn host_namespaces(pod: &Pod<'_>) -> Option<Violation> {
    let used: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| pod.spec.bool_at(&[field]) == Some(true))
        .map(|field| format!("{field}=true"))
        .collect();
    if used.is_empty() { None } else { violation("host namespaces", used.join(", ")) }
}

fn host_paths(pod: &Pod<'_>) -> Option<Violation> {
    let volumes = pod.spec.array_at(&["volumes"]).iter();
    let bad: Vec<&str> = volumes.filter(|v| v.get(&["hostPath"]).is_some_and(|h| !h.is_null())).map(name).collect();
    if bad.is_empty() {
        return None;
    }
    violation("hostPath volumes", format!("{} {}", plural("volume", bad.len()), quoted(&bad)))
}

fn host_ports(pod: &Pod<'_>) -> Option<Violation> {
    let ports = |c: &Value| -> Vec<String> {
        let ports = c.array_at(&["ports"]).iter().filter_map(|p| p.i64_at(&["hostPort"]));
        ports.filter(|p| *p != 0).map(|p| p.to_string()).collect()
    };
    let bad = pod.where_container(|c| !ports(c).is_empty());
    if bad.is_empty() {
        return None;
    }
    let used = distinct(pod.containers().flat_map(ports).collect());
    let uses = if bad.len() == 1 { "uses" } else { "use" };
    violation("hostPort", format!("{} {uses} {} {}", containers(&bad), plural("hostPort", used.len()), used.join(", ")))
}

fn host_probes(pod: &Pod<'_>) -> Option<Violation> {
    const PROBES: [&[&str]; 5] =
        [&["livenessProbe"], &["readinessProbe"], &["startupProbe"], &["lifecycle", "postStart"], &["lifecycle", "preStop"]];
    let host = |c: &Value| {
        PROBES.iter().any(|path| {
            ["httpGet", "tcpSocket"].iter().any(|action| {
                let host = c.get(path).and_then(|p| p.str_at(&[action, "host"])).unwrap_or_default();
                !matches!(host, "" | "127.0.0.1" | "::1")
            })
        })
    };
    let bad = pod.where_container(host);
    if bad.is_empty() {
        return None;
    }
    violation("probe or lifecycle host", format!("{} must not set a host in probes or lifecycle hooks", containers(&bad)))
}

fn privileged(pod: &Pod<'_>) -> Option<Violation> {
    let bad = pod.where_container(|c| c.bool_at(&["securityContext", "privileged"]) == Some(true));
    if bad.is_empty() {
        return None;
    }
    violation("privileged", format!("{} must not set securityContext.privileged=true", containers(&bad)))
}

fn proc_mount(pod: &Pod<'_>) -> Option<Violation> {
    let own_users = pod.spec.bool_at(&["hostUsers"]) == Some(false);
    let mount = |c: &Value| {
        let mount = c.str_at(&["securityContext", "procMount"]).filter(|m| *m != "Default" && !own_users);
        mount.map(str::to_owned)
    };
    let bad = pod.where_container(|c| mount(c).is_some());
    if bad.is_empty() {
        return None;
    }
    let kinds = distinct(pod.containers().filter_map(mount).collect());
    violation("procMount", format!("{} must not set securityContext.procMount to {}", containers(&bad), quoted(&kinds)))
}

/// The pod's and every container's value at a path below `securityContext`, with who sets it.
pub(super) fn setters<'a>(pod: &Pod<'a>, path: &[&str], bad: impl Fn(&Value) -> bool) -> Option<(String, Vec<&'a Value>)> {
    let at = |value: &'a Value| value.get(&["securityContext"]).and_then(|c| c.get(path)).filter(|v| bad(v));
    let own = at(pod.spec);
    let names: Vec<&str> = pod.containers().filter(|c| at(c).is_some()).map(name).collect();
    if own.is_none() && names.is_empty() {
        return None;
    }
    let mut who = Vec::new();
    if own.is_some() {
        who.push("pod".to_owned());
    }
    if !names.is_empty() {
        who.push(containers(&names));
    }
    Some((who.join(" and "), own.into_iter().chain(pod.containers().filter_map(at)).collect()))
}

fn selinux(pod: &Pod<'_>) -> Option<Violation> {
    let typed = |v: &Value| v.as_str().is_some_and(|t| !SELINUX_TYPES.contains(&t));
    let named = |v: &Value| v.as_str().is_some_and(|t| !t.is_empty());
    if let Some((who, values)) = setters(pod, &["seLinuxOptions", "type"], typed) {
        let types: Vec<String> = distinct(values.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect());
        return violation(
            "seLinuxOptions",
            format!("{who} set forbidden securityContext.seLinuxOptions: {} {}", plural("type", types.len()), quoted(&types)),
        );
    }
    for field in ["user", "role"] {
        if let Some((who, _)) = setters(pod, &["seLinuxOptions", field], named) {
            return violation(
                "seLinuxOptions",
                format!("{who} set forbidden securityContext.seLinuxOptions: {field} may not be set"),
            );
        }
    }
    None
}

fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    let bad = |v: &Value| v.as_str().is_some_and(|t| !matches!(t, "" | "RuntimeDefault" | "Localhost"));
    let (who, values) = setters(pod, &["seccompProfile", "type"], bad)?;
    let types = distinct(values.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect());
    violation("seccompProfile", format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&types)))
}

fn app_armor(pod: &Pod<'_>) -> Option<Violation> {
    let bad = |v: &Value| v.as_str().is_some_and(|t| !matches!(t, "" | "RuntimeDefault" | "Localhost"));
    let (who, values) = setters(pod, &["appArmorProfile", "type"], bad)?;
    let types = distinct(values.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect());
    violation("forbidden AppArmor profile", format!("{who} must not set AppArmor profile type to {}", quoted(&types)))
}

fn sysctls(pod: &Pod<'_>) -> Option<Violation> {
    let list = pod.spec.array_at(&["securityContext", "sysctls"]).iter().map(name);
    let bad: Vec<&str> = list.filter(|s| !SYSCTLS.contains(s)).collect();
    if bad.is_empty() { None } else { violation("forbidden sysctls", bad.join(", ")) }
}

fn windows_host_process(pod: &Pod<'_>) -> Option<Violation> {
    let (who, _) = setters(pod, &["windowsOptions", "hostProcess"], |v| v.as_bool() == Some(true))?;
    violation("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
}

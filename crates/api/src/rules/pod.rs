//! Pods: what is filled in, what may change, what must hold. Templates of workloads share the defaults.

use super::{FieldError, RuleContext, Rules, names};
use crate::document::{Map, Value, meta};

/// The rules of pods.
pub struct PodRules;

impl Rules for PodRules {
    fn default(&self, pod: &mut Value) {
        if let Some(spec) = pod.get_mut(&["spec"]) {
            default_spec(spec);
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => {
                new.set_at(&["status"], Value::object());
                new.set_at(&["status", "phase"], "Pending");
                new.set_at(&["status", "qosClass"], quality(new));
                if !new.array_at(&["spec", "schedulingGates"]).is_empty() {
                    new.set_at(&["status", "conditions"], Value::Array(vec![gated(context)]));
                }
            }
            Some(old) if context.subresource.is_none() => keep(new, old, &["status"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, subresource: Option<&str>) -> Vec<FieldError> {
        match (old, subresource) {
            (Some(old), None) => validate_change(new, old),
            (None, _) => {
                new.get(&["spec"]).map_or_else(|| vec![FieldError::required("spec", "")], |spec| validate_spec(spec, "spec"))
            }
            (Some(old), Some("ephemeralcontainers")) => validate_ephemeral(new, old),
            (Some(old), Some("resize")) => validate_resize(new, old),
            (Some(_), Some(_)) => Vec::new(),
        }
    }
}

/// The condition of a pod that no scheduler may look at yet.
fn gated(context: &RuleContext<'_>) -> Value {
    let mut condition = Value::object();
    condition.set_at(&["type"], "PodScheduled");
    condition.set_at(&["status"], "False");
    condition.set_at(&["reason"], "SchedulingGated");
    condition.set_at(&["message"], "Scheduling is blocked due to non-empty scheduling gates");
    condition.set_at(&["lastProbeTime"], Value::Null);
    condition.set_at(&["lastTransitionTime"], crate::document::meta::format_time(context.now));
    condition
}

/// Ephemeral containers are added, never changed, and have less than others.
fn validate_ephemeral(new: &Value, old: &Value) -> Vec<FieldError> {
    const FORBIDDEN: [&str; 6] = ["ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resizePolicy"];
    let mut errors = Vec::new();
    let (now, before) = (new.array_at(&["spec", "ephemeralContainers"]), old.array_at(&["spec", "ephemeralContainers"]));
    for (index, container) in now.iter().enumerate() {
        let path = format!("spec.ephemeralContainers[{index}]");
        let spec = new.get(&["spec"]).cloned().unwrap_or_default();
        validate_container(container, &path, &spec, &mut errors);
        let name = container.str_at(&["name"]);
        let others = ["containers", "initContainers"].iter().flat_map(|list| new.array_at(&["spec", list]));
        if others.chain(&now[..index]).any(|other| other.str_at(&["name"]) == name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), name.unwrap_or_default()));
        }
        for field in FORBIDDEN.iter().filter(|field| container.field(field).is_some_and(|value| !value.is_empty())) {
            errors.push(FieldError::forbidden(format!("{path}.{field}"), "cannot be set for an Ephemeral Container"));
        }
    }
    for (index, container) in before.iter().enumerate() {
        let path = format!("spec.ephemeralContainers[{index}]");
        let name = container.str_at(&["name"]).unwrap_or_default();
        match now.iter().find(|other| other.str_at(&["name"]) == Some(name)) {
            None => {
                errors.push(FieldError::forbidden(path, format!("existing ephemeral containers \"{name}\" may not be removed\n")))
            }
            Some(kept) if kept != container => {
                errors
                    .push(FieldError::forbidden(path, format!("existing ephemeral containers \"{name}\" may not be changed\n")));
            }
            Some(_) => {}
        }
    }
    errors
}

/// A resize changes amounts of CPU and memory, and never the quality of service.
fn validate_resize(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut left = new.get(&["spec"]).cloned().unwrap_or_default();
    let before = old.get(&["spec"]).cloned().unwrap_or_default();
    for list in ["containers", "initContainers"] {
        let amounts: Vec<Option<Value>> =
            before.array_at(&[list]).iter().map(|container| container.get(&["resources"]).cloned()).collect();
        for (container, amounts) in left.get_mut(&[list]).and_then(Value::as_array_mut).into_iter().flatten().zip(amounts) {
            match amounts {
                Some(amounts) => container.set_at(&["resources"], amounts),
                None => drop(container.remove_at(&["resources"])),
            }
        }
    }
    let mut errors = Vec::new();
    if left != before {
        errors.push(FieldError::forbidden("spec", "only cpu and memory resources are mutable"));
    }
    if quality(new) != quality(old) {
        errors.push(FieldError::invalid("spec", quality(new), "Pod QOS Class may not change as a result of resizing"));
    }
    errors
}

/// Takes a field from the old object.
pub(super) fn keep(new: &mut Value, old: &Value, path: &[&str]) {
    match old.get(path) {
        Some(value) => new.set_at(path, value.clone()),
        None => drop(new.remove_at(path)),
    }
}

/// Fills a pod spec in, as upstream's `SetDefaults_PodSpec` and its neighbours do.
pub(crate) fn default_spec(spec: &mut Value) {
    for (field, value) in [("restartPolicy", "Always"), ("dnsPolicy", "ClusterFirst"), ("schedulerName", "default-scheduler")] {
        spec.default_at(&[field], value);
    }
    spec.default_at(&["terminationGracePeriodSeconds"], 30_i64);
    spec.default_at(&["securityContext"], Value::object());
    spec.default_at(&["enableServiceLinks"], true);
    if let Some(account) = spec.str_at(&["serviceAccountName"]).map(str::to_owned) {
        spec.default_at(&["serviceAccount"], account);
    }
    let host_network = spec.bool_at(&["hostNetwork"]) == Some(true);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in spec.get_mut(&[list]).and_then(Value::as_array_mut).into_iter().flatten() {
            default_container(container, host_network);
        }
    }
    for volume in spec.get_mut(&["volumes"]).and_then(Value::as_array_mut).into_iter().flatten() {
        default_volume(volume);
    }
}

fn default_container(container: &mut Value, host_network: bool) {
    container.default_at(&["terminationMessagePath"], "/dev/termination-log");
    container.default_at(&["terminationMessagePolicy"], "File");
    container.default_at(&["resources"], Value::object());
    let image = container.str_at(&["image"]).unwrap_or_default();
    let latest = image.ends_with(":latest") || !image.rsplit('/').next().unwrap_or_default().contains([':', '@']);
    container.default_at(&["imagePullPolicy"], if latest { "Always" } else { "IfNotPresent" });
    for port in container.get_mut(&["ports"]).and_then(Value::as_array_mut).into_iter().flatten() {
        port.default_at(&["protocol"], "TCP");
        if host_network && let Some(number) = port.i64_at(&["containerPort"]) {
            port.default_at(&["hostPort"], number);
        }
    }
    for variable in container.get_mut(&["env"]).and_then(Value::as_array_mut).into_iter().flatten() {
        if variable.get(&["valueFrom", "fieldRef"]).is_some() {
            variable.default_at(&["valueFrom", "fieldRef", "apiVersion"], "v1");
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(&[probe]) {
            default_probe(probe);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(http) = container.get_mut(&["lifecycle", hook, "httpGet"]) {
            default_http(http);
        }
    }
    let limits: Option<Map> = container.object_at(&["resources", "limits"]).cloned();
    for (resource, limit) in limits.iter().flat_map(Map::iter) {
        container.default_at(&["resources", "requests", resource], limit.clone());
    }
}

fn default_probe(probe: &mut Value) {
    for (field, value) in [("timeoutSeconds", 1_i64), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)] {
        if probe.i64_at(&[field]).unwrap_or(0) == 0 {
            probe.set_at(&[field], value);
        }
    }
    if let Some(http) = probe.get_mut(&["httpGet"]) {
        default_http(http);
    }
    if probe.get(&["grpc"]).is_some() {
        probe.default_at(&["grpc", "service"], "");
    }
}

fn default_http(http: &mut Value) {
    http.default_at(&["path"], "/");
    http.default_at(&["scheme"], "HTTP");
}

/// The mode of files when nothing says another: 0644.
const FILE_MODE: i64 = 0o644;

fn default_volume(volume: &mut Value) {
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if volume.get(&[source]).is_some() {
            volume.default_at(&[source, "defaultMode"], FILE_MODE);
        }
    }
    if volume.get(&["hostPath"]).is_some() {
        volume.default_at(&["hostPath", "type"], "");
    }
    for source in volume.get_mut(&["projected", "sources"]).and_then(Value::as_array_mut).into_iter().flatten() {
        if source.get(&["serviceAccountToken"]).is_some() {
            source.default_at(&["serviceAccountToken", "expirationSeconds"], 3600_i64);
        }
        default_field_refs(source, &["downwardAPI", "items"]);
    }
    default_field_refs(volume, &["downwardAPI", "items"]);
    let sources = volume.as_object().map_or(0, Map::len);
    if sources <= 1 && volume.get(&["name"]).is_some() {
        volume.set_at(&["emptyDir"], Value::object());
    }
}

fn default_field_refs(holder: &mut Value, path: &[&str]) {
    for item in holder.get_mut(path).and_then(Value::as_array_mut).into_iter().flatten() {
        if item.get(&["fieldRef"]).is_some() {
            item.default_at(&["fieldRef", "apiVersion"], "v1");
        }
    }
}

/// The quality of service of a pod (`GetPodQOS`): from requests and limits of CPU and memory.
pub fn quality(pod: &Value) -> &'static str {
    let lists = ["initContainers", "containers"];
    let containers = lists.iter().flat_map(|list| pod.array_at(&["spec", list]));
    let (mut any, mut guaranteed) = (false, true);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let amount = |kind: &str| container.get(&["resources", kind, resource]).map(ToString::to_string);
            let (request, limit) = (amount("requests"), amount("limits"));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// What is wrong with a pod spec below `field`.
pub(crate) fn validate_spec(spec: &Value, field: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let containers = spec.array_at(&["containers"]);
    if containers.is_empty() {
        errors.push(FieldError::required(format!("{field}.containers"), ""));
    }
    let mut seen: Vec<&str> = Vec::new();
    for list in ["initContainers", "containers"] {
        for (at, container) in spec.array_at(&[list]).iter().enumerate() {
            let path = format!("{field}.{list}[{at}]");
            validate_container(container, &path, spec, &mut errors);
            let name = container.str_at(&["name"]).unwrap_or_default();
            if !name.is_empty() && seen.contains(&name) {
                errors.push(FieldError::duplicate(format!("{path}.name"), name));
            }
            seen.push(name);
        }
    }
    for (at, sysctl) in spec.array_at(&["securityContext", "sysctls"]).iter().enumerate() {
        let name = sysctl.str_at(&["name"]).unwrap_or_default();
        let path = format!("{field}.securityContext.sysctls[{at}].name");
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if !is_sysctl(name) {
            let problem = format!("must have at most {SYSCTL_MAX} characters and match regex {SYSCTL}");
            errors.push(FieldError::invalid(path, name, problem));
        }
    }
    let policy = spec.str_at(&["restartPolicy"]).unwrap_or_default();
    if !matches!(policy, "Always" | "OnFailure" | "Never") {
        errors.push(FieldError::not_supported(format!("{field}.restartPolicy"), policy, &["Always", "Never", "OnFailure"]));
    }
    super::projected::volumes(spec, field, &mut errors);
    errors
}

/// The longest name of a kernel setting, and its form as users are told it.
const SYSCTL_MAX: usize = 253;
const SYSCTL: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// Whether a text has the form of [`SYSCTL`].
fn is_sysctl(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= SYSCTL_MAX
        && name.split(['.', '/']).all(|segment| {
            let bytes = segment.as_bytes();
            let inner = bytes.iter().all(|byte| matches!(byte, b'-' | b'_') || edge(Some(byte)));
            edge(bytes.first()) && edge(bytes.last()) && inner
        })
}

fn validate_container(container: &Value, path: &str, spec: &Value, errors: &mut Vec<FieldError>) {
    match container.str_at(&["name"]).unwrap_or_default() {
        "" => errors.push(FieldError::required(format!("{path}.name"), "")),
        name => errors
            .extend(names::dns_label(name).into_iter().map(|problem| FieldError::invalid(format!("{path}.name"), name, problem))),
    }
    if container.str_at(&["image"]).unwrap_or_default().trim().is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    }
    let volumes: Vec<&str> = spec.array_at(&["volumes"]).iter().filter_map(|volume| volume.str_at(&["name"])).collect();
    for (at, mount) in container.array_at(&["volumeMounts"]).iter().enumerate() {
        let name = mount.str_at(&["name"]).unwrap_or_default();
        if !volumes.contains(&name) {
            errors.push(FieldError::not_found(format!("{path}.volumeMounts[{at}].name"), name));
        }
        if mount.str_at(&["mountPath"]).unwrap_or_default().is_empty() {
            errors.push(FieldError::required(format!("{path}.volumeMounts[{at}].mountPath"), ""));
        }
    }
    for (at, port) in container.array_at(&["ports"]).iter().enumerate() {
        let number = port.i64_at(&["containerPort"]).unwrap_or(0);
        if let Some(problem) = names::port_number(number) {
            errors.push(FieldError::invalid(format!("{path}.ports[{at}].containerPort"), number, problem));
        }
    }
}

/// A running pod may change its images, its deadline, more tolerations and, towards a second, its grace; nothing else.
fn validate_change(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut left = new.get(&["spec"]).cloned().unwrap_or_default();
    let before = old.get(&["spec"]).cloned().unwrap_or_default();
    for list in ["containers", "initContainers"] {
        let images: Vec<Option<Value>> =
            before.array_at(&[list]).iter().map(|container| container.get(&["image"]).cloned()).collect();
        for (container, image) in left.get_mut(&[list]).and_then(Value::as_array_mut).into_iter().flatten().zip(images) {
            if let Some(image) = image {
                container.set_at(&["image"], image);
            }
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "schedulingGates"] {
        keep(&mut left, &before, &[field]);
    }
    if !before.array_at(&["schedulingGates"]).is_empty() {
        for field in ["nodeSelector", "affinity"] {
            keep(&mut left, &before, &[field]);
        }
    }
    if left == before || meta::uid(new) != meta::uid(old) {
        return Vec::new();
    }
    let detail = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                  `spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
                  previously negative)";
    vec![FieldError::forbidden("spec", detail)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_kernel_settings_have_segments_that_begin_and_end_well() {
        for name in ["kernel.shmmax", "net/ipv4/conf.all-x_y", "safe-and-unsafe", "1"] {
            assert!(is_sysctl(name), "{name}");
        }
        for name in ["foo-", "bar..", "", ".a", "A", "a b"] {
            assert!(!is_sysctl(name), "{name}");
        }
    }
}

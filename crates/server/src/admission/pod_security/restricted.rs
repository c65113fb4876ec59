//! What the restricted level forbids on top of the baseline.

use super::baseline::setters;
use super::{Check, Pod, Violation, containers, distinct, name, plural, quoted};
use api::document::Value;

/// Every check of the restricted level, in upstream's order.
pub(super) const CHECKS: &[Check] = &[escalation, capabilities, volumes, non_root, user, seccomp];

const VOLUMES: [&str; 9] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"];

fn violation(reason: &'static str, detail: String) -> Option<Violation> {
    Some(Violation { reason, detail })
}

fn escalation(pod: &Pod<'_>) -> Option<Violation> {
    let bad = pod.where_container(|c| c.bool_at(&["securityContext", "allowPrivilegeEscalation"]) != Some(false));
    if bad.is_empty() {
        return None;
    }
    violation(
        "allowPrivilegeEscalation != false",
        format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&bad)),
    )
}

fn capabilities(pod: &Pod<'_>) -> Option<Violation> {
    let list = |c: &Value, field: &str| -> Vec<String> {
        let list = c.array_at(&["securityContext", "capabilities", field]).iter();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut details = Vec::new();
    let undropped = pod.where_container(|c| !list(c, "drop").iter().any(|x| x == "ALL"));
    if !undropped.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&undropped)));
    }
    let added = |c: &Value| list(c, "add").into_iter().filter(|x| x != "NET_BIND_SERVICE").collect::<Vec<_>>();
    let adding = pod.where_container(|c| !added(c).is_empty());
    if !adding.is_empty() {
        let which = distinct(pod.containers().flat_map(added).collect());
        let who = containers(&adding);
        details.push(format!("{who} must not include {} in securityContext.capabilities.add", quoted(&which)));
    }
    if details.is_empty() { None } else { violation("unrestricted capabilities", details.join("; ")) }
}

fn volumes(pod: &Pod<'_>) -> Option<Violation> {
    let kind = |v: &Value| -> Option<String> {
        let mut fields = v.as_object()?.iter().map(|(k, _)| k.to_string());
        fields.find(|k| k != "name" && !VOLUMES.contains(&k.as_str()))
    };
    let all = pod.spec.array_at(&["volumes"]);
    let bad: Vec<&str> = all.iter().filter(|v| kind(v).is_some()).map(name).collect();
    if bad.is_empty() {
        return None;
    }
    let kinds = distinct(all.iter().filter_map(kind).collect());
    let uses = if bad.len() == 1 { "uses" } else { "use" };
    let types = plural("restricted volume type", kinds.len());
    let detail = format!("{} {} {uses} {types} {}", plural("volume", bad.len()), quoted(&bad), quoted(&kinds));
    violation("restricted volume types", detail)
}

fn non_root(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if let Some((who, _)) = setters(pod, &["runAsNonRoot"], |v| v.as_bool() == Some(false)) {
        return violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    if pod.spec.bool_at(&["securityContext", "runAsNonRoot"]) == Some(true) {
        return None;
    }
    let silent = pod.where_container(|c| c.bool_at(&["securityContext", "runAsNonRoot"]).is_none());
    if silent.is_empty() {
        return None;
    }
    violation(REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent)))
}

fn user(pod: &Pod<'_>) -> Option<Violation> {
    let (who, _) = setters(pod, &["runAsUser"], |v| v.as_i64() == Some(0))?;
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

fn seccomp(pod: &Pod<'_>) -> Option<Violation> {
    const REASON: &str = "seccompProfile";
    let good = |t: &str| matches!(t, "RuntimeDefault" | "Localhost");
    if let Some((who, values)) = setters(pod, &["seccompProfile", "type"], |v| v.as_str().is_some_and(|t| !good(t))) {
        let types = distinct(values.iter().filter_map(|v| v.as_str()).map(str::to_owned).collect());
        let detail = format!("{who} must not set securityContext.seccompProfile.type to {}", quoted(&types));
        return violation(REASON, detail);
    }
    let path = ["securityContext", "seccompProfile", "type"];
    if pod.spec.str_at(&path).is_some() {
        return None;
    }
    let silent = pod.where_container(|c| c.str_at(&path).is_none());
    if silent.is_empty() {
        return None;
    }
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        containers(&silent)
    );
    violation(REASON, detail)
}

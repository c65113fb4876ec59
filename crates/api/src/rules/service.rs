//! Services: their type, ports and affinity. Addresses and node ports are the server's to give.

use super::{FieldError, RuleContext, Rules, names};
use crate::document::Value;

/// The rules of services.
pub struct ServiceRules;

/// How long an affinity of clients lasts when nothing says so, in seconds.
const AFFINITY_SECONDS: i64 = 10_800;

impl Rules for ServiceRules {
    fn default(&self, service: &mut Value) {
        service.default_at(&["spec", "type"], "ClusterIP");
        service.default_at(&["spec", "sessionAffinity"], "None");
        if service.str_at(&["spec", "sessionAffinity"]) == Some("ClientIP") {
            service.default_at(&["spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"], AFFINITY_SECONDS);
        }
        let kind = service.str_at(&["spec", "type"]).unwrap_or_default().to_owned();
        if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
            service.default_at(&["spec", "externalTrafficPolicy"], "Cluster");
        }
        if kind == "LoadBalancer" {
            service.default_at(&["spec", "allocateLoadBalancerNodePorts"], true);
        }
        if kind != "ExternalName" {
            service.default_at(&["spec", "internalTrafficPolicy"], "Cluster");
        }
        for port in service.get_mut(&["spec", "ports"]).and_then(Value::as_array_mut).into_iter().flatten() {
            port.default_at(&["protocol"], "TCP");
            if let Some(number) = port.get(&["port"]).cloned() {
                port.default_at(&["targetPort"], number);
            }
        }
    }

    fn prepare(&self, new: &mut Value, old: Option<&Value>, context: &RuleContext<'_>) {
        match old {
            None => {
                new.set_at(&["status"], Value::object());
                new.set_at(&["status", "loadBalancer"], Value::object());
            }
            Some(old) if context.subresource.is_none() => super::pod::keep(new, old, &["status"]),
            Some(_) => {}
        }
    }

    fn validate(&self, new: &Value, old: Option<&Value>, _: Option<&str>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let ports = new.array_at(&["spec", "ports"]);
        let kind = new.str_at(&["spec", "type"]).unwrap_or_default();
        if !matches!(kind, "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName") {
            errors.push(FieldError::not_supported("spec.type", kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]));
        }
        let headless = new.str_at(&["spec", "clusterIP"]) == Some("None");
        if ports.is_empty() && !headless && kind != "ExternalName" {
            errors.push(FieldError::required("spec.ports", ""));
        }
        for (at, port) in ports.iter().enumerate() {
            let number = port.i64_at(&["port"]).unwrap_or(0);
            if let Some(problem) = names::port_number(number) {
                errors.push(FieldError::invalid(format!("spec.ports[{at}].port"), number, problem));
            }
            let name = port.str_at(&["name"]).unwrap_or_default();
            if name.is_empty() && ports.len() > 1 {
                errors.push(FieldError::required(format!("spec.ports[{at}].name"), ""));
            }
            if !name.is_empty() && ports[..at].iter().any(|other| other.str_at(&["name"]) == Some(name)) {
                errors.push(FieldError::duplicate(format!("spec.ports[{at}].name"), name));
            }
        }
        let before = old.and_then(|old| old.str_at(&["spec", "clusterIP"])).unwrap_or_default();
        let now = new.str_at(&["spec", "clusterIP"]).unwrap_or_default();
        if !before.is_empty() && kind != "ExternalName" && before != now {
            let field = "spec.clusterIPs[0]";
            errors.push(FieldError::invalid(field, Value::Array(vec![now.into()]), "may not change once set"));
        }
        errors
    }
}

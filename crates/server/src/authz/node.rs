//! The node authorizer: a node may read the secrets, config maps and claims of the pods that are bound to it, make tokens for their
//! service accounts, and otherwise do what the role `system:node` says. What a node may write is limited further by
//! the `NodeRestriction` admission plugin, which sees the objects.

mod graph;
mod neighbours;

pub(crate) use graph::VOLUME_NODE;
pub use graph::{Graph, NeededKind, Source, pod_needs};
pub(crate) use neighbours::seen_by;

use api::identity::{VOLUME_NODE_LABEL, node_label};

use super::{Attributes, Decision, ResourceTarget, Target, bootstrap};

const LEASES: &str = "kube-node-lease";

fn no_opinion(reason: impl Into<String>) -> Decision {
    Decision::NoOpinion { reason: reason.into() }
}

fn allow() -> Decision {
    Decision::Allow { reason: String::new() }
}

impl Graph {
    /// Whether a node may do this; no opinion on anyone who is not a node.
    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let identity = attributes.identity;
        let Some(node) = identity.node_name() else { return no_opinion("") };
        if let Target::Resource(target) = &attributes.target {
            let verb = attributes.verb;
            match (target.group, target.resource) {
                ("", "secrets") => return self.namespaced(node, NeededKind::Secret, verb, target),
                ("", "configmaps") => return self.namespaced(node, NeededKind::ConfigMap, verb, target),
                ("", "persistentvolumeclaims") => return self.claim(node, verb, target),
                ("", "persistentvolumes") => return self.volume(node, verb, target),
                ("storage.k8s.io", "volumeattachments") => {
                    return get_alone(verb, target, |name| self.attached_to(name, node), node);
                }
                ("", "serviceaccounts") => return self.service_account(node, verb, target),
                ("coordination.k8s.io", "leases") => return lease(node, verb, target),
                ("storage.k8s.io", "csinodes") => return csi_node(node, verb, target),
                ("", "nodes") => return own_node(node, verb, target),
                ("", "pods") => return self.pod(node, verb, target),
                ("certificates.k8s.io", "podcertificaterequests") => return self.pod_certificate(node, verb, target),
                _ => {}
            }
        }
        if bootstrap::node_rules().iter().any(|rule| rule.allows(attributes)) { allow() } else { no_opinion("") }
    }

    fn related(&self, node: &str, kind: NeededKind, target: &ResourceTarget<'_>) -> Decision {
        if target.name.is_empty() {
            return no_opinion("No Object name found");
        }
        related(self.needed(kind, target.namespace, target.name, node), node)
    }

    fn namespaced(&self, node: &str, kind: NeededKind, verb: &str, target: &ResourceTarget<'_>) -> Decision {
        if !matches!(verb, "get" | "list" | "watch") {
            return no_opinion("can only read resources of this type");
        }
        if !target.subresource.is_empty() {
            return no_opinion("cannot read subresource");
        }
        if target.namespace.is_empty() {
            return no_opinion("can only read namespaced object of this type");
        }
        self.related(node, kind, target)
    }

    fn claim(&self, node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
        let needed = |name: &str| self.needed(NeededKind::Claim, target.namespace, name, node);
        if target.subresource != "status" {
            return get_alone(verb, target, needed, node);
        }
        match verb {
            "update" | "patch" => self.related(node, NeededKind::Claim, target),
            _ => no_opinion("can only get/update/patch this type"),
        }
    }

    fn service_account(&self, node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
        if verb == "get" && target.subresource.is_empty() {
            return self.namespaced(node, NeededKind::ServiceAccount, verb, target);
        }
        if verb != "create" || target.name.is_empty() {
            return no_opinion("can only create tokens for individual service accounts");
        }
        if target.subresource != "token" {
            return no_opinion("can only create token subresource of serviceaccount");
        }
        self.related(node, NeededKind::ServiceAccount, target)
    }

    fn pod(&self, node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
        match (target.subresource, verb) {
            ("", "get") => self.related(node, NeededKind::Pod, target),
            ("", "list" | "watch") => {
                if selects_own(target.field_selector, node) {
                    return allow();
                }
                if !target.name.is_empty() {
                    return self.related(node, NeededKind::Pod, target);
                }
                no_opinion("can only list/watch pods with spec.nodeName field selector")
            }
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => allow(),
            _ => no_opinion(""),
        }
    }
}

impl Graph {
    /// The volumes that its pods use, and those whose folders it has.
    fn volume(&self, node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
        let own = format!("{VOLUME_NODE_LABEL}={}", node_label(node));
        match verb {
            "list" | "watch" if target.label_selector.split(',').any(|term| term.trim() == own) => allow(),
            "patch" if target.subresource.is_empty() => related(self.is_local(target.name, node), node),
            _ => get_alone(verb, target, |name| self.volume_needed(name, node) || self.is_local(name, node), node),
        }
    }

    fn pod_certificate(&self, node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
        if !target.subresource.is_empty() {
            return no_opinion("nodes may not access the status subresource of PodCertificateRequests");
        }
        match verb {
            "create" => allow(),
            "get" => get_alone(verb, target, |name| self.requested_by(target.namespace, name, node), node),
            "list" | "watch" if selects_own(target.field_selector, node) => allow(),
            "list" | "watch" => no_opinion("can only list/watch podcertificaterequests with nodeName field selector"),
            _ => no_opinion(format!("nodes may not {verb} podcertificaterequests")),
        }
    }
}

fn related(found: bool, node: &str) -> Decision {
    if found {
        return allow();
    }
    no_opinion(format!("no relationship found between node '{node}' and this object"))
}

fn get_alone(verb: &str, target: &ResourceTarget<'_>, needed: impl Fn(&str) -> bool, node: &str) -> Decision {
    if verb != "get" {
        return no_opinion("can only get individual resources of this type");
    }
    if !target.subresource.is_empty() {
        return no_opinion("cannot get subresource");
    }
    if target.name.is_empty() {
        return no_opinion("No Object name found");
    }
    related(needed(target.name), node)
}

/// `spec.nodeName=<node>` is one of the selector's terms.
fn selects_own(field_selector: &str, node: &str) -> bool {
    field_selector.split(',').any(|term| {
        let Some((field, value)) = term.split_once('=') else { return false };
        field.trim() == "spec.nodeName" && value.strip_prefix('=').unwrap_or(value).trim() == node
    })
}

fn lease(node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return no_opinion("can only get, create, update, patch, or delete a node lease");
    }
    if target.namespace != LEASES {
        return no_opinion(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    if verb != "create" && target.name != node {
        return no_opinion("can only access node lease with the same name as the requesting node");
    }
    allow()
}

fn csi_node(node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
    if !target.subresource.is_empty() {
        return no_opinion("cannot authorize CSINode subresources");
    }
    if !matches!(verb, "get" | "create" | "update" | "patch" | "delete") {
        return no_opinion("can only get, create, update, patch, or delete a CSINode");
    }
    if verb != "create" && target.name != node {
        return no_opinion("can only access CSINode with the same name as the requesting node");
    }
    allow()
}

fn own_node(node: &str, verb: &str, target: &ResourceTarget<'_>) -> Decision {
    match (target.subresource, verb) {
        ("", "create" | "update" | "patch") | ("status", "update" | "patch") => allow(),
        ("", "get" | "list" | "watch") if target.name == node => allow(),
        ("", "get" | "list" | "watch") if target.name.is_empty() => {
            no_opinion(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        ("", "get" | "list" | "watch") => {
            no_opinion(format!("node '{node}' cannot read '{}', only its own Node object", target.name))
        }
        _ => no_opinion(""),
    }
}

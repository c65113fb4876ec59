//! Who may do what: `AUTHORIZERS` in order, the first that has an opinion decides. Reads indexes kept in memory, never the
//! store, and never changes anything. One question a request, asked by the request's list of steps and nowhere else; reviews ask the same question.

pub mod bootstrap;
pub mod node;
pub mod rbac;
pub mod review;

use crate::State;
use api::identity::Identity;
use api::status::{Reason, Status};

/// One question: may this identity do this?
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    /// Who asks.
    pub identity: &'a Identity,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, …; lower-case HTTP method for paths.
    pub verb: &'a str,
    /// What it is to be done to.
    pub target: Target<'a>,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub enum Target<'a> {
    /// An object or a collection.
    Resource(ResourceTarget<'a>),
    /// Something else, as `/healthz`.
    Path(&'a str),
}

/// An object or a collection; empty strings stand for what does not apply.
#[derive(Clone, Debug, Default)]
pub struct ResourceTarget<'a> {
    /// API group, empty for core.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Subresource, as `log`.
    pub subresource: &'a str,
    /// Namespace, empty at cluster scope or across namespaces.
    pub namespace: &'a str,
    /// Object name, empty for collections.
    pub name: &'a str,
    /// `metadata.name=x` of a list's or watch's field selector: the node authorizer needs it.
    pub field_selector: &'a str,
    /// The label selector of a list or watch.
    pub label_selector: &'a str,
}

impl Attributes<'_> {
    /// The resource asked about; none for a path.
    pub fn resource(&self) -> Option<&ResourceTarget<'_>> {
        match &self.target {
            Target::Resource(resource) => Some(resource),
            Target::Path(_) => None,
        }
    }

    /// Whether the verb only looks.
    pub fn reads(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    /// Why not, in upstream's words: the message of a `403` after `pods "x" is forbidden: `.
    pub fn refusal(&self, reason: &str) -> String {
        let user = &self.identity.name;
        let verb = self.verb;
        let mut text = match &self.target {
            Target::Path(path) => format!("User {user:?} cannot {verb} path {path:?}"),
            Target::Resource(r) => {
                let resource =
                    if r.subresource.is_empty() { r.resource.to_owned() } else { format!("{}/{}", r.resource, r.subresource) };
                let scope = if r.namespace.is_empty() {
                    "at the cluster scope".to_owned()
                } else {
                    format!("in the namespace {:?}", r.namespace)
                };
                format!("User {user:?} cannot {verb} resource {resource:?} in API group {:?} {scope}", r.group)
            }
        };
        if !reason.is_empty() {
            text.push_str(": ");
            text.push_str(reason);
        }
        text
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow {
        /// Why, for reviews.
        reason: String,
    },
    /// It may not, whatever others say.
    Deny {
        /// Why.
        reason: String,
    },
    /// Nobody allows it, which is a refusal too.
    NoOpinion {
        /// What stood in the way, if anything.
        reason: String,
    },
}

impl Decision {
    /// Whether it may.
    pub fn allowed(&self) -> bool {
        matches!(self, Decision::Allow { .. })
    }

    /// Why, or why not.
    pub fn reason(&self) -> &str {
        match self {
            Decision::Allow { reason } | Decision::Deny { reason } | Decision::NoOpinion { reason } => reason,
        }
    }
}

/// One way of deciding.
struct Authorizer {
    /// Its name, for logs.
    name: &'static str,
    decide: fn(&Attributes<'_>, &Indexes) -> Decision,
}

/// Every authorizer, in the order of asking.
const AUTHORIZERS: &[Authorizer] = &[
    Authorizer { name: "masters", decide: masters },
    Authorizer { name: "Node", decide: |attributes, indexes| indexes.nodes.authorize(attributes) },
    Authorizer { name: "RBAC", decide: |attributes, indexes| indexes.rbac.authorize(attributes) },
];

/// What authorization knows: kept up to date by the store's events.
#[derive(Default)]
pub struct Indexes {
    /// Roles and bindings.
    pub rbac: rbac::Rbac,
    /// Which node needs which objects.
    pub nodes: node::Graph,
}

impl Indexes {
    /// May this identity do this?
    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut reason = String::new();
        for authorizer in AUTHORIZERS {
            match (authorizer.decide)(attributes, self) {
                Decision::NoOpinion { reason: why } if why.is_empty() => {}
                Decision::NoOpinion { reason: why } => {
                    tracing::trace!(authorizer = authorizer.name, %why, "no opinion");
                    reason = if reason.is_empty() { why } else { format!("{reason}, {why}") };
                }
                opinion => return opinion,
            }
        }
        Decision::NoOpinion { reason }
    }
}

/// Members of `system:masters` may do everything, also when every role was deleted.
fn masters(attributes: &Attributes<'_>, _: &Indexes) -> Decision {
    if attributes.identity.groups.iter().any(|g| g == crate::pki::MASTERS) {
        return Decision::Allow { reason: String::new() };
    }
    Decision::NoOpinion { reason: String::new() }
}

/// May this identity do this?
pub fn authorize(attributes: &Attributes<'_>, state: &State) -> Decision {
    state.security.indexes.authorize(attributes)
}

/// The `403` for a question that was answered with no.
pub fn forbidden(attributes: &Attributes<'_>, decision: &Decision) -> Status {
    let refusal = attributes.refusal(decision.reason());
    match &attributes.target {
        Target::Path(_) => Status::new(Reason::Forbidden, format!("forbidden: {refusal}")),
        Target::Resource(r) => Status::forbidden(r.group, r.resource, r.name, &refusal),
    }
}

#[cfg(test)]
mod tests;

//! What may be written, beyond rights and rules: `PLUGINS` in upstream's order. Mutating steps all run first, then validating ones; a
//! refusal is final. Plugins see the newest committed objects and change only the object under review.

mod certificates;
mod default_ingress_class;
mod default_storage_class;
mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod node_restriction;
mod pod_certificates;
pub mod pod_security;
mod priority;
mod rbac_escalation;
pub mod resource_quota;
mod runtime_class;
mod service_account;
mod storage_in_use;
mod taint_nodes;
mod volume_resize;

use crate::State;
use crate::security::{Objects, Security};
use api::document::{Value, meta};
use api::identity::Identity;
use api::status::Status;

/// What is done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It goes.
    Delete,
    /// Someone connects to it (exec, proxy, …).
    Connect,
}

impl Operation {
    /// The word that refusals use.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

/// One write under review. Empty strings stand for what does not apply.
pub struct Review<'a> {
    /// Who writes.
    pub identity: &'a Identity,
    /// What is done.
    pub operation: Operation,
    /// API group.
    pub group: &'a str,
    /// API version of the request.
    pub version: &'a str,
    /// Kind of the object (`Pod`; for a subresource with a kind of its own that one, as `TokenRequest`).
    pub kind: &'a str,
    /// Plural resource name.
    pub resource: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Namespace.
    pub namespace: &'a str,
    /// Name, as far as it is known.
    pub name: &'a str,
    /// The object as it would be stored; null when it goes.
    pub object: &'a mut Value,
    /// The object as it is stored.
    pub old: Option<&'a Value>,
    /// The options of the request.
    pub options: &'a Value,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// What the client should be told although it may.
    pub warnings: Vec<String>,
}

impl Review<'_> {
    /// Whether this is about objects of a core resource itself.
    fn is_core(&self, resource: &str) -> bool {
        self.group.is_empty() && self.resource == resource && self.subresource.is_empty()
    }

    /// Whether a pod is being created.
    fn creates_pod(&self) -> bool {
        self.operation == Operation::Create && self.is_core("pods")
    }

    /// The `403` of a plugin: `pods "x" is forbidden: why`.
    fn forbidden(&self, why: impl AsRef<str>) -> Status {
        let own = meta::name(self.object);
        let name = [self.name, own, meta::generate_name(self.object)].into_iter().find(|n| !n.is_empty());
        Status::forbidden(self.group, self.resource, name.unwrap_or("Unknown"), why.as_ref())
    }
}

/// What plugins look at beside the review.
pub(crate) struct Ground<'a> {
    /// The cluster's objects.
    pub objects: &'a dyn Objects,
    /// Keys, indexes and the clock.
    pub security: &'a Security,
}

type Step = fn(&mut Review<'_>, &Ground<'_>) -> Result<(), Status>;

/// One plugin: what it changes, and what it refuses.
struct Plugin {
    /// Upstream's name.
    name: &'static str,
    mutate: Option<Step>,
    validate: Option<Step>,
}

const fn plugin(name: &'static str, mutate: Option<Step>, validate: Option<Step>) -> Plugin {
    Plugin { name, mutate, validate }
}

/// Every plugin, in the order in which they see a write. Webhooks and policies come before the quota, which is last since it counts.
const PLUGINS: &[Plugin] = &[
    plugin("NamespaceLifecycle", Some(namespace_lifecycle::check), None),
    plugin("LimitRanger", Some(limit_ranger::mutate), Some(limit_ranger::validate)),
    plugin("ServiceAccount", Some(service_account::mutate), Some(service_account::validate)),
    plugin("NodeRestriction", None, Some(node_restriction::validate)),
    plugin("TaintNodesByCondition", Some(taint_nodes::mutate), None),
    plugin("PodSecurity", None, Some(pod_security::validate)),
    plugin("Priority", Some(priority::mutate), Some(priority::validate)),
    plugin("DefaultTolerationSeconds", Some(default_toleration_seconds::mutate), None),
    plugin("PersistentVolumeClaimResize", None, Some(volume_resize::validate)),
    plugin("StorageObjectInUseProtection", Some(storage_in_use::mutate), None),
    plugin("RuntimeClass", Some(runtime_class::mutate), Some(runtime_class::validate)),
    plugin("CertificateRequest", Some(certificates::guard), None),
    plugin("CertificateApproval", None, Some(certificates::approval)),
    plugin("CertificateSigning", None, Some(certificates::signing)),
    plugin("ClusterTrustBundleAttest", None, Some(pod_certificates::bundle)),
    plugin("PodCertificateRequest", None, Some(pod_certificates::request)),
    plugin("CertificateSubjectRestriction", None, Some(certificates::subject)),
    plugin("DefaultIngressClass", Some(default_ingress_class::mutate), None),
    plugin("DefaultStorageClass", Some(default_storage_class::mutate), None),
    plugin("RBACEscalation", None, Some(rbac_escalation::validate)),
    plugin("ResourceQuota", None, Some(resource_quota::validate)),
];

/// Runs every mutating step; policies and webhooks come after them, and if they changed something the steps once more.
pub async fn mutate(review: &mut Review<'_>, state: &State) -> Result<(), Status> {
    service_account::wait_for_default(review, state).await;
    let ground = Ground { objects: state, security: &state.security };
    run(PLUGINS, review, &ground, |plugin| plugin.mutate)?;
    if !state.has_mutators() {
        return Ok(());
    }
    let before = review.object.clone();
    let mutations = crate::policy::mutate(review, state)?;
    crate::webhook::mutate(review, state).await?;
    mutations.again(review, state)?;
    if before == *review.object {
        return Ok(());
    }
    // What came in from outside gets the same care as what the client wrote.
    run(PLUGINS, review, &ground, |plugin| plugin.mutate)
}

/// Runs every validating step. The quota is counted after webhooks have had their say.
pub async fn validate(review: &mut Review<'_>, state: &State) -> Result<(), Status> {
    let ground = Ground { objects: state, security: &state.security };
    let (before, last) = PLUGINS.split_at(PLUGINS.len() - 1);
    run(before, review, &ground, |plugin| plugin.validate)?;
    crate::policy::validate(review, state)?;
    crate::webhook::validate(review, state).await?;
    run(last, review, &ground, |plugin| plugin.validate)
}

fn run(
    plugins: &[Plugin],
    review: &mut Review<'_>,
    ground: &Ground<'_>,
    step: fn(&Plugin) -> Option<Step>,
) -> Result<(), Status> {
    for plugin in plugins {
        let Some(step) = step(plugin) else { continue };
        step(review, ground).inspect_err(|refusal| {
            tracing::debug!(plugin = plugin.name, message = %refusal.message, "refused");
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

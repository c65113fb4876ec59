//! Role-based access control over an index of roles and bindings. The index is fed object by object, in the order of the
//! store's log; a question looks only at the bindings of its own user and groups.

mod escalation;
mod rule;

pub use escalation::{Missing, missing_rules};
pub use rule::Rule;

use super::{Attributes, Decision, Target};
use api::identity::Identity;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// How deep aggregated roles may stand in one another: `admin` holds `edit`, which holds `view`.
const AGGREGATION_DEPTH_MAX: usize = 4;

/// Which of the four kinds an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RbacKind {
    /// `roles`
    Role,
    /// `clusterroles`
    ClusterRole,
    /// `rolebindings`
    RoleBinding,
    /// `clusterrolebindings`
    ClusterRoleBinding,
}

impl RbacKind {
    /// Every kind with its plural resource name.
    pub const ALL: [(RbacKind, &'static str); 4] = [
        (RbacKind::ClusterRole, "clusterroles"),
        (RbacKind::ClusterRoleBinding, "clusterrolebindings"),
        (RbacKind::Role, "roles"),
        (RbacKind::RoleBinding, "rolebindings"),
    ];
}

#[derive(Deserialize)]
struct Stored {
    metadata: StoredMetadata,
    #[serde(default)]
    rules: Option<Vec<Rule>>,
    #[serde(default, rename = "aggregationRule")]
    aggregation: Option<Aggregation>,
    #[serde(default, rename = "roleRef")]
    role: Option<RoleRef>,
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
}

#[derive(Deserialize)]
struct StoredMetadata {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// Which cluster roles an aggregated one is made of.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Aggregation {
    #[serde(default, rename = "clusterRoleSelectors")]
    selectors: Option<Vec<LabelSelector>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct LabelSelector {
    #[serde(default, rename = "matchLabels")]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default, rename = "matchExpressions")]
    expressions: Option<Vec<Expression>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Option<Vec<String>>,
}

impl LabelSelector {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let pairs = self.labels.iter().flatten().all(|(k, v)| labels.get(k) == Some(v));
        pairs && self.expressions.iter().flatten().all(|e| e.matches(labels))
    }
}

impl Expression {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|v| self.values.iter().flatten().any(|x| x == v));
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// The role that a binding grants.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct RoleRef {
    /// `Role` or `ClusterRole`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: String,
}

/// Users and groups as an identity shows them; service accounts are users.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SubjectKey {
    User(String),
    Group(String),
}

impl Subject {
    fn key(&self, binding_namespace: &str) -> Option<SubjectKey> {
        match self.kind.as_str() {
            "User" => Some(SubjectKey::User(self.name.clone())),
            "Group" => Some(SubjectKey::Group(self.name.clone())),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { binding_namespace } else { &self.namespace };
                (!namespace.is_empty()).then(|| SubjectKey::User(format!("system:serviceaccount:{namespace}:{}", self.name)))
            }
            _ => None,
        }
    }
}

struct Role {
    rules: Arc<[Rule]>,
    labels: BTreeMap<String, String>,
    aggregation: Option<Aggregation>,
}

#[derive(Clone)]
struct Binding {
    /// Empty: everywhere.
    namespace: String,
    name: String,
    role: RoleRef,
    subjects: Vec<SubjectKey>,
}

impl Binding {
    fn describe(&self) -> String {
        let kind = &self.role.kind;
        if self.namespace.is_empty() {
            return format!("ClusterRoleBinding {:?} of {kind} {:?}", self.name, self.role.name);
        }
        format!("RoleBinding {:?} of {kind} {:?}", format!("{}/{}", self.name, self.namespace), self.role.name)
    }
}

type ObjectKey = (RbacKind, String, String);

#[derive(Default)]
struct Index {
    roles: HashMap<ObjectKey, Role>,
    bindings: HashMap<ObjectKey, Arc<Binding>>,
    by_subject: HashMap<SubjectKey, Vec<Arc<Binding>>>,
}

/// The index, safe to share; a question holds its lock for the time of the answer, never over I/O.
#[derive(Default)]
pub struct Rbac {
    index: RwLock<Index>,
}

/// A rule that applies to an identity, and the binding that grants it.
struct Granted<'a> {
    rule: &'a Rule,
    binding: &'a Binding,
}

impl Rbac {
    /// Takes in an object as it is stored. Returns whether it could be read.
    pub fn put(&self, kind: RbacKind, object: &[u8]) -> bool {
        let Ok(stored) = serde_json::from_slice::<Stored>(object) else { return false };
        let key = (kind, stored.metadata.namespace.clone(), stored.metadata.name.clone());
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        match kind {
            RbacKind::Role | RbacKind::ClusterRole => {
                let role = Role {
                    rules: stored.rules.unwrap_or_default().into(),
                    labels: stored.metadata.labels.unwrap_or_default(),
                    aggregation: stored.aggregation,
                };
                index.roles.insert(key, role);
            }
            RbacKind::RoleBinding | RbacKind::ClusterRoleBinding => index.bind(key, stored),
        }
        true
    }

    /// Takes over what another index knows, in one moment.
    pub fn replace(&self, other: Self) {
        let fresh = other.index.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// Forgets an object.
    pub fn remove(&self, kind: RbacKind, namespace: &str, name: &str) {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.roles.remove(&key);
        index.unbind(&key);
    }

    /// Whether a binding allows it.
    pub fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let namespace = match &attributes.target {
            Target::Resource(r) => r.namespace,
            Target::Path(_) => "",
        };
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        let found = index.visit(attributes.identity, namespace, &mut missing, |granted| {
            granted.rule.allows(attributes).then(|| granted.binding.describe())
        });
        match found {
            Some(by) => Decision::Allow { reason: format!("RBAC: allowed by {by}") },
            None if missing.is_empty() => Decision::NoOpinion { reason: String::new() },
            None => Decision::NoOpinion { reason: format!("RBAC: {}", quoted_list(&missing)) },
        }
    }

    /// Every rule that applies to an identity in a namespace (empty: cluster-wide bindings alone).
    pub fn rules_for(&self, identity: &Identity, namespace: &str) -> Vec<Rule> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let mut rules = Vec::new();
        index.visit(identity, namespace, &mut Vec::new(), |granted| {
            rules.push(granted.rule.clone());
            None::<()>
        });
        rules
    }

    /// The rules of a role as a binding in `namespace` would grant them; none when there is no such role.
    pub fn rules_of(&self, role: &RoleRef, namespace: &str) -> Option<Vec<Rule>> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.role(role, namespace).map(|rules| rules.to_vec())
    }

    /// Brings aggregated cluster roles up to date in the index. Returns those that changed, with the rules that their
    /// objects should get.
    pub fn refresh_aggregations(&self) -> Vec<(String, Vec<Rule>)> {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let mut outdated = Vec::new();
        for ((_, _, name), role) in index.roles.iter().filter(|(_, r)| r.aggregation.is_some()) {
            let wanted = index.aggregate(name, role, 0);
            if wanted[..] != role.rules[..] {
                outdated.push((name.clone(), wanted));
            }
        }
        for (name, rules) in &outdated {
            let key = (RbacKind::ClusterRole, String::new(), name.clone());
            if let Some(role) = index.roles.get_mut(&key) {
                role.rules = rules.as_slice().into();
            }
        }
        outdated.sort_by(|a, b| a.0.cmp(&b.0));
        outdated
    }
}

impl Index {
    fn bind(&mut self, key: ObjectKey, stored: Stored) {
        self.unbind(&key);
        let Some(role) = stored.role else { return };
        let (_, namespace, name) = key.clone();
        let subjects: Vec<_> = stored.subjects.iter().flatten().filter_map(|s| s.key(&namespace)).collect();
        let binding = Arc::new(Binding { namespace, name, role, subjects });
        for subject in &binding.subjects {
            self.by_subject.entry(subject.clone()).or_default().push(binding.clone());
        }
        self.bindings.insert(key, binding);
    }

    fn unbind(&mut self, key: &ObjectKey) {
        let Some(old) = self.bindings.remove(key) else { return };
        for subject in &old.subjects {
            if let Some(list) = self.by_subject.get_mut(subject) {
                list.retain(|b| !Arc::ptr_eq(b, &old));
                if list.is_empty() {
                    self.by_subject.remove(subject);
                }
            }
        }
    }

    /// Shows every rule that applies until one is taken. Roles that bindings name but that do not exist go into `missing`.
    fn visit<T>(
        &self,
        identity: &Identity,
        namespace: &str,
        missing: &mut Vec<String>,
        mut take: impl FnMut(Granted<'_>) -> Option<T>,
    ) -> Option<T> {
        let user = std::iter::once(SubjectKey::User(identity.name.clone()));
        let groups = identity.groups.iter().cloned().map(SubjectKey::Group);
        for key in user.chain(groups) {
            for binding in self.by_subject.get(&key).into_iter().flatten() {
                if !binding.namespace.is_empty() && binding.namespace != namespace {
                    continue;
                }
                match self.role(&binding.role, &binding.namespace) {
                    Some(rules) => {
                        for rule in rules {
                            if let Some(taken) = take(Granted { rule, binding }) {
                                return Some(taken);
                            }
                        }
                    }
                    None => missing.push(missing_role(&binding.role)),
                }
            }
        }
        None
    }

    fn role(&self, role: &RoleRef, namespace: &str) -> Option<&[Rule]> {
        let key = match role.kind.as_str() {
            "Role" => (RbacKind::Role, namespace.to_owned(), role.name.clone()),
            _ => (RbacKind::ClusterRole, String::new(), role.name.clone()),
        };
        self.roles.get(&key).map(|r| &r.rules[..])
    }

    /// What an aggregated role is made of; parts may be aggregated themselves, to a bounded depth since they may form a ring.
    fn aggregate(&self, name: &str, role: &Role, depth: usize) -> Vec<Rule> {
        let selectors = role.aggregation.iter().flat_map(|a| a.selectors.iter().flatten());
        let mut rules: Vec<Rule> = Vec::new();
        for selector in selectors {
            let fits = |key: &ObjectKey, r: &Role| key.0 == RbacKind::ClusterRole && key.2 != name && selector.matches(&r.labels);
            let mut parts: Vec<_> = self.roles.iter().filter(|(key, r)| fits(key, r)).collect();
            parts.sort_by(|a, b| a.0.2.cmp(&b.0.2));
            for (key, part) in parts {
                let nested = part.aggregation.is_some() && depth < AGGREGATION_DEPTH_MAX;
                let of_part = if nested { self.aggregate(&key.2, part, depth + 1) } else { part.rules.to_vec() };
                for rule in of_part {
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
            }
        }
        rules
    }
}

fn missing_role(role: &RoleRef) -> String {
    let plural = if role.kind == "Role" { "role" } else { "clusterrole" };
    format!("{plural}.rbac.authorization.k8s.io {:?} not found", role.name)
}

/// One error as it is, several in brackets, each once: as upstream prints an aggregate.
fn quoted_list(errors: &[String]) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for error in errors {
        if !seen.contains(&error.as_str()) {
            seen.push(error);
        }
    }
    match seen[..] {
        [one] => one.to_owned(),
        _ => format!("[{}]", seen.join(", ")),
    }
}

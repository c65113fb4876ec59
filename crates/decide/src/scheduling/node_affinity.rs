//! Which nodes a node selector names, by labels and by name. Used for pods, for persistent volumes and for topologies of a storage class.

use api::selector::{LabelSelector, Operator, Requirement};
use k8s_openapi::api::core::v1::{NodeSelector as Typed, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use super::labels::{self, Labels};

/// One alternative: all its conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    labels: LabelSelector,
    fields: LabelSelector,
}

impl Term {
    fn new(typed: &NodeSelectorTerm) -> Self {
        let expressions = typed.match_expressions.as_deref().unwrap_or_default();
        let fields = typed.match_fields.as_deref().unwrap_or_default();
        if expressions.is_empty() && fields.is_empty() {
            return Self { labels: LabelSelector::nothing(), fields: LabelSelector::nothing() };
        }
        Self { labels: conditions(expressions), fields: conditions(fields) }
    }

    fn matches(&self, name: &str, labels: &Labels) -> bool {
        labels::matches(&self.labels, labels) && self.fields.matches_by(|field| (field == "metadata.name").then_some(name))
    }

    /// The names that the term allows, if it names any.
    fn names(&self) -> Option<&[String]> {
        let named = self.fields.requirements().iter().find(|one| one.key == "metadata.name" && one.operator == Operator::In);
        named.map(|one| one.values.as_slice())
    }
}

/// Conditions out of typed ones; nothing matches one that makes no sense.
fn conditions(typed: &[NodeSelectorRequirement]) -> LabelSelector {
    let mut requirements = Vec::with_capacity(typed.len());
    for one in typed {
        let Some(operator) = labels::operator(&one.operator) else { return LabelSelector::nothing() };
        let values = one.values.clone().unwrap_or_default();
        if values.is_empty() && !matches!(operator, Operator::Exists | Operator::DoesNotExist) {
            return LabelSelector::nothing();
        }
        requirements.push(Requirement { key: one.key.clone(), operator, values });
    }
    LabelSelector::of(requirements)
}

/// Alternatives, one of which must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSelector {
    terms: Vec<Term>,
}

impl NodeSelector {
    /// A selector out of a typed one; without terms it selects nothing.
    #[must_use]
    pub fn new(typed: &Typed) -> Self {
        Self { terms: typed.node_selector_terms.iter().map(Term::new).collect() }
    }

    /// Whether a node is selected.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.terms.iter().any(|term| term.matches(name, labels))
    }
}

/// What a pod says about its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAffinity {
    selector: Option<LabelSelector>,
    required: Option<NodeSelector>,
    preferred: Vec<(i64, Term)>,
}

impl NodeAffinity {
    /// What the pod says.
    #[must_use]
    pub fn new(spec: &PodSpec) -> Self {
        let selector = spec.node_selector.as_ref().filter(|selector| !selector.is_empty());
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let preferred = affinity.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_deref());
        Self {
            selector: selector.map(|selector| LabelSelector::of(labels::from_map(selector.iter()))),
            required: affinity
                .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref())
                .map(NodeSelector::new),
            preferred: preferred
                .unwrap_or_default()
                .iter()
                .map(|one| (i64::from(one.weight), Term::new(&one.preference)))
                .collect(),
        }
    }

    /// Whether the pod may run on the node.
    #[must_use]
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.selector.as_ref().is_none_or(|selector| labels::matches(selector, labels))
            && self.required.as_ref().is_none_or(|required| required.matches(name, labels))
    }

    /// The only nodes in question, when every alternative names some.
    #[must_use]
    pub fn names(&self) -> Option<Vec<&str>> {
        let terms = &self.required.as_ref()?.terms;
        let mut names = Vec::new();
        for term in terms {
            names.extend(term.names()?.iter().map(String::as_str));
        }
        (!terms.is_empty()).then_some(names)
    }

    /// Whether the pod prefers some nodes.
    #[must_use]
    pub fn has_preferences(&self) -> bool {
        !self.preferred.is_empty()
    }

    /// The weights of the preferences that the node fulfils.
    #[must_use]
    pub fn preference(&self, name: &str, labels: &Labels) -> i64 {
        self.preferred.iter().filter(|(_, term)| term.matches(name, labels)).map(|(weight, _)| weight).sum()
    }
}

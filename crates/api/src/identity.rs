//! Who asks: the authenticated user of a request.
//!
//! Owns the names of well-known users and groups. Never authenticates or authorises anyone.

use std::collections::BTreeMap;

/// An authenticated user, as `user.Info` upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's name, such as `system:node:n1`.
    pub name: String,
    /// The user's stable id, empty when the authenticator knows none.
    pub uid: String,
    /// The groups that the user is a member of.
    pub groups: Vec<String>,
    /// What else the authenticator knows, by key.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The group of everyone who is authenticated.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of everyone who is not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of the user who presented no credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group that may do everything.
pub const MASTERS: &str = "system:masters";
/// The group of all nodes.
pub const NODES: &str = "system:nodes";
/// The group of all service accounts.
pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";

const NODE_PREFIX: &str = "system:node:";
const SERVICE_ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// The label of a local volume whose value is the [`node_label`] of the node that has its folder. A node selects its own by it.
pub const VOLUME_NODE_LABEL: &str = "coracle.dev/node";

/// A node's name as the value of a label: what fits in.
pub fn node_label(node: &str) -> &str {
    let end = node.char_indices().map(|(at, _)| at).find(|at| *at >= 63).unwrap_or(node.len());
    node[..end].trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric())
}

impl Identity {
    /// A user with a name and groups, without uid and extra.
    pub fn new(name: impl Into<String>, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { name: name.into(), groups: groups.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The user who presented no credentials.
    pub fn anonymous() -> Self {
        Self::new(ANONYMOUS, [UNAUTHENTICATED])
    }

    /// The user that a service account acts as.
    pub fn service_account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            uid: uid.to_owned(),
            ..Self::new(
                format!("{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"),
                [SERVICE_ACCOUNTS.to_owned(), format!("{SERVICE_ACCOUNTS}:{namespace}"), AUTHENTICATED.to_owned()],
            )
        }
    }

    /// The user that a node acts as.
    pub fn node(node: &str) -> Self {
        Self::new(format!("{NODE_PREFIX}{node}"), [NODES, AUTHENTICATED])
    }

    /// Whether the user is a member of `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|candidate| candidate == group)
    }

    /// The node's name when the user is a node: named as one and a member of the nodes' group.
    pub fn node_name(&self) -> Option<&str> {
        self.name.strip_prefix(NODE_PREFIX).filter(|name| !name.is_empty() && self.is_in(NODES))
    }

    /// Namespace and name when the user is a service account.
    pub fn service_account_name(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix(SERVICE_ACCOUNT_PREFIX)?.split_once(':')
    }
}

//! What a node sees of the other nodes: how to reach their pods, and nothing more.

use std::sync::{Arc, LazyLock};

use api::document::Value;
use api::identity::Identity;
use api::kind::{Convert, KINDS, Kind};

/// Cuts a Node down.
struct Neighbour;

impl Convert for Neighbour {
    fn to_stored(&self, _: &mut Value) {}

    fn to_served(&self, node: &mut Value) {
        let mut seen = Value::object();
        for path in [
            &["apiVersion"] as &[&str],
            &["kind"],
            &["metadata", "name"],
            &["metadata", "uid"],
            &["metadata", "resourceVersion"],
            &["metadata", "creationTimestamp"],
            &["spec", "podCIDR"],
            &["spec", "podCIDRs"],
            &["status", "addresses"],
        ] {
            if let Some(value) = node.get(path) {
                seen.set_at(path, value.clone());
            }
        }
        *node = seen;
    }
}

static NEIGHBOURS: LazyLock<Option<Arc<Kind>>> = LazyLock::new(|| {
    let nodes = KINDS.iter().find(|kind| kind.group.is_empty() && kind.plural == "nodes")?;
    let mut seen = Kind::clone(nodes);
    for version in &mut seen.versions {
        version.convert = Some(&Neighbour);
        // Nothing is served as it is stored.
        version.storage = false;
    }
    Some(Arc::new(seen))
});

/// The kind as the asker may see it: a node that reads Nodes, but not its own by name, sees neighbours.
pub(crate) fn seen_by(identity: &Identity, verb: &str, kind: &Arc<Kind>, name: &str, field_selector: &str) -> Arc<Kind> {
    let reads = matches!(verb, "get" | "list" | "watch") && kind.group.is_empty() && kind.plural == "nodes";
    let Some(node) = identity.node_name().filter(|_| reads) else { return Arc::clone(kind) };
    let pinned = field_selector.split(',').filter_map(|term| term.strip_prefix("metadata.name="));
    let own = name == node || pinned.map(|name| name.trim_start_matches('=')).any(|name| name == node);
    if own { Arc::clone(kind) } else { NEIGHBOURS.clone().unwrap_or_else(|| Arc::clone(kind)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::document::meta;
    use api::kind::KindTable;

    #[test]
    fn a_node_sees_of_others_what_its_routes_need() {
        let kinds = KindTable::built_in();
        let nodes = kinds.resource("", "nodes").unwrap();
        let whole = api::value!({
            "metadata": {"name": "n2", "labels": {"a": "b"}, "annotations": {"c": "d"}},
            "spec": {"podCIDR": "10.42.1.0/24", "taints": [{"key": "k"}]},
            "status": {"addresses": [{"type": "InternalIP", "address": "10.44.0.2"}], "images": [{"names": ["secret-project"]}]},
        });
        let seen = |identity: &Identity, name: &str, selector: &str| {
            let kind = seen_by(identity, "list", nodes, name, selector);
            let mut object = whole.clone();
            kind.to_served(&kind.versions[0], &mut object);
            meta::labels(&object).is_some() || object.get(&["status", "images"]).is_some()
        };
        let node = Identity::node("n1");
        assert!(!seen(&node, "", ""));
        assert!(!seen(&node, "n2", ""));
        assert!(seen(&node, "n1", ""));
        assert!(seen(&node, "", "metadata.name=n1"));
        assert!(seen(&Identity::new("ann", ["system:authenticated"]), "", ""));
    }
}

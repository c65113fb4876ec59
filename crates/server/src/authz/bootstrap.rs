//! The roles and bindings that every cluster starts with: upstream's own, as data in `bootstrap/policy.jsonl`, and a few that let
//! nodes join. They are reconciled at each start: what is missing is added, what a person added stays, and an object
//! whose annotation `rbac.authorization.kubernetes.io/autoupdate` is `false` is left alone.

use super::rbac::Rule;
use api::document::Value;
use std::sync::LazyLock;

const POLICY: &str = include_str!("bootstrap/policy.jsonl");
const GROUP: &str = "rbac.authorization.k8s.io";
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

#[derive(serde::Deserialize)]
struct Row {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    labels: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    aggregate: Vec<serde_json::Value>,
    #[serde(default)]
    rules: Vec<serde_json::Value>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    subjects: Vec<String>,
}

/// A default object and where it belongs.
#[derive(Clone, Debug)]
pub struct Default {
    /// Its plural resource name.
    pub resource: &'static str,
    /// Its namespace, empty at cluster scope.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The object.
    pub object: serde_json::Value,
}

/// Every default role and binding.
pub fn defaults() -> Vec<Default> {
    rows().map(render).collect()
}

fn rows() -> impl Iterator<Item = Row> {
    // The data is part of the program and a test reads all of it: a line that does not parse cannot ship.
    POLICY.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// The rules of `system:node`, which the node authorizer applies without a binding.
pub fn node_rules() -> &'static [Rule] {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let row = rows().find(|row| row.kind == "ClusterRole" && row.name == "system:node");
        let rules = row.map(|row| row.rules).unwrap_or_default();
        rules.into_iter().filter_map(|rule| serde_json::from_value(rule).ok()).collect()
    });
    &RULES
}

fn render(row: Row) -> Default {
    let mut labels = row.labels;
    labels.insert("kubernetes.io/bootstrapping".into(), "rbac-defaults".into());
    let mut object = serde_json::json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": row.kind,
        "metadata": { "name": row.name, "labels": labels, "annotations": { AUTOUPDATE: "true" } },
    });
    if let Some(namespace) = &row.namespace {
        object["metadata"]["namespace"] = namespace.as_str().into();
    }
    match row.role.as_deref().and_then(|role| role.split_once('/')) {
        Some((kind, name)) => {
            object["roleRef"] = serde_json::json!({ "apiGroup": GROUP, "kind": kind, "name": name });
            object["subjects"] = row.subjects.iter().map(|s| subject(s)).collect();
        }
        None => object["rules"] = row.rules.into(),
    }
    if !row.aggregate.is_empty() {
        let selectors: Vec<_> = row.aggregate.iter().map(|l| serde_json::json!({ "matchLabels": l })).collect();
        object["aggregationRule"] = serde_json::json!({ "clusterRoleSelectors": selectors });
    }
    let resource = match row.kind.as_str() {
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "Role" => "roles",
        _ => "rolebindings",
    };
    Default { resource, namespace: row.namespace.unwrap_or_default(), name: row.name, object }
}

/// `Group/name`, `User/name` or `ServiceAccount/namespace/name`.
fn subject(text: &str) -> serde_json::Value {
    let (kind, rest) = text.split_once('/').unwrap_or(("User", text));
    match (kind, rest.split_once('/')) {
        ("ServiceAccount", Some((namespace, name))) => {
            serde_json::json!({ "kind": kind, "namespace": namespace, "name": name })
        }
        _ => serde_json::json!({ "kind": kind, "apiGroup": GROUP, "name": rest }),
    }
}

/// What `stored` must become; none when nothing is missing, or its owner keeps us out.
pub fn reconciled(stored: &Value, wanted: &Value) -> Option<Value> {
    if stored.str_at(&["metadata", "annotations", AUTOUPDATE]) == Some("false") {
        return None;
    }
    let mut merged = stored.clone();
    if stored.get(&["aggregationRule"]).is_none() {
        add_missing(&mut merged, wanted, "rules");
    }
    add_missing(&mut merged, wanted, "subjects");
    for map in ["labels", "annotations"] {
        for (key, value) in wanted.object_at(&["metadata", map]).into_iter().flat_map(|m| m.iter()) {
            merged.default_at(&["metadata", map, key], value.clone());
        }
    }
    (merged != *stored).then_some(merged)
}

fn add_missing(stored: &mut Value, wanted: &Value, field: &str) {
    let mut list = stored.array_at(&[field]).to_vec();
    let before = list.len();
    for item in wanted.array_at(&[field]) {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
    if list.len() != before {
        stored.set_at(&[field], list);
    }
}

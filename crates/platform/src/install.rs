//! What a cluster must hold before the parts run: kinds, accounts and rights, rendered from the rows of `PARTS`. Writes nothing else.

use serde_json::{Value, json};

use crate::{
    apply::{self, ApplyError},
    part::{NAMESPACE, PARTS, Part, Right},
};

/// Everything to be installed, in order.
#[must_use]
pub fn manifests() -> Vec<Value> {
    let mut all = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})];
    for part in PARTS {
        all.extend((part.kinds)());
        for controller in part.controllers {
            all.extend(rights(part, controller.name));
        }
    }
    all
}

fn rights(part: &Part, name: &str) -> [Value; 3] {
    let role = format!("coracle:{name}");
    let rule = |right: &Right| json!({"apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs});
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role},
            "rules": part.rights.iter().map(rule).collect::<Vec<_>>(),
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        }),
    ]
}

/// Writes what is missing or different.
///
/// # Errors
/// When the API refuses one of them; those before it stand.
pub async fn install(client: &kube::Client) -> Result<(), ApplyError> {
    for manifest in manifests() {
        apply::ensure(client, &manifest).await?;
    }
    Ok(())
}

use super::*;
use crate::authz::rbac::{RbacKind, Rule, missing_rules};
use crate::testing::{Cluster, json};

fn user(name: &str, groups: &[&str]) -> Identity {
    Identity::new(name, groups.iter().copied())
}

/// `get apps/deployments/status ns/name` or `get /path`: one line, one question.
fn question<'a>(identity: &'a Identity, text: &'a str) -> Attributes<'a> {
    let mut words = text.split(' ');
    let verb = words.next().unwrap();
    let what = words.next().unwrap();
    if what.starts_with('/') {
        return Attributes { identity, verb, target: Target::Path(what) };
    }
    let mut parts = what.split('/');
    let group = parts.next().unwrap();
    let group = if group == "core" { "" } else { group };
    let resource = parts.next().unwrap();
    let subresource = parts.next().unwrap_or_default();
    let (namespace, name) = words.next().unwrap_or("/").split_once('/').unwrap();
    let field_selector = words.next().unwrap_or_default();
    let (field_selector, label_selector) = field_selector.split_once('&').unwrap_or((field_selector, ""));
    let target = ResourceTarget { group, version: "v1", resource, subresource, namespace, name, field_selector, label_selector };
    Attributes { identity, verb, target: Target::Resource(target) }
}

#[test]
fn every_row_of_the_default_policy_is_an_object() {
    let defaults = bootstrap::defaults();
    let lines = include_str!("bootstrap/policy.jsonl").lines().count();
    assert_eq!(defaults.len(), lines);
    assert!(!bootstrap::node_rules().is_empty());
}

#[test]
fn default_roles_allow_what_upstream_allows_and_nothing_more() {
    let cluster = Cluster::with_defaults();
    let rbac = &cluster.security.indexes;
    let changed: Vec<String> = rbac.rbac.refresh_aggregations().into_iter().map(|(name, _)| name).collect();
    assert_eq!(changed, ["admin", "edit", "view"]);
    assert!(rbac.rbac.refresh_aggregations().is_empty());
    let bind = |user: &str, role: &str| {
        let object = format!(
            r#"{{"metadata":{{"namespace":"ns","name":"{user}"}},"roleRef":{{"kind":"ClusterRole","name":"{role}"}},
            "subjects":[{{"kind":"User","name":"{user}"}}]}}"#
        );
        assert!(rbac.rbac.put(RbacKind::RoleBinding, object.as_bytes()));
    };
    for role in ["admin", "edit", "view"] {
        bind(role, role);
    }
    let table: &[(&str, &[&str], &str, bool)] = &[
        ("root", &["system:masters"], "delete core/nodes /n", true),
        ("admin", &[], "create core/pods ns/", true),
        ("admin", &[], "create core/pods other/", false),
        ("admin", &[], "create rbac.authorization.k8s.io/roles ns/", true),
        ("admin", &[], "update core/resourcequotas ns/q", false),
        ("edit", &[], "get core/secrets ns/s", true),
        ("edit", &[], "create rbac.authorization.k8s.io/roles ns/", false),
        ("edit", &[], "create core/pods/exec ns/p", true),
        ("view", &[], "list core/pods ns/", true),
        ("view", &[], "get core/pods/log ns/p", true),
        ("view", &[], "get core/secrets ns/s", false),
        ("view", &[], "delete core/pods ns/p", false),
        ("ann", &["system:authenticated"], "create authorization.k8s.io/selfsubjectaccessreviews", true),
        ("ann", &["system:authenticated"], "get /apis", true),
        ("ann", &["system:authenticated"], "get /api/v1", true),
        ("ann", &["system:authenticated"], "get /metrics", false),
        ("ann", &["system:authenticated"], "list core/pods ns/", false),
        ("system:anonymous", &["system:unauthenticated"], "get /healthz", true),
        ("system:anonymous", &["system:unauthenticated"], "get /version", true),
        ("system:anonymous", &["system:unauthenticated"], "get /apis", false),
        ("m", &["system:monitoring"], "get /metrics", true),
        ("system:kube-scheduler", &[], "create core/pods/binding ns/p", true),
        ("system:serviceaccount:kube-system:deployment-controller", &[], "update apps/deployments/status ns/d", true),
        ("system:serviceaccount:kube-system:deployment-controller", &[], "delete core/nodes /n", false),
        (
            "b",
            &["system:bootstrappers:kubeadm:default-node-token"],
            "create certificates.k8s.io/certificatesigningrequests",
            true,
        ),
        ("b", &["system:bootstrappers:kubeadm:default-node-token"], "get core/nodes /n", false),
    ];
    for (name, groups, text, allowed) in table {
        let identity = user(name, groups);
        let decision = rbac.authorize(&question(&identity, text));
        assert_eq!(decision.allowed(), *allowed, "{name}: {text}: {decision:?}");
    }
}

#[test]
fn rules_match_as_upstream_matches_them() {
    let rule = |text: &str| serde_json::from_str::<Rule>(text).unwrap();
    let everything = rule(r#"{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}"#);
    let named = rule(r#"{"apiGroups":[""],"resources":["pods"],"resourceNames":["a"],"verbs":["get","list"]}"#);
    let scale = rule(r#"{"apiGroups":["*"],"resources":["*/scale"],"verbs":["update"]}"#);
    let paths = rule(r#"{"nonResourceURLs":["/apis/*","/x"],"verbs":["get"],"apiGroups":null}"#);
    let table: &[(&Rule, &str, bool)] = &[
        (&everything, "delete core/pods/log ns/p", true),
        (&everything, "get /healthz", false),
        (&named, "get core/pods ns/a", true),
        (&named, "get core/pods ns/b", false),
        (&named, "list core/pods ns/", false),
        (&named, "list core/pods ns/a", true),
        (&named, "get core/pods/log ns/a", false),
        (&scale, "update apps/deployments/scale ns/d", true),
        (&scale, "update apps/deployments ns/d", false),
        (&paths, "get /apis/apps", true),
        (&paths, "get /apis", false),
        (&paths, "get /x", true),
        (&paths, "post /x", false),
    ];
    let identity = user("u", &[]);
    for (rule, text, allowed) in table {
        assert_eq!(rule.allows(&question(&identity, text)), *allowed, "{rule}: {text}");
    }
}

#[test]
fn a_refusal_reads_as_upstream_writes_it() {
    let identity = user("eve", &[]);
    let refusal = |text: &str| forbidden(&question(&identity, text), &Decision::NoOpinion { reason: String::new() }).message;
    let start = "is forbidden: User \"eve\" cannot";
    assert_eq!(
        refusal("list core/pods ns/"),
        format!("pods {start} list resource \"pods\" in API group \"\" in the namespace \"ns\"")
    );
    assert_eq!(
        refusal("get apps/deployments/scale ns/d"),
        format!(
            "deployments.apps \"d\" {start} get resource \"deployments/scale\" in API group \"apps\" in the namespace \"ns\""
        )
    );
    assert_eq!(
        refusal("list core/nodes"),
        format!("nodes {start} list resource \"nodes\" in API group \"\" at the cluster scope")
    );
    assert_eq!(refusal("get /x"), "forbidden: User \"eve\" cannot get path \"/x\"");
}

#[test]
fn a_binding_to_a_missing_role_is_named_in_the_refusal() {
    let cluster = Cluster::new();
    let binding =
        br#"{"metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"gone"},"subjects":[{"kind":"User","name":"eve"}]}"#;
    cluster.security.indexes.rbac.put(RbacKind::ClusterRoleBinding, binding);
    let identity = user("eve", &[]);
    let decision = cluster.security.indexes.authorize(&question(&identity, "list core/pods ns/"));
    assert_eq!(decision.reason(), "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found");
    cluster.security.indexes.rbac.remove(RbacKind::ClusterRoleBinding, "", "b");
    assert_eq!(cluster.security.indexes.authorize(&question(&identity, "list core/pods ns/")).reason(), "");
}

#[test]
fn a_service_account_without_a_namespace_is_of_the_bindings_own() {
    let cluster = Cluster::with_defaults();
    let binding = br#"{"metadata":{"namespace":"ns","name":"b"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"ServiceAccount","name":"sa"}]}"#;
    cluster.security.indexes.rbac.put(RbacKind::RoleBinding, binding);
    let identity = Identity::service_account("ns", "sa", "");
    assert!(cluster.security.indexes.authorize(&question(&identity, "list core/pods ns/")).allowed());
    assert!(!cluster.security.indexes.authorize(&question(&identity, "list core/pods other/")).allowed());
}

#[test]
fn nobody_can_grant_more_than_they_hold() {
    let rule = |text: &str| serde_json::from_str::<Rule>(text).unwrap();
    let held = [
        rule(r#"{"apiGroups":[""],"resources":["pods","*/log"],"verbs":["get","list"]}"#),
        rule(r#"{"nonResourceURLs":["/a/*"],"verbs":["get"]}"#),
    ];
    let within = [
        rule(r#"{"apiGroups":[""],"resources":["pods"],"resourceNames":["x"],"verbs":["get"]}"#),
        rule(r#"{"apiGroups":[""],"resources":["pods/log"],"verbs":["list"]}"#),
        rule(r#"{"nonResourceURLs":["/a/b","/a/*"],"verbs":["get"]}"#),
    ];
    assert_eq!(missing_rules(&held, &within), None);
    let beyond = [rule(r#"{"apiGroups":[""],"resources":["pods","secrets"],"verbs":["get","list","delete"]}"#)];
    let missing = missing_rules(&held, &beyond).unwrap().0;
    let texts: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            r#"{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list" "delete"]}"#,
            r#"{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}"#
        ]
    );
}

#[test]
fn a_start_adds_what_is_missing_and_keeps_what_people_added() {
    let wanted = json(r#"{"metadata":{"name":"r","labels":{"a":"b"}},"rules":[{"verbs":["get"]},{"verbs":["list"]}]}"#);
    let stored = json(r#"{"metadata":{"name":"r"},"rules":[{"verbs":["watch"]},{"verbs":["get"]}]}"#);
    let merged = bootstrap::reconciled(&stored, &wanted).unwrap();
    assert_eq!(merged.array_at(&["rules"]).len(), 3);
    assert_eq!(merged.str_at(&["metadata", "labels", "a"]), Some("b"));
    assert_eq!(bootstrap::reconciled(&merged, &wanted), None);
    let kept =
        json(r#"{"metadata":{"name":"r","annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"}},"rules":[]}"#);
    assert_eq!(bootstrap::reconciled(&kept, &wanted), None);
}

fn node_cluster() -> Cluster {
    let cluster = Cluster::new();
    let graph = &cluster.security.indexes.nodes;
    graph.put(
        node::Source::Pod,
        &json(
            r#"{"metadata":{"namespace":"ns","name":"p","uid":"1"},"spec":{"nodeName":"n1","serviceAccountName":"sa",
            "imagePullSecrets":[{"name":"pull"}],
            "containers":[{"env":[{"valueFrom":{"secretKeyRef":{"name":"envsecret"}}}],"envFrom":[{"configMapRef":{"name":"from"}}]}],
            "volumes":[{"secret":{"secretName":"vol"}},{"persistentVolumeClaim":{"claimName":"claim"}},
            {"name":"e","ephemeral":{"volumeClaimTemplate":{}}},
            {"projected":{"sources":[{"configMap":{"name":"kube-root-ca.crt"}}]}}]}}"#,
        ),
    );
    graph.put(
        node::Source::Pod,
        &json(
            r#"{"metadata":{"namespace":"ns","name":"mirror","uid":"2","annotations":{"kubernetes.io/config.mirror":"x"}},
            "spec":{"nodeName":"n1","volumes":[{"secret":{"secretName":"stolen"}}]}}"#,
        ),
    );
    graph.put(
        node::Source::Volume,
        &json(
            r#"{"metadata":{"name":"pv"},"spec":{"claimRef":{"namespace":"ns","name":"claim"},
            "csi":{"nodePublishSecretRef":{"namespace":"csi","name":"key"}}}}"#,
        ),
    );
    let local = r#"{"metadata":{"name":"local","annotations":{"coracle.dev/node":"n2"}},"spec":{"local":{"path":"/x"}}}"#;
    graph.put(node::Source::Volume, &json(local));
    cluster
}

#[test]
fn a_node_reaches_what_its_own_pods_need() {
    let cluster = node_cluster();
    let table: &[(&str, &str, bool)] = &[
        ("n1", "get core/secrets ns/pull", true),
        ("n1", "get core/secrets ns/envsecret", true),
        ("n1", "watch core/secrets ns/vol", true),
        ("n1", "get core/secrets ns/stolen", false),
        ("n1", "get core/secrets other/vol", false),
        ("n1", "list core/secrets ns/", false),
        ("n1", "list core/secrets", false),
        ("n1", "update core/secrets ns/vol", false),
        ("n1", "get core/secrets csi/key", true),
        ("n2", "get core/secrets ns/vol", false),
        ("n1", "get core/configmaps ns/from", true),
        ("n1", "get core/configmaps ns/kube-root-ca.crt", true),
        ("n1", "get core/persistentvolumeclaims ns/claim", true),
        ("n1", "get core/persistentvolumeclaims ns/p-e", true),
        ("n1", "list core/persistentvolumeclaims ns/claim", false),
        ("n1", "get core/persistentvolumes /pv", true),
        ("n2", "get core/persistentvolumes /pv", false),
        ("n1", "patch core/persistentvolumes /pv", false),
        ("n2", "get core/persistentvolumes /local", true),
        ("n2", "patch core/persistentvolumes /local", true),
        ("n1", "patch core/persistentvolumes /local", false),
        ("n2", "delete core/persistentvolumes /local", false),
        ("n2", "watch core/persistentvolumes / &coracle.dev/node=n2", true),
        ("n1", "watch core/persistentvolumes / &coracle.dev/node=n2", false),
        ("n1", "list core/persistentvolumes /", false),
        ("n1", "create certificates.k8s.io/podcertificaterequests ns/", true),
        ("n1", "watch certificates.k8s.io/podcertificaterequests / spec.nodeName=n1", true),
        ("n1", "watch certificates.k8s.io/podcertificaterequests / spec.nodeName=n2", false),
        ("n1", "update certificates.k8s.io/podcertificaterequests/status ns/r", false),
        ("n1", "create core/serviceaccounts/token ns/sa", true),
        ("n2", "create core/serviceaccounts/token ns/sa", false),
        ("n1", "create core/serviceaccounts/token ns/default", false),
        ("n1", "get core/pods ns/p", true),
        ("n2", "get core/pods ns/p", false),
        ("n1", "list core/pods / spec.nodeName=n1", true),
        ("n1", "watch core/pods / spec.nodeName=n2", false),
        ("n1", "list core/pods /", false),
        ("n1", "patch core/pods/status ns/p", true),
        ("n1", "update core/pods ns/p", false),
        ("n1", "get core/nodes /n1", true),
        ("n1", "get core/nodes /n2", false),
        ("n1", "list core/nodes", false),
        ("n1", "create core/nodes", true),
        ("n1", "delete core/nodes /n1", false),
        ("n1", "update coordination.k8s.io/leases kube-node-lease/n1", true),
        ("n1", "update coordination.k8s.io/leases kube-node-lease/n2", false),
        ("n1", "update coordination.k8s.io/leases kube-system/n1", false),
        ("n1", "list core/services", true),
        ("n1", "watch discovery.k8s.io/endpointslices", false),
        ("n1", "create core/events ns/", true),
        ("n1", "create certificates.k8s.io/certificatesigningrequests", true),
        ("n1", "delete core/namespaces /ns", false),
    ];
    for (node, text, allowed) in table {
        let identity = Identity::node(node);
        let decision = cluster.security.indexes.authorize(&question(&identity, text));
        assert_eq!(decision.allowed(), *allowed, "{node}: {text}: {decision:?}");
    }
}

#[test]
fn a_node_loses_what_a_removed_pod_needed_and_keeps_what_another_still_needs() {
    let cluster = node_cluster();
    let graph = &cluster.security.indexes.nodes;
    graph.put(
        node::Source::Pod,
        &json(
            r#"{"metadata":{"namespace":"ns","name":"q","uid":"3"},"spec":{"nodeName":"n1",
            "volumes":[{"secret":{"secretName":"vol"}}]}}"#,
        ),
    );
    graph.remove(node::Source::Pod, "ns", "p");
    let identity = Identity::node("n1");
    let may = |text: &str| cluster.security.indexes.authorize(&question(&identity, text)).allowed();
    assert!(may("get core/secrets ns/vol"));
    assert!(!may("get core/secrets ns/pull"));
    assert!(!may("get core/persistentvolumes /pv"));
    graph.remove(node::Source::Pod, "ns", "q");
    assert!(!may("get core/secrets ns/vol"));
}

#[test]
fn only_members_of_the_nodes_group_are_nodes() {
    let cluster = node_cluster();
    let pretender = user("system:node:n1", &["system:authenticated"]);
    assert!(!cluster.security.indexes.authorize(&question(&pretender, "get core/secrets ns/vol")).allowed());
}

mod pod_certificates;

use super::*;
use crate::testing::{Cluster, json};

/// One write, and what becomes of it.
struct Write<'a> {
    identity: Identity,
    operation: Operation,
    resource: &'a str,
    subresource: &'a str,
    namespace: &'a str,
    name: &'a str,
    old: Option<Value>,
}

impl Default for Write<'_> {
    fn default() -> Self {
        Self {
            identity: Identity::new("ann", ["system:authenticated"]),
            operation: Operation::Create,
            resource: "pods",
            subresource: "",
            namespace: "ns",
            name: "",
            old: None,
        }
    }
}

impl Write<'_> {
    /// `resource` is `pods` or `group/resource`. Returns the object and the warnings, or the refusal.
    fn run(&self, cluster: &Cluster, object: &str) -> Result<(Value, Vec<String>), Status> {
        let (group, resource) = self.resource.split_once('/').unwrap_or(("", self.resource));
        let mut object = if object.is_empty() { Value::Null } else { json(object) };
        let options = Value::Null;
        let mut review = Review {
            identity: &self.identity,
            operation: self.operation,
            group,
            version: "v1",
            kind: "",
            resource,
            subresource: self.subresource,
            namespace: self.namespace,
            name: self.name,
            object: &mut object,
            old: self.old.as_ref(),
            options: &options,
            dry_run: false,
            warnings: Vec::new(),
        };
        let ground = Ground { objects: &cluster.objects, security: &cluster.security };
        run(PLUGINS, &mut review, &ground, |p| p.mutate)?;
        run(PLUGINS, &mut review, &ground, |p| p.validate)?;
        let warnings = std::mem::take(&mut review.warnings);
        Ok((object, warnings))
    }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::with_defaults();
    cluster.objects.put("", "namespaces", json(r#"{"metadata":{"name":"ns"},"status":{"phase":"Active"}}"#));
    let account = r#"{"metadata":{"namespace":"ns","name":"default","uid":"1"},"imagePullSecrets":[{"name":"pull"}]}"#;
    cluster.objects.put("", "serviceaccounts", json(account));
    cluster
}

const POD: &str = r#"{"metadata":{"name":"p","namespace":"ns"},"spec":{"containers":[{"name":"c"}]}}"#;

fn refusal(result: Result<(Value, Vec<String>), Status>) -> String {
    let status = result.unwrap_err();
    assert!(matches!(status.code, 403 | 404), "{status:?}");
    status.message
}

#[test]
fn a_plain_pod_gets_an_account_a_token_a_priority_and_tolerations() {
    let cluster = cluster();
    let (pod, _) = Write::default().run(&cluster, POD).unwrap();
    assert_eq!(pod.str_at(&["spec", "serviceAccountName"]), Some("default"));
    assert_eq!(pod.i64_at(&["spec", "priority"]), Some(0));
    assert_eq!(pod.str_at(&["spec", "preemptionPolicy"]), Some("PreemptLowerPriority"));
    assert_eq!(pod.array_at(&["spec", "tolerations"]).len(), 2);
    assert_eq!(pod.array_at(&["spec", "imagePullSecrets"])[0].str_at(&["name"]), Some("pull"));
    let volume = &pod.array_at(&["spec", "volumes"])[0];
    let name = volume.str_at(&["name"]).unwrap();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    let mount = &pod.array_at(&["spec", "containers"])[0].array_at(&["volumeMounts"])[0];
    assert_eq!(mount.str_at(&["name"]), Some(name));
    assert_eq!(mount.str_at(&["mountPath"]), Some("/var/run/secrets/kubernetes.io/serviceaccount"));
    // Admission may run again after a conflict: the second time changes nothing.
    let text = String::from_utf8(pod.to_json()).unwrap();
    assert_eq!(Write::default().run(&cluster, &text).unwrap().0, pod);
}

#[test]
fn nobody_mounts_a_token_who_said_no() {
    let cluster = cluster();
    let pod = r#"{"metadata":{"name":"p"},"spec":{"automountServiceAccountToken":false,"containers":[{"name":"c"}]}}"#;
    assert!(Write::default().run(&cluster, pod).unwrap().0.array_at(&["spec", "volumes"]).is_empty());
}

#[test]
fn an_unknown_service_account_is_refused() {
    let pod = r#"{"metadata":{"name":"p"},"spec":{"serviceAccountName":"x","containers":[]}}"#;
    assert_eq!(
        refusal(Write::default().run(&cluster(), pod)),
        "pods \"p\" is forbidden: error looking up service account ns/x: serviceaccount \"x\" not found"
    );
}

#[test]
fn nothing_is_made_where_no_namespace_is_or_where_it_ends() {
    let mut cluster = cluster();
    let nowhere = Write { namespace: "gone", ..Write::default() };
    assert_eq!(refusal(nowhere.run(&cluster, POD)), "namespaces \"gone\" not found");
    cluster.objects.put("", "namespaces", json(r#"{"metadata":{"name":"ns"},"status":{"phase":"Terminating"}}"#));
    assert_eq!(
        refusal(Write::default().run(&cluster, POD)),
        "pods \"p\" is forbidden: unable to create new content in namespace ns because it is being terminated"
    );
    let delete = Write { operation: Operation::Delete, name: "p", ..Write::default() };
    assert!(delete.run(&cluster, "").is_ok());
    let system = Write { operation: Operation::Delete, resource: "namespaces", name: "kube-system", namespace: "", ..delete };
    assert_eq!(refusal(system.run(&cluster, "")), "namespaces \"kube-system\" is forbidden: this namespace may not be deleted");
}

#[test]
fn limit_ranges_give_defaults_and_bounds() {
    let mut cluster = cluster();
    let range = r#"{"metadata":{"namespace":"ns","name":"l"},"spec":{"limits":[{"type":"Container",
        "default":{"cpu":"500m"},"defaultRequest":{"cpu":"100m"},"max":{"cpu":"1"},"min":{"cpu":"50m"}}]}}"#;
    cluster.objects.put("", "limitranges", json(range));
    let (pod, _) = Write::default().run(&cluster, POD).unwrap();
    let resources = pod.array_at(&["spec", "containers"])[0].get(&["resources"]).unwrap();
    assert_eq!(resources.str_at(&["requests", "cpu"]), Some("100m"));
    assert_eq!(resources.str_at(&["limits", "cpu"]), Some("500m"));
    assert_eq!(
        pod.str_at(&["metadata", "annotations", "kubernetes.io/limit-ranger"]),
        Some("LimitRanger plugin set: cpu request for container c; cpu limit for container c")
    );
    let big = r#"{"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"2"},"requests":{"cpu":"10m"}}}]}}"#;
    assert_eq!(
        refusal(Write::default().run(&cluster, big)),
        "pods \"p\" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, maximum cpu usage per Container is 1, but limit is 2]"
    );
}

#[test]
fn quotas_count_stored_objects_and_those_on_their_way() {
    let mut cluster = cluster();
    let quota = r#"{"metadata":{"namespace":"ns","name":"q"},"spec":{"hard":{"pods":"2","requests.cpu":"1"}}}"#;
    cluster.objects.put("", "resourcequotas", json(quota));
    let pod = |name: &str, cpu: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}","namespace":"ns"}},"spec":{{"containers":[{{"name":"c","resources":{{"requests":{{"cpu":"{cpu}"}}}}}}]}}}}"#
        )
    };
    assert_eq!(
        refusal(Write::default().run(&cluster, POD)),
        "pods \"p\" is forbidden: failed quota: q: must specify requests.cpu for: c"
    );
    let (stored, _) = Write::default().run(&cluster, &pod("a", "600m")).unwrap();
    // Not stored yet, and counted all the same.
    let exceeded = "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1";
    assert_eq!(refusal(Write::default().run(&cluster, &pod("b", "600m"))), exceeded);
    cluster.objects.put("", "pods", stored);
    assert_eq!(refusal(Write::default().run(&cluster, &pod("b", "600m"))), exceeded);
    Write::default().run(&cluster, &pod("b", "100m")).unwrap();
    assert_eq!(
        refusal(Write::default().run(&cluster, &pod("c", "100m"))),
        "pods \"c\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2"
    );
}

#[test]
fn namespaces_enforce_the_pod_security_standard_of_their_label() {
    let mut cluster = cluster();
    let namespace = r#"{"metadata":{"name":"ns","labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}"#;
    cluster.objects.put("", "namespaces", json(namespace));
    assert_eq!(
        refusal(Write::default().run(&cluster, POD)),
        "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
    );
    let good = r#"{"metadata":{"name":"p"},"spec":{"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
        "containers":[{"name":"c","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}"#;
    assert!(Write::default().run(&cluster, good).is_ok());
}

#[test]
fn the_baseline_forbids_each_known_way_to_the_host() {
    let level = pod_security::Level::Baseline;
    let table = [
        (r#"{"hostNetwork":true,"hostPID":true}"#, "host namespaces (hostNetwork=true, hostPID=true)"),
        (r#"{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}"#, "hostPath volumes (volume \"v\")"),
        (r#"{"containers":[{"name":"c","ports":[{"hostPort":80}]}]}"#, "hostPort (container \"c\" uses hostPort 80)"),
        (
            r#"{"containers":[{"name":"c","securityContext":{"privileged":true}}]}"#,
            "privileged (container \"c\" must not set securityContext.privileged=true)",
        ),
        (
            r#"{"containers":[{"name":"c","securityContext":{"capabilities":{"add":["NET_ADMIN"]}}}]}"#,
            "non-default capabilities (container \"c\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)",
        ),
        (
            r#"{"securityContext":{"seccompProfile":{"type":"Unconfined"}}}"#,
            "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (r#"{"securityContext":{"sysctls":[{"name":"kernel.msgmax"}]}}"#, "forbidden sysctls (kernel.msgmax)"),
    ];
    for (spec, expected) in table {
        assert_eq!(pod_security::violations(&json(spec), level), [expected]);
    }
    assert!(pod_security::violations(&json(r#"{"containers":[{"name":"c"}]}"#), level).is_empty());
}

#[test]
fn workloads_are_warned_of_what_their_pods_will_meet() {
    let mut cluster = cluster();
    let namespace = r#"{"metadata":{"name":"ns","labels":{"pod-security.kubernetes.io/warn":"baseline"}}}"#;
    cluster.objects.put("", "namespaces", json(namespace));
    let write = Write { resource: "apps/deployments", ..Write::default() };
    let deployment = r#"{"metadata":{"name":"d"},"spec":{"template":{"spec":{"hostNetwork":true}}}}"#;
    let (_, warnings) = write.run(&cluster, deployment).unwrap();
    assert_eq!(warnings, ["would violate PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)"]);
}

#[test]
fn priorities_come_from_their_class_alone() {
    let mut cluster = cluster();
    let class = r#"{"metadata":{"name":"high"},"value":1000,"preemptionPolicy":"Never"}"#;
    cluster.objects.put("scheduling.k8s.io", "priorityclasses", json(class));
    let pod = r#"{"metadata":{"name":"p"},"spec":{"priorityClassName":"high","containers":[]}}"#;
    let (pod, _) = Write::default().run(&cluster, pod).unwrap();
    assert_eq!(pod.i64_at(&["spec", "priority"]), Some(1000));
    assert_eq!(pod.str_at(&["spec", "preemptionPolicy"]), Some("Never"));
    let unknown = r#"{"metadata":{"name":"p"},"spec":{"priorityClassName":"x","containers":[]}}"#;
    assert_eq!(
        refusal(Write::default().run(&cluster, unknown)),
        "pods \"p\" is forbidden: no PriorityClass with name x was found"
    );
    let claimed = r#"{"metadata":{"name":"p"},"spec":{"priority":7,"containers":[]}}"#;
    assert!(Write::default().run(&cluster, claimed).is_err());
}

#[test]
fn claims_get_the_newest_default_class_and_a_finalizer() {
    let mut cluster = cluster();
    for (name, made) in [("old", "2020-01-01T00:00:00Z"), ("new", "2021-01-01T00:00:00Z")] {
        let class = format!(
            r#"{{"metadata":{{"name":"{name}","creationTimestamp":"{made}","annotations":{{"storageclass.kubernetes.io/is-default-class":"true"}}}}}}"#
        );
        cluster.objects.put("storage.k8s.io", "storageclasses", json(&class));
    }
    let write = Write { resource: "persistentvolumeclaims", ..Write::default() };
    let (claim, _) = write.run(&cluster, r#"{"metadata":{"name":"c"},"spec":{}}"#).unwrap();
    assert_eq!(claim.str_at(&["spec", "storageClassName"]), Some("new"));
    assert!(meta::has_finalizer(&claim, "kubernetes.io/pvc-protection"));
    let (claim, _) = write.run(&cluster, r#"{"metadata":{"name":"c"},"spec":{"storageClassName":""}}"#).unwrap();
    assert_eq!(claim.str_at(&["spec", "storageClassName"]), Some(""));
}

#[test]
fn claims_grow_only_where_their_class_allows_it() {
    let mut cluster = cluster();
    let class = |grows| format!(r#"{{"metadata":{{"name":"s"}},"allowVolumeExpansion":{grows}}}"#);
    let claim = |size: &str| {
        format!(
            r#"{{"metadata":{{"name":"c"}},"spec":{{"storageClassName":"s","resources":{{"requests":{{"storage":"{size}"}}}}}},"status":{{"phase":"Bound"}}}}"#
        )
    };
    let write = || Write {
        resource: "persistentvolumeclaims",
        operation: Operation::Update,
        old: Some(json(&claim("1Gi"))),
        ..Write::default()
    };
    cluster.objects.put("storage.k8s.io", "storageclasses", json(&class(false)));
    assert!(refusal(write().run(&cluster, &claim("2Gi"))).contains("must support resize"));
    cluster.objects.put("storage.k8s.io", "storageclasses", json(&class(true)));
    assert!(write().run(&cluster, &claim("2Gi")).is_ok());
}

#[test]
fn a_new_node_starts_out_tainted() {
    let write = Write { resource: "nodes", namespace: "", name: "n1", identity: Identity::node("n1"), ..Write::default() };
    let (node, _) = write.run(&cluster(), r#"{"metadata":{"name":"n1","labels":{"kubernetes.io/hostname":"n1"}}}"#).unwrap();
    assert_eq!(node.array_at(&["spec", "taints"])[0].str_at(&["key"]), Some("node.kubernetes.io/not-ready"));
}

#[test]
fn a_node_writes_only_what_is_its_own() {
    let mut cluster = cluster();
    let bound = r#"{"metadata":{"namespace":"ns","name":"p","uid":"u"},"spec":{"nodeName":"n2"}}"#;
    cluster.objects.put("", "pods", json(bound));
    let node = || Write { identity: Identity::node("n1"), ..Write::default() };
    let table: [(Write<'_>, &str, &str); 8] = [
        (
            Write { resource: "nodes", namespace: "", name: "n2", ..node() },
            r#"{"metadata":{"name":"n2"}}"#,
            "is not allowed to modify node",
        ),
        (
            Write { resource: "nodes", namespace: "", name: "n1", ..node() },
            r#"{"metadata":{"name":"n1","labels":{"node-role.kubernetes.io/control-plane":""}}}"#,
            "is not allowed to set the following labels: node-role.kubernetes.io/control-plane",
        ),
        (
            Write {
                resource: "nodes",
                namespace: "",
                name: "n1",
                operation: Operation::Update,
                old: Some(json(r#"{"metadata":{"name":"n1"},"spec":{"taints":[{"key":"a"}]}}"#)),
                ..node()
            },
            r#"{"metadata":{"name":"n1"},"spec":{}}"#,
            "is not allowed to modify taints",
        ),
        (
            Write { name: "p", operation: Operation::Delete, ..node() },
            "",
            "can only delete pods with spec.nodeName set to itself",
        ),
        (
            Write { name: "p", subresource: "status", operation: Operation::Update, old: Some(json(bound)), ..node() },
            bound,
            "can only update pod status for pods with spec.nodeName set to itself",
        ),
        (
            Write { resource: "serviceaccounts", subresource: "token", name: "default", ..node() },
            r#"{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u"}}}"#,
            "token bound to a pod scheduled on a different node",
        ),
        (
            Write { resource: "serviceaccounts", subresource: "token", name: "default", ..node() },
            r#"{"spec":{}}"#,
            "node requested token not bound to a pod",
        ),
        (
            Write { resource: "coordination.k8s.io/leases", namespace: "ns", name: "n1", ..node() },
            r#"{"metadata":{"name":"n1"}}"#,
            "kube-node-lease",
        ),
    ];
    for (write, object, expected) in table {
        let message = refusal(write.run(&cluster, object));
        assert!(message.contains(expected), "{message}");
    }
    let own = bound.replace("n2", "n1");
    let status = Write { name: "p", subresource: "status", operation: Operation::Update, old: Some(json(&own)), ..node() };
    assert!(status.run(&cluster, &own).is_ok());
}

#[test]
fn nobody_grants_rights_that_they_lack() {
    let cluster = cluster();
    let write = Write { resource: "rbac.authorization.k8s.io/clusterroles", namespace: "", name: "r", ..Write::default() };
    let role = r#"{"metadata":{"name":"r"},"rules":[{"apiGroups":[""],"resources":["secrets"],"verbs":["get"]}]}"#;
    assert_eq!(
        refusal(write.run(&cluster, role)),
        "clusterroles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
    );
    let admin = Write { identity: Identity::new("root", ["system:masters"]), ..write };
    assert!(admin.run(&cluster, role).is_ok());
    let binding =
        Write { resource: "rbac.authorization.k8s.io/clusterrolebindings", namespace: "", name: "b", ..Write::default() };
    let object = r#"{"metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"cluster-admin"},"subjects":[]}"#;
    assert!(refusal(binding.run(&cluster, object)).contains("not currently held"));
}

#[test]
fn certificate_requests_are_approved_by_those_who_may() {
    let cluster = cluster();
    let csr = r#"{"metadata":{"name":"c"},"spec":{"signerName":"kubernetes.io/kube-apiserver-client"}}"#;
    let write = Write {
        resource: "certificates.k8s.io/certificatesigningrequests",
        subresource: "approval",
        operation: Operation::Update,
        namespace: "",
        name: "c",
        old: Some(json(csr)),
        ..Write::default()
    };
    assert!(
        refusal(write.run(&cluster, csr))
            .contains("user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\"")
    );
    let admin = Write { identity: Identity::new("root", ["system:masters"]), ..write };
    assert!(admin.run(&cluster, csr).is_ok());
}

#[test]
fn nobody_makes_a_certificate_request_in_another_name_or_already_approved() {
    let cluster = cluster();
    let write =
        Write { resource: "certificates.k8s.io/certificatesigningrequests", namespace: "", name: "c", ..Write::default() };
    let forged = r#"{"metadata":{"name":"c"},"spec":{"signerName":"example.com/x","username":"system:node:n1","groups":["system:nodes"],"uid":"1"},
        "status":{"conditions":[{"type":"Approved","status":"True"}]}}"#;
    let (stored, _) = write.run(&cluster, forged).unwrap();
    assert_eq!(stored.str_at(&["spec", "username"]), Some("ann"));
    assert_eq!(stored.array_at(&["spec", "groups"]).len(), 1);
    assert!(stored.get(&["spec", "uid"]).is_none());
    assert!(stored.get(&["status"]).is_none());
    let root = || Identity::new("root", ["system:masters"]);
    let change = |subresource| Write {
        identity: root(),
        operation: Operation::Update,
        subresource,
        old: Some(stored.clone()),
        ..Write { resource: "certificates.k8s.io/certificatesigningrequests", namespace: "", name: "c", ..Write::default() }
    };
    let (updated, _) = change("").run(&cluster, forged).unwrap();
    assert_eq!(updated.str_at(&["spec", "username"]), Some("ann"));
    let (signed, _) = change("status").run(&cluster, forged).unwrap();
    assert!(signed.array_at(&["status", "conditions"]).is_empty());
}

#[test]
fn a_quota_counts_a_write_once_although_admission_runs_again_and_forgets_what_went() {
    let mut cluster = cluster();
    let quota = r#"{"metadata":{"namespace":"ns","name":"q"},"spec":{"hard":{"secrets":"1"}}}"#;
    cluster.objects.put("", "resourcequotas", json(quota));
    let write = |name: &str| {
        let object = format!(r#"{{"metadata":{{"name":"{name}","namespace":"ns"}}}}"#);
        Write { resource: "secrets", ..Write::default() }.run(&cluster, &object)
    };
    write("a").unwrap();
    write("a").unwrap();
    assert!(write("b").is_err());
    // Written and removed again before anyone looked.
    cluster.security.quota.seen(["/core/secrets/ns/a"].into_iter());
    write("b").unwrap();
}

use serde_json::json;

use super::{cluster, cores, node, place, placed, pod, refusal, why};
use crate::scheduling::{Cluster, resources};

#[test]
fn without_nodes_there_is_no_place() {
    assert_eq!(refusal(&Cluster::default(), &pod("p", json!({}))).message, "no nodes available to schedule pods");
}

#[test]
fn each_node_says_why_it_does_not_fit_and_equal_reasons_are_counted() {
    let mut cluster = cluster([
        node("a", json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})),
        node("b", json!({"spec": {"taints": [{"key": "l", "effect": "NoExecute"}]}})),
        node("c", json!({})),
    ]);
    cluster.put_pod(placed("big", "c", cores("3500m")));
    assert_eq!(
        refusal(&cluster, &pod("p", cores("1"))).message,
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). \
         preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, \
         2 Preemption is not helpful for scheduling."
    );
}

#[test]
fn a_request_beyond_the_node_is_not_helped_by_preemption() {
    let cluster = cluster([node("a", json!({}))]);
    let message = refusal(&cluster, &pod("p", cores("5"))).message;
    let expected = "0/1 nodes are available: 1 Insufficient cpu. \
                    preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(message, expected);
}

#[test]
fn all_that_is_lacking_is_named() {
    let cluster = cluster([node("a", json!({"status": {"allocatable": {"pods": "0"}}}))]);
    let requests = json!({"cpu": "9", "memory": "9Gi", "ephemeral-storage": "1", "example.com/gpu": "1"});
    let asks = json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}});
    assert_eq!(
        why(&cluster, &pod("p", asks)),
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient ephemeral-storage, 1 Insufficient example.com/gpu, \
         1 Insufficient memory, 1 Too many pods."
    );
}

#[test]
fn requests_are_the_peak_of_init_containers_and_the_rest() {
    let container = |name: &str, cpu: &str, restart: &str| {
        let mut container = json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        if !restart.is_empty() {
            container["restartPolicy"] = json!(restart);
        }
        container
    };
    let cases = [
        (json!([container("i", "3", "")]), "1", 3000),
        (json!([container("i", "1", "")]), "2", 2000),
        (json!([container("s", "1", "Always"), container("i", "3", "")]), "1", 4000),
        (json!([container("i", "3", ""), container("s", "1", "Always")]), "2500m", 3500),
    ];
    for (init, main, expected) in cases {
        let object = json!({"spec": {
            "initContainers": init, "containers": [container("c", main, "")], "overhead": {"cpu": "100m"},
        }});
        assert_eq!(resources::requests(&serde_json::from_value(object.clone()).unwrap()).milli_cpu, expected + 100, "{object}");
    }
}

#[test]
fn what_a_pod_asks_for_as_a_whole_stands_in_for_its_containers() {
    let object = json!({"spec": {
        "resources": {"requests": {"cpu": "3"}},
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}],
    }});
    let requests = resources::requests(&serde_json::from_value(object).unwrap());
    assert_eq!((requests.milli_cpu, requests.memory), (3000, 1 << 30));
}

#[test]
fn host_ports_collide_on_the_same_address_alone() {
    let ports = |port: i32, ip: &str, protocol: &str| {
        let port = json!({"containerPort": port, "hostPort": port, "hostIP": ip, "protocol": protocol});
        json!({"spec": {"containers": [{"name": "c", "ports": [port]}]}})
    };
    let mut cluster = cluster([node("a", json!({}))]);
    cluster.put_pod(placed("old", "a", ports(80, "127.0.0.1", "TCP")));
    assert_eq!(place(&cluster, &pod("p", ports(80, "127.0.0.2", "TCP"))), "a");
    assert_eq!(place(&cluster, &pod("p", ports(80, "127.0.0.1", "UDP"))), "a");
    let taken = "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.";
    assert_eq!(why(&cluster, &pod("p", ports(80, "127.0.0.1", "TCP"))), taken);
    assert_eq!(why(&cluster, &pod("p", ports(80, "", "TCP"))), taken);
}

#[test]
fn taints_and_cordons_are_tolerated_by_name() {
    let cordoned = node("a", json!({"spec": {"unschedulable": true}}));
    assert_eq!(why(&cluster([cordoned.clone()]), &pod("p", json!({}))), "0/1 nodes are available: 1 node(s) were unschedulable.");
    let tolerates = |toleration| json!({"spec": {"tolerations": [toleration]}});
    let name = tolerates(json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}));
    assert_eq!(place(&cluster([cordoned]), &pod("p", name)), "a");
    let tainted = cluster([node("a", json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}))]);
    let cases = [
        (json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), true),
        (json!({"key": "k", "value": "v"}), true),
        (json!({"operator": "Exists"}), true),
        (json!({"key": "k", "value": "w"}), false),
        (json!({"key": "k", "operator": "Exists", "effect": "NoExecute"}), false),
    ];
    for (toleration, fits) in cases {
        let pod = pod("p", tolerates(toleration.clone()));
        assert_eq!(
            matches!(crate::scheduling::decide(&tainted, &pod, 0), crate::scheduling::Decision::Place(_)),
            fits,
            "{toleration}"
        );
    }
}

#[test]
fn node_selectors_and_affinity_are_alternatives_of_conditions() {
    let cluster = cluster([
        node("a", json!({"metadata": {"labels": {"disk": "ssd", "cores": "8"}}})),
        node("b", json!({"metadata": {"labels": {"disk": "hdd", "cores": "2"}}})),
    ]);
    let affinity = |terms| json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}});
    let one = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    assert_eq!(place(&cluster, &pod("p", json!({"spec": {"nodeSelector": {"disk": "hdd"}}}))), "b");
    assert_eq!(place(&cluster, &pod("p", affinity(json!([one("cores", "Gt", &["4"])])))), "a");
    assert_eq!(place(&cluster, &pod("p", affinity(json!([one("cores", "Lt", &["4"])])))), "b");
    assert_eq!(place(&cluster, &pod("p", affinity(json!([one("no", "Exists", &[]), one("disk", "NotIn", &["ssd"])])))), "b");
    let nowhere = "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.";
    assert_eq!(why(&cluster, &pod("p", affinity(json!([{}])))), nowhere);
    assert_eq!(why(&cluster, &pod("p", affinity(json!([one("cores", "Gt", &[])])))), nowhere);
}

#[test]
fn a_pod_that_names_its_node_asks_no_other() {
    let mut cluster = cluster([node("a", json!({"status": {"allocatable": {"pods": "1"}}})), node("b", json!({}))]);
    let fields = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]);
    let named = json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": fields}}}}});
    assert_eq!(place(&cluster, &pod("p", named.clone())), "a");
    cluster.put_pod(placed("other", "a", json!({})));
    assert_eq!(
        why(&cluster, &pod("p", named)),
        "0/2 nodes are available: 1 Too many pods, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    );
}

#[test]
fn the_emptier_node_and_the_preferred_one_win() {
    let mut cluster = cluster([node("a", json!({})), node("b", json!({"metadata": {"labels": {"disk": "ssd"}}}))]);
    cluster.put_pod(placed("old", "b", cores("2")));
    assert_eq!(place(&cluster, &pod("p", cores("1"))), "a");
    let preference = json!({"weight": 100, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}});
    let mut prefers = cores("1");
    prefers["spec"]["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}});
    assert_eq!(place(&cluster, &pod("p", prefers)), "b");
}

#[test]
fn a_node_that_would_rather_not_comes_last_and_one_with_the_image_first() {
    let shy = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
    assert_eq!(place(&cluster([node("a", shy), node("b", json!({}))]), &pod("p", json!({}))), "b");
    let image = json!({"status": {"images": [{"names": ["example.com/i:latest"], "sizeBytes": 900_000_000}]}});
    let runs = json!({"spec": {"containers": [{"name": "c", "image": "example.com/i"}]}});
    assert_eq!(place(&cluster([node("a", json!({})), node("b", image)]), &pod("p", runs)), "b");
}

#[test]
fn pods_of_a_node_that_is_not_known_yet_count_once_it_comes() {
    let mut cluster = cluster([]);
    cluster.put_pod(placed("early", "a", cores("4")));
    cluster.put_node(node("a", json!({})));
    assert_eq!(why(&cluster, &pod("p", cores("1"))), "0/1 nodes are available: 1 Insufficient cpu.");
    cluster.put_node(node("a", json!({"metadata": {"labels": {"x": "y"}}})));
    assert_eq!(why(&cluster, &pod("p", cores("1"))), "0/1 nodes are available: 1 Insufficient cpu.");
    cluster.remove_pod("early");
    assert_eq!(place(&cluster, &pod("p", cores("4"))), "a");
}

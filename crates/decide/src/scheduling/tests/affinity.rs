use serde_json::{Value, json};

use super::{cluster, merge, node, place, placed, pod, why};
use crate::scheduling::labels::Labels;

fn zoned(name: &str, zone: &str) -> crate::scheduling::Node {
    node(name, json!({"metadata": {"labels": {"zone": zone}}}))
}

fn labelled(app: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}})
}

/// `kind` is podAffinity or podAntiAffinity.
fn term(kind: &str, app: &str, key: &str, more: Value) -> Value {
    let mut term = json!({"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key});
    merge(&mut term, more);
    json!({"spec": {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}})
}

#[test]
fn a_pod_goes_to_the_zone_of_those_it_needs() {
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "2"), zoned("c", "2")]);
    cluster.put_pod(placed("db", "b", labelled("db")));
    let near = term("podAffinity", "db", "zone", json!({}));
    assert_eq!(place(&cluster, &pod("p", near.clone())), "c");
    cluster.remove_pod("db");
    assert_eq!(why(&cluster, &pod("p", near)), "0/3 nodes are available: 3 node(s) didn't match pod affinity rules.");
}

#[test]
fn the_first_of_a_group_may_stand_anywhere_with_the_label() {
    let cluster = cluster([node("a", json!({})), zoned("b", "2")]);
    let mut first = labelled("web");
    merge(&mut first, term("podAffinity", "web", "zone", json!({})));
    assert_eq!(place(&cluster, &pod("p", first)), "b");
}

#[test]
fn anti_affinity_works_in_both_directions() {
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "2")]);
    let mut lonely = labelled("web");
    merge(&mut lonely, term("podAntiAffinity", "web", "zone", json!({})));
    cluster.put_pod(placed("one", "a", lonely.clone()));
    assert_eq!(place(&cluster, &pod("p", lonely.clone())), "b");
    // The new pod minds nobody, but the running one minds it.
    assert_eq!(place(&cluster, &pod("p", labelled("web"))), "b");
    cluster.put_pod(placed("two", "b", labelled("web")));
    assert_eq!(why(&cluster, &pod("p", lonely)), "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.");
    cluster.put_pod(placed("two", "b", {
        let mut other = labelled("other");
        merge(&mut other, term("podAntiAffinity", "web", "zone", json!({})));
        other
    }));
    assert_eq!(
        why(&cluster, &pod("p", labelled("web"))),
        "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules."
    );
}

#[test]
fn namespaces_are_named_or_selected() {
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "2")]);
    cluster.put_namespace("prod", Labels::from([("env".to_owned(), "prod".to_owned())]));
    let mut db = labelled("db");
    merge(&mut db, json!({"metadata": {"namespace": "prod"}}));
    cluster.put_pod(placed("db", "a", db));
    let nowhere = "0/2 nodes are available: 2 node(s) didn't match pod affinity rules.";
    assert_eq!(why(&cluster, &pod("p", term("podAffinity", "db", "zone", json!({})))), nowhere);
    for more in [
        json!({"namespaces": ["prod"]}),
        json!({"namespaceSelector": {"matchLabels": {"env": "prod"}}}),
        json!({"namespaceSelector": {}}),
    ] {
        assert_eq!(place(&cluster, &pod("p", term("podAffinity", "db", "zone", more))), "a");
    }
}

#[test]
fn label_keys_narrow_the_selection_to_the_pods_own_values() {
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "2")]);
    let versioned = |version: &str| json!({"metadata": {"labels": {"app": "web", "version": version}}});
    cluster.put_pod(placed("old", "a", versioned("1")));
    cluster.put_pod(placed("new", "b", versioned("2")));
    let with = |keys: Value| {
        let mut pod = versioned("2");
        merge(&mut pod, term("podAffinity", "web", "zone", keys));
        pod
    };
    assert_eq!(place(&cluster, &pod("p", with(json!({"matchLabelKeys": ["version"]})))), "b");
    assert_eq!(place(&cluster, &pod("p", with(json!({"mismatchLabelKeys": ["version"]})))), "a");
}

#[test]
fn wishes_about_neighbours_decide_between_equal_nodes() {
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "2")]);
    cluster.put_pod(placed("cache", "b", labelled("cache")));
    cluster.put_pod(placed("else", "a", labelled("else")));
    let wish = |kind: &str| {
        let term = json!({"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "zone"});
        json!({"spec": {"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": term}]}}}})
    };
    assert_eq!(place(&cluster, &pod("p", wish("podAffinity"))), "b");
    assert_eq!(place(&cluster, &pod("p", wish("podAntiAffinity"))), "a");
}

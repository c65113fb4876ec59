use super::*;
use crate::authz::{Attributes, ResourceTarget, Target};
use crate::state::Settings;
use std::time::Duration;
use store::{Change, Expect, Op};

async fn open(dir: &tempfile::TempDir) -> (Arc<State>, Feeds) {
    let state = Arc::new(State::open(Settings::new(dir.path())).await.unwrap());
    let feeds = start(&state).await.unwrap();
    (state, feeds)
}

fn may(state: &State, identity: &Identity, resource: &str, namespace: &str, name: &str) -> bool {
    let target = ResourceTarget { version: "v1", resource, namespace, name, ..ResourceTarget::default() };
    let attributes = Attributes { identity, verb: "get", target: Target::Resource(target) };
    state.security.indexes.authorize(&attributes).allowed()
}

async fn put(state: &State, key: &str, object: &str) {
    let op = Op::Put(Bytes::from(object.to_owned()));
    state.store.commit(Change { key: key.into(), expect: Expect::Any, op, durable: true }).await.unwrap();
}

/// Until it holds; the events are on their way.
async fn soon(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), waiting).await.expect("it never came to hold");
}

#[tokio::test]
async fn a_first_start_writes_the_defaults_once() {
    let dir = tempfile::tempdir().unwrap();
    let (state, feeds) = open(&dir).await;
    let first = state.snapshot();
    assert!(first.get("/core/namespaces//kube-system").is_some());
    assert!(first.get("/rbac.authorization.k8s.io/clusterroles//cluster-admin").is_some());
    let admin = decode(first.get("/rbac.authorization.k8s.io/clusterroles//admin").unwrap());
    assert!(!admin.array_at(&["rules"]).is_empty());
    drop((feeds, state));
    // The store closes when the aborted tasks have let go of it.
    let reopened = async {
        loop {
            if let Ok(state) = State::open(Settings::new(dir.path())).await {
                return Arc::new(state);
            }
            tokio::task::yield_now().await;
        }
    };
    let state = tokio::time::timeout(Duration::from_secs(5), reopened).await.unwrap();
    let _feeds = start(&state).await.unwrap();
    assert_eq!(state.snapshot().revision(), first.revision());
}

#[tokio::test]
async fn a_new_binding_counts_as_soon_as_it_is_seen_and_a_removed_one_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _feeds) = open(&dir).await;
    let ann = Identity::new("ann", ["system:authenticated"]);
    assert!(!may(&state, &ann, "pods", "ns", "p"));
    let key = "/rbac.authorization.k8s.io/rolebindings/ns/b";
    let binding = r#"{"metadata":{"namespace":"ns","name":"b"},"roleRef":{"kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","name":"ann"}]}"#;
    put(&state, key, binding).await;
    soon(|| may(&state, &ann, "pods", "ns", "p")).await;
    assert!(!may(&state, &ann, "pods", "other", "p"));
    let change = Change { key: key.into(), expect: Expect::Any, op: Op::Delete, durable: true };
    state.store.commit(change).await.unwrap();
    soon(|| !may(&state, &ann, "pods", "ns", "p")).await;
}

#[tokio::test]
async fn a_node_may_read_a_secret_once_a_pod_that_needs_it_is_bound_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let (state, _feeds) = open(&dir).await;
    let node = Identity::node("n1");
    let pod = |node: &str| {
        format!(
            r#"{{"metadata":{{"namespace":"ns","name":"p","uid":"1"}},"spec":{{"nodeName":"{node}","volumes":[{{"secret":{{"secretName":"s"}}}}]}}}}"#
        )
    };
    put(&state, "/core/pods/ns/p", &pod("")).await;
    assert!(!may(&state, &node, "secrets", "ns", "s"));
    put(&state, "/core/pods/ns/p", &pod("n1")).await;
    soon(|| may(&state, &node, "secrets", "ns", "s")).await;
}

//! Budgets against the real server: what they allow, and that an eviction counts on it.

mod cluster;

use cluster::{Cluster, object, workload};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::{ResourceExt as _, api::EvictParams};
use serde_json::json;

#[tokio::test]
async fn a_budget_follows_its_pods_and_evictions_stop_at_it() {
    let cluster = Cluster::with(&["replicaset-controller", "disruption-controller"]).await;
    cluster.create::<ReplicaSet>("default", &workload("web", 3, json!({}))).await;
    let spec = json!({"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}});
    cluster.create::<PodDisruptionBudget>("default", &object(json!({"metadata": {"name": "web"}, "spec": spec}))).await;
    let allows = |allowed| {
        move |budget: &PodDisruptionBudget| {
            budget.status.as_ref().is_some_and(|status| status.disruptions_allowed == Some(allowed))
        }
    };
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 3).await;
    cluster.until_one("default", "web", allows(0)).await;
    for pod in &pods {
        cluster.run_pod(pod, true).await;
    }
    let status = cluster.until_one("default", "web", allows(1)).await.status.unwrap();
    assert_eq!((status.expected_pods, status.desired_healthy, status.current_healthy), (Some(3), Some(2), Some(3)));
    let condition = &status.conditions.unwrap()[0];
    assert_eq!((condition.type_.as_str(), condition.reason.as_str()), ("DisruptionAllowed", "SufficientPods"));
    cluster.api::<Pod>("default").evict(&pods[0].name_any(), &EvictParams::default()).await.unwrap();
    cluster.until_one("default", "web", allows(0)).await;
    let refused = cluster.api::<Pod>("default").evict(&pods[1].name_any(), &EvictParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 429));
}

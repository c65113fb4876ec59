//! The node's Lease: the sign that it lives, renewed every ten seconds. The server keeps these in memory.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};

const NAMESPACE: &str = "kube-node-lease";
const RENEW_EVERY: Duration = Duration::from_secs(10);
const LASTS_SECONDS: i32 = 40;

/// Renews the Lease for as long as it is polled.
pub(crate) async fn keep_lease(client: kube::Client, name: Arc<str>, node_uid: String) {
    let api: Api<Lease> = Api::namespaced(client, NAMESPACE);
    loop {
        match renew(&api, &name, &node_uid).await {
            Ok(()) => client::queue::pause(RENEW_EVERY).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the node's lease is not renewed");
                client::queue::pause(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn renew(api: &Api<Lease>, name: &str, node_uid: &str) -> Result<(), kube::Error> {
    let now = MicroTime(Timestamp::now());
    let patch = serde_json::json!({ "spec": { "renewTime": now } });
    match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        other => return other.map(|_| ()),
    }
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.into(),
        uid: node_uid.into(),
        ..OwnerReference::default()
    };
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: Some(NAMESPACE.into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(name.into()),
            lease_duration_seconds: Some(LASTS_SECONDS),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
    };
    api.create(&PostParams::default(), &lease).await.map(|_| ())
}

//! Who is at work on a release: a Lease that is renewed while it is, so that a worker that was killed is told from one
//! that takes long. Where leases may not be written, it does without.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::cluster::{Cluster, ClusterError, text};

/// Without a renewal for this long, the worker is gone.
const SECONDS: i64 = 15;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(5);

/// What is known of a release's worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worker {
    /// Nothing: nobody left a lease, as Helm does not.
    Unknown,
    /// It renews its lease.
    AtWork,
    /// Its lease has run out.
    Gone,
}

fn lease(cluster: &Cluster, release: &str, holder: &str) -> Json {
    // As precise as the API's times are.
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": format!("sh.helm.release.v1.{release}"), "namespace": cluster.namespace},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": SECONDS, "renewTime": now},
    })
}

/// Looks for a release's worker.
pub(super) async fn worker(cluster: &Cluster, release: &str) -> Worker {
    let Ok(Some(found)) = cluster.find(&lease(cluster, release, "")).await else { return Worker::Unknown };
    let renewed = text(&found, "/spec/renewTime").parse::<jiff::Timestamp>();
    let fresh = |at: jiff::Timestamp| jiff::Timestamp::now().duration_since(at).as_secs() < SECONDS;
    if renewed.is_ok_and(fresh) { Worker::AtWork } else { Worker::Gone }
}

/// Runs some work under a release's lease, and takes the lease away again.
pub(super) async fn hold<T>(cluster: &Cluster, release: &str, work: impl Future<Output = T>) -> T {
    let holder = format!("{:016x}", rand::random::<u64>());
    // A refusal is no harm: the lease only helps those who come later.
    let _: Result<Json, ClusterError> = cluster.apply(&lease(cluster, release, &holder), true).await;
    let renewed = async {
        loop {
            #[expect(clippy::disallowed_methods, reason = "a lease is renewed by the clock")]
            tokio::time::sleep(RENEWAL).await;
            let _: Result<Json, ClusterError> = cluster.apply(&lease(cluster, release, &holder), true).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        never = renewed => never,
    };
    let _: Result<bool, ClusterError> = cluster.delete(&lease(cluster, release, &holder), "Background").await;
    done
}

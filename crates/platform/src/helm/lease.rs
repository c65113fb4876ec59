//! Who is at work on a release: a Lease that is renewed while it is, so that a worker that was killed is told from one
//! that takes long. Where leases may not be written, it does without.

use std::time::Duration;

use serde_json::{Value as Json, json};

use super::HelmError;
use super::cluster::{Cluster, ClusterError, text};

/// Without a renewal for this long, the worker is gone.
const SECONDS: i64 = 15;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(5);

/// What the last worker left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nothing: it ended in order, or it is no worker that holds leases, as Helm is none.
    Nothing,
    /// A lease that ran out at this time: it was killed.
    Expired(jiff::Timestamp),
}

impl Left {
    /// Whether the worker that began at a time is the one that left this.
    pub(super) fn is_of(self, begun: jiff::Timestamp) -> bool {
        matches!(self, Self::Expired(at) if begun <= at)
    }
}

fn body(cluster: &Cluster, release: &str, holder: &str) -> Json {
    // As precise as the API's times are.
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": format!("sh.helm.release.v1.{release}"), "namespace": cluster.namespace},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": SECONDS, "renewTime": now},
    })
}

/// Takes the lease; refuses while another worker renews it. False is a lease that may not be written.
async fn take(cluster: &Cluster, release: &str, holder: &str) -> Result<(Left, bool), HelmError> {
    let mut lease = body(cluster, release, holder);
    let found = match cluster.find(&lease).await {
        Ok(found) => found,
        Err(_) => return Ok((Left::Nothing, false)),
    };
    let Some(found) = found else {
        return match cluster.create(&lease).await {
            Ok(Some(_)) => Ok((Left::Nothing, true)),
            Ok(None) => Err(HelmError::InProgress),
            Err(_) => Ok((Left::Nothing, false)),
        };
    };
    let renewed = text(&found, "/spec/renewTime").parse::<jiff::Timestamp>().unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let expiry = renewed + jiff::SignedDuration::from_secs(SECONDS);
    if jiff::Timestamp::now() < expiry {
        return Err(HelmError::InProgress);
    }
    lease["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
    match cluster.replace(&lease).await {
        Ok(_) => Ok((Left::Expired(expiry), true)),
        Err(ClusterError::Refuse { code: 409, .. }) => Err(HelmError::InProgress),
        Err(_) => Ok((Left::Expired(expiry), false)),
    }
}

/// Runs some work under a release's lease, and takes the lease away again. The work is told what the last worker left.
pub(super) async fn hold<T>(
    cluster: &Cluster,
    release: &str,
    work: impl AsyncFnOnce(Left) -> Result<T, HelmError>,
) -> Result<T, HelmError> {
    let holder = format!("{:016x}", rand::random::<u64>());
    let (left, held) = take(cluster, release, &holder).await?;
    if !held {
        return work(left).await;
    }
    let renewed = async {
        loop {
            #[expect(clippy::disallowed_methods, reason = "a lease is renewed by the clock")]
            tokio::time::sleep(RENEWAL).await;
            let _: Result<Json, ClusterError> = cluster.apply(&body(cluster, release, &holder), true).await;
        }
    };
    let done = tokio::select! {
        done = work(left) => done,
        never = renewed => never,
    };
    let _: Result<bool, ClusterError> = cluster.delete(&body(cluster, release, &holder), "Background").await;
    done
}

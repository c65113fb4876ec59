//! Plans carried out: claims and pods made and taken away, servers told what to do, events told of it. Chooses nothing.

use client::Key;
use decide::redis_slots::{Action, How, Plan, Seat, Step, Upkeep};
use futures::future::join_all;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
};

use super::{
    Operator,
    client::{Address, ServerError},
    kinds::RedisCluster,
    objects,
    observe::{Observed, address},
};
use crate::apply::{self, ApplyError};

/// Makes what a cluster has once.
///
/// # Errors
/// When the API refuses.
pub async fn ensure_shared(operator: &Operator, cluster: &RedisCluster) -> Result<(), ApplyError> {
    let shared = objects::shared(cluster);
    let written = join_all(shared.iter().map(|object| apply::ensure(&operator.client, object))).await;
    written.into_iter().collect()
}

/// Makes and takes away claims and pods; returns once the caches show it.
///
/// # Errors
/// The first refusal; the rest was tried.
pub async fn keep_up(
    operator: &Operator,
    cluster: &RedisCluster,
    observed: &Observed,
    work: &[Upkeep],
) -> Result<(), ApplyError> {
    // Claims first: the scheduler turns a pod away whose claim it does not know yet.
    let (disks, rest): (Vec<_>, Vec<_>) = work.iter().partition(|upkeep| matches!(upkeep, Upkeep::MakeDisk(..)));
    let disks = join_all(disks.into_iter().map(|upkeep| keep_up_one(operator, cluster, observed, upkeep))).await;
    disks.into_iter().collect::<Result<(), _>>()?;
    let rest = join_all(rest.into_iter().map(|upkeep| keep_up_one(operator, cluster, observed, upkeep))).await;
    rest.into_iter().collect()
}

async fn keep_up_one(
    operator: &Operator,
    cluster: &RedisCluster,
    observed: &Observed,
    upkeep: &Upkeep,
) -> Result<(), ApplyError> {
    match upkeep {
        Upkeep::MakeDisk(seat, node) => {
            if let Some(revision) = apply::create(&operator.client, &objects::claim(cluster, *seat, node)).await? {
                operator.claim_cache.reached(revision).await?;
            }
        }
        Upkeep::MakePod(seat, node) => {
            if let Some(revision) = apply::create(&operator.client, &objects::pod(cluster, *seat, node)).await? {
                let message = format!("member {} is started on {node}", seat.name(&cluster.name_any()));
                operator.recorder.normal(cluster, "MemberStarted", message);
                operator.pod_cache.reached(revision).await?;
            }
        }
        Upkeep::DeletePod(seat, at_once) => {
            let Some(pod) = observed.pods.get(seat) else { return Ok(()) };
            let parameters = if *at_once { DeleteParams::default().grace_period(0) } else { DeleteParams::default() };
            delete(operator, &**pod, parameters).await?;
            operator.recorder.normal(cluster, "MemberStopped", format!("the pod of member {} goes", pod.name_any()));
            operator.pod_cache.forgotten(&Key::of(&**pod), &pod.uid().unwrap_or_default()).await?;
        }
        Upkeep::DropDisk(seat) => {
            let Some(claim) = observed.claims.get(seat) else { return Ok(()) };
            delete(operator, &**claim, DeleteParams::default()).await?;
            let message = format!("the node of member {} is gone for good: it gets another one", seat.name(&cluster.name_any()));
            operator.recorder.warning(cluster, "MemberMoved", message);
            operator.claim_cache.forgotten(&Key::of(&**claim), &claim.uid().unwrap_or_default()).await?;
        }
    }
    Ok(())
}

async fn delete<K>(operator: &Operator, object: &K, parameters: DeleteParams) -> Result<(), ApplyError>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(operator.client.clone(), &object.namespace().unwrap_or_default());
    let exactly = Preconditions { uid: object.uid(), resource_version: None };
    match api.delete(&object.name_any(), &parameters.preconditions(exactly)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(ApplyError::Write { what: object.name_any(), source }),
    }
}

/// Tells the servers what to do, in order. A refusal ends it: the next plan is made from what is then.
pub async fn carry_out(operator: &Operator, key: &Key, cluster: &RedisCluster, observed: &Observed, plan: &Plan, password: &str) {
    for step in &plan.steps {
        let Some(address) = observed.pods.get(&step.at).and_then(|pod| address(step.at, pod)) else { return };
        match operator.servers.tell(&address, password, &step.action).await {
            Ok(()) => {
                if matches!(step.action, Action::Failover(_)) {
                    operator.memory(key, |memory| memory.told = Some((step.at, observed.snapshot.now)));
                }
                told(operator, cluster, step);
            }
            Err(error) => return refused(cluster, step.at, &address, &error),
        }
    }
}

fn refused(cluster: &RedisCluster, seat: Seat, address: &Address, error: &ServerError) {
    let name = cluster.name_any();
    tracing::info!(cluster = name, member = %seat, %address, error = error as &dyn std::error::Error, "a member refuses a command");
}

fn told(operator: &Operator, cluster: &RedisCluster, step: &Step) {
    let member = step.at.name(&cluster.name_any());
    tracing::info!(cluster = cluster.name_any(), member, action = ?step.action, why = step.why, "a member is told what to do");
    let (reason, message) = match &step.action {
        // Of no interest to people.
        Action::SetEpoch(_) | Action::Meet(..) => return,
        Action::AddSlots(ranges) => {
            let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
            ("SlotsAssigned", format!("{member} gets the slots {}: {}", ranges.join(" "), step.why))
        }
        Action::Empty => ("MemberEmptied", format!("{member} is emptied: {}", step.why)),
        Action::Replicate(_) => ("Replicating", format!("{member} copies: {}", step.why)),
        Action::Failover(How::HandOver) => ("HandOver", format!("{member} becomes master: {}", step.why)),
        Action::Failover(_) => ("TakeOver", format!("{member} becomes master by force: {}", step.why)),
        Action::Forget(id) => ("IdentityForgotten", format!("{member} forgets {id}: {}", step.why)),
    };
    operator.recorder.normal(cluster, reason, message);
}

//! What the controller answers to a user: the status of a cluster, written when it changed.

use decide::redis_slots::{Plan, Role, SLOTS, SlotSet, Wait};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{
    Operator,
    kinds::{Condition, MemberStatus, RedisCluster, Status},
    observe::Observed,
};
use crate::apply::ApplyError;

/// Reasons and messages of a condition at most.
const MESSAGES_MAX: usize = 3;

/// The status that follows from what was seen and planned.
pub fn status(cluster: &RedisCluster, observed: &Observed, plan: &Plan, waits: &[Wait]) -> Status {
    let before = cluster.status.clone().unwrap_or_default();
    let members = members(cluster, observed, &before);
    let present = observed.snapshot.members.iter().filter_map(|member| member.seen.as_ref());
    let mut slots = SlotSet::default();
    present.clone().filter(|seen| seen.role() == Role::Master).for_each(|seen| slots.extend(&seen.slots()));
    let wanted = cluster.shape().seats().count();
    let settled = plan.is_settled() && waits.is_empty();
    let was_ready = before.conditions.iter().any(|condition| condition.kind == "Available" && condition.status == "True");
    let all = slots.len() == usize::from(SLOTS);
    let phase = if settled {
        "Ready"
    } else if was_ready || before.phase == "Repairing" {
        "Repairing"
    } else {
        "Creating"
    };
    let generation = cluster.metadata.generation.unwrap_or(0);
    let (reason, message) = if settled {
        ("Settled", "every member is where it belongs, and every replica has caught up".to_owned())
    } else {
        why(plan, waits)
    };
    let served = format!("masters serve {} of {SLOTS} slots", slots.len());
    let condition =
        |kind: &str, status: bool, reason: &str, message: String| condition(&before, kind, status, reason, message, generation);
    Status {
        observed_generation: generation,
        phase: phase.to_owned(),
        members_ready: format!("{}/{wanted}", present.count()),
        slots: u32::try_from(slots.len()).unwrap_or_default(),
        conditions: vec![
            condition("Available", all, if all { "AllSlotsServed" } else { "SlotsMissing" }, served),
            condition("Ready", settled, reason, message),
        ],
        members,
    }
}

/// The status of a cluster that cannot be looked at yet.
pub fn held_up(cluster: &RedisCluster, reason: &str, message: &str) -> Status {
    let mut status = cluster.status.clone().unwrap_or_default();
    let generation = cluster.metadata.generation.unwrap_or(0);
    let ready = condition(&status, "Ready", false, reason, message.to_owned(), generation);
    status.conditions.retain(|condition| condition.kind != "Ready");
    status.conditions.push(ready);
    if status.phase.is_empty() {
        status.phase = "Creating".to_owned();
    }
    Status { observed_generation: generation, ..status }
}

fn why(plan: &Plan, waits: &[Wait]) -> (&'static str, String) {
    let steps = plan.steps.iter().map(|step| ("Acting", &step.why));
    let waiting = waits.iter().chain(&plan.waits).map(|wait| (wait.reason, &wait.message));
    let all: Vec<(&'static str, &String)> = steps.chain(waiting).collect();
    let mut messages: Vec<String> = all.iter().take(MESSAGES_MAX).map(|(_, message)| (*message).clone()).collect();
    if all.len() > MESSAGES_MAX {
        messages.push(format!("and {} more", all.len() - MESSAGES_MAX));
    }
    (all.first().map_or("Acting", |(reason, _)| reason), messages.join("; "))
}

fn condition(before: &Status, kind: &str, status: bool, reason: &str, message: String, generation: i64) -> Condition {
    let status = if status { "True" } else { "False" };
    let same = before.conditions.iter().find(|condition| condition.kind == kind && condition.status == status);
    let since =
        same.map_or_else(|| Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), |c| c.last_transition_time.clone());
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: since,
        observed_generation: generation,
    }
}

fn members(cluster: &RedisCluster, observed: &Observed, before: &Status) -> Vec<MemberStatus> {
    let name = cluster.name_any();
    let member = |member: &decide::redis_slots::Member| {
        let known = before.members.iter().find(|known| known.name == member.seat.name(&name));
        let disk = observed.claims.get(&member.seat).and_then(|claim| claim.uid()).unwrap_or_default();
        let mut status = MemberStatus {
            name: member.seat.name(&name),
            shard: member.seat.shard,
            role: "away".to_owned(),
            node: member.node.clone(),
            id: known.filter(|known| known.disk == disk).map(|known| known.id.clone()).unwrap_or_default(),
            disk,
            ..MemberStatus::default()
        };
        if let Some(seen) = &member.seen {
            status.role = if seen.role() == Role::Master { "master" } else { "replica" }.to_owned();
            status.address = format!("{}:{}", seen.ip, seen.port);
            status.slots = seen.slots().to_string();
            status.id.clone_from(&seen.id);
        }
        status
    };
    observed.snapshot.members.iter().map(member).collect()
}

/// Writes the status, unless it is written already.
///
/// # Errors
/// When the API refuses, or the cache does not show it.
pub async fn write(operator: &Operator, cluster: &RedisCluster, status: Status) -> Result<(), ApplyError> {
    if cluster.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let name = cluster.name_any();
    let api: Api<RedisCluster> = Api::namespaced(operator.client.clone(), &cluster.namespace().unwrap_or_default());
    let patch = Patch::Merge(json!({"status": status}));
    match api.patch_status(&name, &PatchParams::default(), &patch).await {
        Ok(written) => Ok(operator.clusters.caught_up(&written).await?),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(ApplyError::Write { what: format!("the status of RedisCluster {name}"), source }),
    }
}
